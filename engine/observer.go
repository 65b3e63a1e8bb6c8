package engine

import (
	"sync"
	"time"
)

// Observer is what a handle remembers of the replies it got: it turns replies
// into tickets, rejections, status and events. Storages share it, so that a
// breaker looks the same over each of them. Safe for concurrent use.
type Observer struct {
	name  string
	rules *Rules
	now   func() int64
	sink  func(Event)

	mu       sync.Mutex
	last     brief
	heard    int64 // when last was heard; 0: never
	reported int64 // when this process last reported
	rejected *RejectedError
	foreign  map[string]bool // fingerprints of other policies, once each
}

// brief is what is kept of a reply, for as long as there is a handle.
type brief struct {
	state              State
	mode               Mode
	epoch              int64
	leftMS, modeLeftMS int64
}

// NewObserver returns the observer of a handle. now is the handle's Now, sink
// may be nil.
func NewObserver(name string, rules *Rules, now func() int64, sink func(Event)) *Observer {
	if sink == nil {
		sink = func(Event) {}
	}
	return &Observer{name: name, rules: rules, now: now, sink: sink}
}

// Observe takes in the reply to a batch and raises the events that follow from it.
func (o *Observer) Observe(b Batch, r Reply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	if o.lost(r, now) {
		o.sink(Event{Kind: EventLost, Name: o.name, Epoch: o.last.epoch})
	}
	if len(b.Results) > 0 || o.heard == 0 {
		o.reported = now
	}
	o.last = brief{state: r.State, mode: r.Mode, epoch: r.Epoch, leftMS: r.LeftMS, modeLeftMS: r.ModeLeftMS}
	o.heard = now
	o.moved(r.Moved)
	o.skew(r.Policy)
}

// Commanded takes in what a command did: the record after it, and the
// transitions it made.
func (o *Observer) Commanded(s Snapshot, moves []Transition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range moves {
		o.moved(t)
	}
	if s.Exists {
		o.last = brief{
			state: s.State, mode: s.Mode, epoch: s.Epoch,
			leftMS: Millis(s.RetryAfter), modeLeftMS: Millis(s.ModeFor),
		}
		if s.Mode == ModeForcedOpen {
			o.last.leftMS = o.last.modeLeftMS
		}
		o.heard = o.now()
	}
}

// lost reports whether a record that this process knew was gone. One that it
// has not fed for half of its time to live may have expired.
func (o *Observer) lost(r Reply, now int64) bool {
	fed := time.Duration(now-o.reported) <= time.Duration(o.rules.IdleMS)*time.Millisecond/2
	return r.Moved.Cause == CauseCreated && o.last.epoch != 0 && o.last.epoch != r.Epoch && fed
}

func (o *Observer) moved(t Transition) {
	if t.Cause == "" {
		return
	}
	kind := EventTransition
	if t.Cause == CauseHealed {
		kind = EventHealed
	}
	t.Name = o.name
	o.sink(Event{Kind: kind, Name: o.name, Transition: t})
}

// skew tells once of each other policy under this name.
func (o *Observer) skew(fingerprint string) {
	if fingerprint == o.rules.Fingerprint() || fingerprint == "" || o.foreign[fingerprint] {
		return
	}
	if o.foreign == nil {
		o.foreign = map[string]bool{}
	}
	if len(o.foreign) < MaxReporters { // bounded, whatever a record says
		o.foreign[fingerprint] = true
		o.sink(Event{Kind: EventSkew, Name: o.name, Policy: fingerprint})
	}
}

// Admission is what a reply means for the i-th of its admissions, from 0.
func (o *Observer) Admission(r *Reply, i int64) (Ticket, error) {
	switch {
	case i < r.Granted && r.FirstLease == 0:
		return Ticket{Epoch: r.Epoch}, nil
	case i < r.Granted:
		return Ticket{Epoch: r.Epoch, Lease: r.FirstLease + i}, nil
	case r.Admits():
		return Ticket{}, nil
	}
	return Ticket{}, o.rejection(r)
}

// sameEnd is how far two ends of one rejection may lie apart, in ns, and still
// share an error: as much as a network's jitter, less than a caller would notice.
const sameEnd = int64(10 * time.Millisecond)

// rejection returns the error that the rejections of one period share.
func (o *Observer) rejection(r *Reply) *RejectedError {
	deadline := int64(0)
	if r.LeftMS > 0 {
		deadline = o.now() + r.LeftMS*int64(time.Millisecond)
	}
	reason := r.reason()
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.rejected; e != nil && e.Reason == reason && e.State == r.State && within(deadline-e.deadline, -sameEnd, sameEnd) {
		return e
	}
	o.rejected = NewRejected(RejectedError{Name: o.name, Reason: reason, State: r.State, Mode: r.Mode}, deadline, o.now)
	return o.rejected
}

func (r *Reply) reason() Reason {
	switch {
	case r.Mode == ModeForcedOpen:
		return ReasonForced
	case r.State == StateHalfOpen:
		return ReasonProbing
	}
	return ReasonOpen
}

// Status is what was last heard, the time that has passed taken off.
func (o *Observer) Status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.heard == 0 {
		return Status{Age: -1}
	}
	age := time.Duration(o.now() - o.heard)
	mode := ms(o.last.modeLeftMS)
	if mode > 0 && age >= mode { // what an ended mode leaves behind
		return Status{Age: age}
	}
	s := Status{State: o.last.state, Mode: o.last.mode, ModeFor: max(0, mode-age), Age: age}
	if o.last.mode == ModeAuto || o.last.mode == ModeForcedOpen {
		s.RetryAfter = max(0, ms(o.last.leftMS)-age)
	}
	return s
}
