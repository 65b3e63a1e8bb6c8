package redbreaker

import "sync"

// queueLimit is how many events wait for slow hooks before the oldest is dropped.
const queueLimit = 256

// queue brings the events of one breaker to its hooks, in order, on a goroutine
// that lives only while there are any. It is the sink of the breaker's handle.
type queue struct {
	name  string
	hooks *hooks

	mu      sync.Mutex
	events  []Event
	dropped int // since it was last told
	running bool
	stopped bool

	// The event under way and the hooks that have yet to hear of it. They belong
	// to the goroutine; a hook that ends it leaves them to the next one.
	event *Event // nil while the queue is idle, as it nearly always is
	todo  []func(Event)
}

// put takes an event and never waits: it is called under a storage's lock.
func (q *queue) put(e Event) {
	if len(q.hooks.listeners(e.Kind)) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return
	}
	if len(q.events) == queueLimit {
		q.events = q.events[1:]
		q.dropped++
	}
	q.events = append(q.events, e)
	if !q.running {
		q.running = true
		go q.run()
	}
}

// stop takes no more events; those that wait are still told.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
}

// run tells all events. A hook may panic, which is survived, or end this
// goroutine, in which case another goes on after it.
func (q *queue) run() {
	finished := false
	defer func() {
		if !finished {
			go q.run()
		}
	}()
	for q.next() {
		f := q.todo[0]
		q.todo = q.todo[1:]
		q.hooks.shield(func() { f(*q.event) })
	}
	finished = true
}

// next makes sure that there is a hook to call; false means that this goroutine
// is no longer the one that runs.
func (q *queue) next() bool {
	for len(q.todo) == 0 {
		if !q.take() {
			return false
		}
		q.todo = q.hooks.listeners(q.event.Kind)
	}
	return true
}

// take makes the next event the one under way. What was dropped is told first,
// in the place where it is missing.
func (q *queue) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.dropped > 0:
		q.event = &Event{Kind: EventDropped, Name: q.name, Dropped: q.dropped}
		q.dropped = 0
	case len(q.events) > 0:
		q.event = &q.events[0]
		q.events = q.events[1:]
	default:
		q.running, q.events, q.event = false, nil, nil
		return false
	}
	return true
}
