package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

// Tracker is what a handle remembers of the replies it got: it turns replies
// into tickets, rejections, status and events. Storages share it, so that a
// breaker looks the same over each of them. Safe for concurrent use.
type Tracker struct {
	teller
	now      func() int64
	rejected sharedRejection

	mu       sync.Mutex // guards the teller, too
	last     brief
	heard    int64 // when last was heard; 0: never
	reported int64 // when this process last reported
}

// teller raises the events that follow from a reply alone.
type teller struct {
	name    string
	rules   *Rules
	sink    func(Event)
	foreign map[string]bool // fingerprints of other policies, once each
}

// sharedRejection is the error that the rejections of one period share.
type sharedRejection struct{ last atomic.Pointer[RejectedError] }

// brief is what is kept of a reply, for as long as there is a handle.
type brief struct {
	state              State
	mode               Mode
	epoch              int64
	leftMS, modeLeftMS int64
}

// NewTracker returns the observer of a handle. now is the handle's Now, sink
// may be nil.
func NewTracker(name string, rules *Rules, now func() int64, sink func(Event)) *Tracker {
	return &Tracker{teller: newTeller(name, rules, sink), now: now}
}

func newTeller(name string, rules *Rules, sink func(Event)) teller {
	if sink == nil {
		sink = func(Event) {}
	}
	return teller{name: name, rules: rules, sink: sink}
}

// ApplyReply takes in the reply to a batch and raises the events that follow from it.
func (o *Tracker) ApplyReply(b Batch, r Reply) {
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
	o.moved(r.Transition)
	o.skew(r.Policy)
}

// ApplyCommand takes in what a command did: the record after it, and the
// transitions it made.
func (o *Tracker) ApplyCommand(s Snapshot, moves []Transition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range moves {
		o.moved(t)
	}
	if s.Exists {
		o.last = brief{
			state: s.State, mode: s.Mode, epoch: s.Epoch,
			leftMS: CeilMillis(s.RetryAfter), modeLeftMS: CeilMillis(s.ModeFor),
		}
		if s.Mode == ModeForcedOpen {
			o.last.leftMS = o.last.modeLeftMS
		}
		o.heard = o.now()
	}
}

// lost reports whether a record that this process knew was gone. One that it
// has not fed for half of its time to live may have expired.
func (o *Tracker) lost(r Reply, now int64) bool {
	fed := time.Duration(now-o.reported) <= time.Duration(o.rules.IdleMS)*time.Millisecond/2
	return r.Transition.Cause == CauseCreated && o.last.epoch != 0 && o.last.epoch != r.Epoch && fed
}

func (t *teller) moved(move Transition) {
	if move.Cause == "" {
		return
	}
	kind := EventTransition
	if move.Cause == CauseHealed {
		kind = EventHealed
	}
	move.Name = t.name
	t.sink(Event{Kind: kind, Name: t.name, Transition: move})
}

// skew tells once of each other policy under this name.
func (t *teller) skew(fingerprint string) {
	if fingerprint == t.rules.Fingerprint() || fingerprint == "" || t.foreign[fingerprint] {
		return
	}
	if t.foreign == nil {
		t.foreign = map[string]bool{}
	}
	if len(t.foreign) < MaxReporters { // bounded, whatever a record says
		t.foreign[fingerprint] = true
		t.sink(Event{Kind: EventSkew, Name: t.name, Policy: fingerprint})
	}
}

// Decision is what a reply means for the i-th of its admissions, from 0.
func (o *Tracker) Decision(r *Reply, i int64) (Ticket, error) {
	return o.rejected.admission(o.name, r, i, o.now)
}

func (s *sharedRejection) admission(name string, r *Reply, i int64, now func() int64) (Ticket, error) {
	switch {
	case i < r.Granted && r.FirstLease == 0:
		return Ticket{Epoch: r.Epoch}, nil
	case i < r.Granted:
		return Ticket{Epoch: r.Epoch, Lease: r.FirstLease + i}, nil
	case r.AdmitsUncounted():
		return Ticket{}, nil
	}
	return Ticket{}, s.of(name, r, now)
}

// sameEnd is how far two ends of one rejection may lie apart, in ns, and still
// share an error: as much as a network's jitter, less than a caller would notice.
const sameEnd = int64(10 * time.Millisecond)

// of returns the error of a reply that rejects, the last one if it still holds.
func (s *sharedRejection) of(name string, r *Reply, now func() int64) *RejectedError {
	deadline := int64(0)
	if r.LeftMS > 0 {
		deadline = now() + r.LeftMS*int64(time.Millisecond)
	}
	e := RejectedError{Name: name, Reason: r.reason(), State: r.State, Mode: r.Mode}
	for {
		last := s.last.Load()
		if last != nil && last.Reason == e.Reason && last.State == e.State && within(deadline-last.deadline, -sameEnd, sameEnd) {
			return last
		}
		if next := NewRejected(e, deadline, now); s.last.CompareAndSwap(last, next) {
			return next
		}
	}
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
func (o *Tracker) Status() Status {
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
