package engine

// Observable is a [Handle] that shows the replies of its steps while it applies them.
// Package redbreaker needs it to decide calls from the last known state.
type Observable interface {
	// Observe makes fn receive an observation of each step and command of this handle,
	// in their order, and of each event of another epoch. From then on each step asks
	// for the standing. nil ends it. fn is called under a lock, so it must not block and
	// not call the handle.
	Observe(fn func(Observation))
}

// Observation is news of a handle's record.
type Observation struct {
	// Batch and Reply are those of a step, possibly shared by several operations. Reply
	// is nil if there was no step: after a command, whatever became of it, nothing is
	// known of the record, and of an event only the epoch. They are valid during the call.
	Batch *Batch
	Reply *Reply
	// AskedNS is the handle's clock just before the step was sent: the record was as in
	// the reply at a moment after it.
	AskedNS int64
	// Epoch is the new epoch of an event, 0 for steps and commands.
	Epoch int64
}

// Observe implements [Observable] for the handles that use the tracker.
func (t *Tracker) Observe(fn func(Observation)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fn == nil {
		t.observer.Store(nil)
		return
	}
	t.observer.Store(&fn)
}

// IsObserved reports whether steps are to ask for the standing.
func (t *Tracker) IsObserved() bool { return t.observer.Load() != nil }

// observeLocked hands an observation to the observer, if there is one.
func (t *Tracker) observeLocked(o Observation) {
	if fn := t.observer.Load(); fn != nil {
		(*fn)(o)
	}
}

// observeReplyLocked hands the reply of a step to the observer, if there is one.
func (t *Tracker) observeReplyLocked(b Batch, r Reply, asked int64) {
	if t.IsObserved() {
		batch, reply := b, r // only these are moved to the heap
		t.observeLocked(Observation{Batch: &batch, Reply: &reply, AskedNS: asked})
	}
}

// observeEpochLocked shows an epoch of which a push or a poll brought the news.
func (t *Tracker) observeEpochLocked(epoch int64) {
	if epoch != t.last.epoch {
		t.observeLocked(Observation{Epoch: epoch})
	}
}

// ObserveEpoch shows an epoch of the record to the observer, whatever the status is. A
// storage that follows records calls it for each event that it does not know yet.
func (t *Tracker) ObserveEpoch(epoch int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.observeEpochLocked(epoch)
}

// ObserveCommand shows that a command of this handle ended without a reply, so that it
// may have been executed.
func (t *Tracker) ObserveCommand() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.observeLocked(Observation{})
}
