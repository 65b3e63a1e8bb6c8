package redbreaker

// queueLimit is how many events wait for slow hooks before the oldest is dropped.
const queueLimit = 256

// queue delivers the events of one breaker to its hooks, in order, on a goroutine
// of its own. Queue and goroutine exist only while events wait.
type queue struct {
	*core // its mu guards events and dropped

	events  []Event
	dropped int // since the last EventDropped

	// The event in delivery and the hooks that were not called for it yet. Only
	// the goroutine uses them. If a hook ends the goroutine, the next goroutine
	// continues with them.
	current   *Event
	remaining []func(Event)
}

// enqueue is the event sink of the breaker's handle. It never blocks, because it
// is called under a lock of the storage.
func (c *core) enqueue(e Event) {
	if len(c.hooks.listenersOf(e.Kind)) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped.Load() {
		return
	}
	if c.queue == nil {
		c.queue = &queue{core: c}
		go c.queue.deliverAll()
	}
	c.queue.pushLocked(e)
}

// pushLocked appends an event, and drops the oldest if the queue is full.
func (q *queue) pushLocked(e Event) {
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
	for q.hasHook() {
		hook := q.remaining[0]
		q.remaining = q.remaining[1:]
		q.hooks.callSafely(func() { hook(*q.current) })
	}
	finished = true
}

// hasHook reports whether a hook is left to call, and takes the next events until
// there is one. After false, the queue has ended.
func (q *queue) hasHook() bool {
	for len(q.remaining) == 0 {
		if !q.takeEvent() {
			return false
		}
		q.remaining = q.hooks.listenersOf(q.current.Kind)
	}
	return true
}

// takeEvent makes the next event the current one. Dropped events are reported
// first, at the place where they are missing. If no event waits, takeEvent ends
// the queue and returns false.
func (q *queue) takeEvent() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.dropped > 0:
		q.current = &Event{Kind: EventDropped, Name: q.name, Dropped: q.dropped}
		q.dropped = 0
	case len(q.events) > 0:
		q.current = &q.events[0]
		q.events = q.events[1:]
	default:
		q.core.queue = nil
		return false
	}
	return true
}
