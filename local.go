package redbreaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// local is the breaker of this process that decides while the storage does not
// answer. It is one for all outages: seeding it begins a new epoch, so a ticket
// of an earlier outage is stale.
type local struct {
	engine.Handle
	quiet *atomic.Bool // while it is seeded, nobody is told
}

// newLocal makes the local breaker, on the clock of the handle that it stands in
// for.
func newLocal(name string, p Policy, now func() int64, sink func(Event)) (*local, error) {
	quiet := &atomic.Bool{}
	memory := engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(now()) }))
	h, err := memory.Bind(name, p, func(e Event) {
		if !quiet.Load() && e.Transition.Cause != CauseCreated {
			e.Transition.Local = true
			sink(e)
		}
	})
	return &local{Handle: h, quiet: quiet}, err
}

// seed begins anew with what was last heard of the shared breaker.
func (l *local) seed(s Status, p Policy) {
	l.quiet.Store(true)
	defer l.quiet.Store(false)
	l.do(engine.Command{Action: ActionRelease})
	l.do(engine.Command{Action: ActionReset})
	switch {
	case s.State == StateHalfOpen:
		l.do(engine.Command{Action: ActionTrip, For: leaseOf(p)})
	case s.State == StateOpen && s.RetryAfter > 0:
		l.do(engine.Command{Action: ActionTrip, For: s.RetryAfter})
	case s.State == StateOpen: // its time is up: the next call would have been a probe
		l.do(engine.Command{Action: ActionHalfOpen})
	}
	switch s.Mode {
	case ModeForcedOpen:
		l.do(engine.Command{Action: ActionForceOpen, For: s.ModeFor})
	case ModeForcedClosed:
		l.do(engine.Command{Action: ActionForceClosed, For: s.ModeFor})
	case ModeShadow:
		l.do(engine.Command{Action: ActionShadow, For: s.ModeFor})
	}
}

func (l *local) do(c engine.Command) {
	_, _ = l.Control(context.Background(), c) // memory takes every valid command
}

// leaseOf is the lease of a policy after defaults.
func leaseOf(p Policy) time.Duration {
	rules, err := p.Rules()
	if err != nil {
		return engine.DefaultLease
	}
	return time.Duration(rules.LeaseMS) * time.Millisecond
}

// asLocal marks a ticket as the local breaker's, by negating its epoch: epochs
// are above 0. So a Permit settles where it was issued.
func asLocal(t Ticket) Ticket { return Ticket{Epoch: -t.Epoch, Lease: t.Lease} }

// fromLocal undoes asLocal. It reports false for a ticket of the storage.
func fromLocal(t Ticket) (Ticket, bool) {
	return Ticket{Epoch: -t.Epoch, Lease: t.Lease}, t.Epoch < 0
}
