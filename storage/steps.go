package storage

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// steps is what handles have in common over every storage: operations become
// steps, which the guard lets through, and what comes of them is observed.
type steps struct {
	*engine.Tracker
	name     string
	reporter string
	guard    func() *guard
	// take takes a batch to the storage, past the guard; verb is what errors call it.
	take func(ctx context.Context, verb string, b engine.Batch) (engine.Reply, error)
	// trial asks a storage that was left alone.
	trial  func() error
	start  time.Time
	over   *atomic.Bool // the storage is closed
	closed atomic.Bool
}

func (s *steps) Acquire(ctx context.Context) (engine.Ticket, error) {
	r, err := s.take(ctx, "acquire", engine.Batch{Admissions: 1})
	if err != nil {
		return engine.Ticket{}, err
	}
	return s.Decision(&r, 0)
}

func (s *steps) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, _ int64, d *engine.Detail) (bool, error) {
	if !t.Counted() || o == engine.Ignored && t.Lease == 0 {
		return false, nil
	}
	b := engine.Batch{
		Results:  []engine.Result{{Ticket: t, Runs: []engine.Run{{Outcome: o, N: 1}}}},
		Reporter: s.reporter,
	}
	if d != nil {
		b.Detail = *d
	}
	if err := b.Validate(); err != nil {
		return false, err
	}
	// The call is over, and what it cost is known: the caller's end must not
	// keep that from the fleet.
	r, err := s.take(context.WithoutCancel(ctx), "report", b)
	return r.Stale > 0, err
}

func (s *steps) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	if err := b.Validate(); err != nil {
		return engine.Reply{}, err
	}
	return s.take(ctx, "step", ours(b))
}

// ours is a batch that the caller, who may leave before it is sent, does not have
// his hands on.
func ours(b engine.Batch) engine.Batch {
	b.Results = slices.Clone(b.Results)
	for i := range b.Results {
		b.Results[i].Runs = slices.Clone(b.Results[i].Runs)
	}
	return b
}

// pass is leave to ask the storage; leave gives it back.
type pass struct {
	guard  *guard
	ticket engine.Ticket
}

func (p pass) leave(err error) { p.guard.leave(p.ticket, err) }

func (s *steps) pass(verb string) (pass, error) {
	if s.closed.Load() || s.over.Load() {
		return pass{}, engine.ErrStopped
	}
	return s.enter(verb)
}

// enter is leave by the guard.
func (s *steps) enter(verb string) (pass, error) {
	g := s.guard()
	t, err := g.enter(s.trial)
	if err != nil {
		return pass{}, &engine.StorageError{Class: engine.ClassNotExecuted, Op: verb, Name: s.name, Err: err}
	}
	return pass{g, t}, nil
}

// commands reports whether the handle takes a command.
func (s *steps) commands(c engine.Command) error {
	if s.closed.Load() {
		return engine.ErrStopped
	}
	return c.Validate()
}

// Now counts from 1: 0 means not read.
func (s *steps) Now() int64 { return int64(time.Since(s.start)) + 1 }

func (s *steps) Close() error {
	s.closed.Store(true)
	return nil
}
