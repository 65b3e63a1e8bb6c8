package redbreaker

import (
	"context"

	"github.com/redbreaker/redbreaker/engine"
)

// queueLimit is how many events wait for slow hooks before the oldest is dropped.
const queueLimit = 256

// queue delivers the events of one breaker to its hooks, in order, on a goroutine
// of its own. Queue and goroutine exist only while events wait.
type queue struct {
	*core // its mu guards events and dropped

	events  []Event
	dropped int           // since the last EventDropped
	ended   chan struct{} // closed when no event waits any more

	// remaining are the calls of hooks that the event in delivery still needs. Only
	// the goroutine uses them. If a hook ends the goroutine, the next goroutine
	// continues with them.
	remaining []func()
}

// enqueue is the event sink of the breaker's handle. It never blocks, because it
// is called under a lock of the storage.
func (c *core) enqueue(e Event) {
	if !c.hooks.listenTo(e.Kind) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sealed {
		return
	}
	if c.queue == nil {
		c.queue = &queue{core: c, ended: make(chan struct{})}
		// A storage that watches may raise an event before New has the handle. Such an event
		// waits for setHandle: OnStatus reads the handle.
		if c.handle != nil {
			go c.queue.deliverAll()
		}
	}
	c.queue.pushLocked(e)
}

// setHandle gives the breaker its handle, and starts the delivery of the events that
// came before it.
func (c *core) setHandle(h engine.Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handle = h
	if c.queue != nil {
		go c.queue.deliverAll()
	}
}

// waitForHooks waits until no event waits for hooks.
func (c *core) waitForHooks(ctx context.Context) error {
	c.mu.Lock()
	q := c.queue
	c.mu.Unlock()
	if q == nil {
		return nil
	}
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pushLocked appends an event, and drops the oldest if the queue is full. The delivery of
// each event reads the status of then, so an EventStatus adds nothing to those that wait.
// A storage that fails now and then would fill the queue with them.
func (q *queue) pushLocked(e Event) {
	if e.Kind == EventStatus && len(q.events) > 0 {
		return
	}
	if len(q.events) == queueLimit {
		q.events = q.events[1:]
		q.dropped++
	}
	q.events = append(q.events, e)
}

// deliverAll calls the hooks until no event waits. A hook may panic, or end this
// goroutine by runtime.Goexit; then another goroutine continues.
func (q *queue) deliverAll() {
	finished := false
	defer func() {
		if !finished {
			go q.deliverAll()
		}
	}()
	for q.hasCall() {
		call := q.remaining[0]
		q.remaining = q.remaining[1:]
		q.hooks.callSafely(call)
	}
	finished = true
}

// hasCall reports whether a hook is left to call, and takes the next events until
// there is one. After false, the queue has ended.
func (q *queue) hasCall() bool {
	for len(q.remaining) == 0 {
		e, ok := q.takeEvent()
		if !ok {
			return false
		}
		q.remaining = q.callsFor(e)
	}
	return true
}

// takeEvent returns the next event. Dropped events are reported first, at the
// place where they are missing. If no event waits, takeEvent ends the queue.
func (q *queue) takeEvent() (Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.dropped > 0:
		e := Event{Kind: EventDropped, Name: q.name, Dropped: q.dropped}
		q.dropped = 0
		return e, true
	case len(q.events) > 0:
		e := q.events[0]
		q.events = q.events[1:]
		return e, true
	}
	q.core.queue = nil
	close(q.ended)
	return Event{}, false
}

// callsFor returns the calls of hooks that an event needs.
func (q *queue) callsFor(e Event) []func() {
	var calls []func()
	for _, f := range q.hooks.listenersOf(e.Kind) {
		calls = append(calls, func() { f(q.core, e) })
	}
	if s, changed := q.readNewStatus(); changed {
		for _, f := range q.hooks.onStatus {
			calls = append(calls, func() { f(q.name, s) })
		}
	}
	return calls
}

// readNewStatus returns the status of now, and whether its state or mode is not the
// one that OnStatus got last. It looks at the handle instead of the event: events
// may be dropped, and the last status must still arrive.
func (q *queue) readNewStatus() (Status, bool) {
	if len(q.hooks.onStatus) == 0 {
		return Status{}, false
	}
	s := q.handle.Status()
	before := q.shown
	q.shown = newShownStatus(s)
	return s, q.shown != before
}
