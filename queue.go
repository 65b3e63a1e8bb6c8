package redbreaker

// queueLimit is how many events wait for slow hooks before the oldest is dropped.
const queueLimit = 256

// queue brings the events of one breaker to its hooks, in order, on a goroutine
// of its own. Both live only while there are any.
type queue struct {
	*life // its mu guards events and dropped

	events  []Event
	dropped int // since it was last told

	// The event under way and the hooks that have yet to hear of it. They belong
	// to the goroutine; a hook that ends it leaves them to the next one.
	event *Event
	todo  []func(Event)
}

// put is the sink of the breaker's handle. It takes an event and never waits: it
// is called under a storage's lock.
func (l *life) put(e Event) {
	if len(l.hooks.listeners(e.Kind)) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped.Load() {
		return
	}
	if l.queue == nil {
		l.queue = &queue{life: l}
		go l.queue.run()
	}
	l.queue.add(e)
}

// add puts an event behind those that wait. The mutex is held.
func (q *queue) add(e Event) {
	if len(q.events) == queueLimit {
		q.events = q.events[1:]
		q.dropped++
	}
	q.events = append(q.events, e)
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
		q.life.queue = nil
		return false
	}
	return true
}
