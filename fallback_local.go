package redbreaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// localBreaker is the in-memory breaker of FallbackLocal during one outage. It is not
// kept for the next outage, since it takes more memory than all else of a breaker. Its
// epochs grow with the clock, so the tickets of earlier outages are stale.
type localBreaker struct {
	engine.Handle
	seeding *atomic.Bool // while set, transitions raise no events
	// marked is the last rejection that markRejection was asked for, with its result.
	marked atomic.Pointer[markedRejection]
}

type markedRejection struct{ original, result *RejectedError }

// newLocalBreaker makes a local breaker on the clock of the handle that it replaces.
func newLocalBreaker(name string, p Policy, now func() int64, sink func(Event)) (*localBreaker, error) {
	seeding := &atomic.Bool{}
	memory := engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(now()) }))
	h, err := memory.Bind(name, p, func(e Event) {
		if !seeding.Load() && e.Transition.Cause != CauseCreated {
			e.Transition.Local = true
			sink(e)
		}
	})
	return &localBreaker{Handle: h, seeding: seeding}, err
}

// Actor and reason of the transition that opens a local breaker when it is seeded,
// for RejectedError.Opened.
const (
	seedActor  = "fallback"
	seedReason = "the last known shared state"
)

// seedFrom gives the local breaker the state and mode of the shared one.
func (l *localBreaker) seedFrom(s Status, p Policy) {
	l.seeding.Store(true)
	defer l.seeding.Store(false)
	l.applyCommand(engine.Command{Action: ActionRelease})
	l.applyCommand(engine.Command{Action: ActionReset})
	switch {
	case s.State == StateHalfOpen:
		l.applyCommand(engine.Command{Action: ActionTrip, For: leaseOf(p), Actor: seedActor, Reason: seedReason})
	case s.State == StateOpen && s.RetryAfter > 0:
		l.applyCommand(engine.Command{Action: ActionTrip, For: s.RetryAfter, Actor: seedActor, Reason: seedReason})
	case s.State == StateOpen: // the open period is over: the next call is a probe
		l.applyCommand(engine.Command{Action: ActionHalfOpen})
	}
	switch s.Mode {
	case ModeForcedOpen:
		l.applyCommand(engine.Command{Action: ActionForceOpen, For: s.ModeFor})
	case ModeForcedClosed:
		l.applyCommand(engine.Command{Action: ActionForceClosed, For: s.ModeFor})
	case ModeShadow:
		l.applyCommand(engine.Command{Action: ActionShadow, For: s.ModeFor})
	}
}

func (l *localBreaker) applyCommand(c engine.Command) {
	_, _ = l.Control(context.Background(), c) // memory accepts every valid command
}

// markRejection returns a rejection of the local breaker whose Opened is marked as
// local. As the rejections of one period share an error, it allocates once a period.
func (l *localBreaker) markRejection(r *RejectedError) *RejectedError {
	if r.Opened == nil {
		return r
	}
	if last := l.marked.Load(); last != nil && last.original == r {
		return last.result
	}
	opened := *r.Opened
	opened.Local = true
	result := *r
	result.Opened = &opened
	l.marked.Store(&markedRejection{original: r, result: &result})
	return &result
}

// leaseOf returns the lease of a policy after defaults.
func leaseOf(p Policy) time.Duration {
	rules, err := p.Rules()
	if err != nil {
		return engine.DefaultLease
	}
	return time.Duration(rules.LeaseMS) * time.Millisecond
}

// markLocal marks a ticket of the local breaker by negating its epoch, which is
// above 0. The mark takes no field of a Permit, and Report finds the breaker that
// issued the ticket by it.
func markLocal(t Ticket) Ticket { return Ticket{Epoch: -t.Epoch, Lease: t.Lease} }

// unmarkLocal returns the ticket that markLocal marked, and false for a ticket of
// the storage.
func unmarkLocal(t Ticket) (Ticket, bool) {
	return Ticket{Epoch: -t.Epoch, Lease: t.Lease}, t.Epoch < 0
}
