package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// casHandle is one breaker in a custom store as this process sees it.
type casHandle struct {
	*engine.Observer
	cas    *CAS
	lane   *lane
	rules  engine.Rules
	closed atomic.Bool
}

func (h *casHandle) Acquire(ctx context.Context) (engine.Ticket, error) {
	r, err := h.step(ctx, "acquire", engine.Batch{Admissions: 1})
	if err != nil {
		return engine.Ticket{}, err
	}
	return h.Admission(&r, 0)
}

func (h *casHandle) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, _ int64, d *engine.Detail) (bool, error) {
	if !t.Counted() || o == engine.Ignored && t.Lease == 0 {
		return false, nil
	}
	b := engine.Batch{
		Results:  []engine.Result{{Ticket: t, Runs: []engine.Run{{Outcome: o, N: 1}}}},
		Reporter: h.cas.reporter,
	}
	if d != nil {
		b.Detail = *d
	}
	if err := b.Validate(); err != nil {
		return false, err
	}
	// The call is over: the caller's end must not keep that from the fleet.
	r, err := h.step(context.WithoutCancel(ctx), "report", b)
	return r.Stale > 0, err
}

func (h *casHandle) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	if err := b.Validate(); err != nil {
		return engine.Reply{}, err
	}
	return h.step(ctx, "step", b)
}

// step takes a batch to the store, unless the guard leaves it alone.
func (h *casHandle) step(ctx context.Context, what string, b engine.Batch) (engine.Reply, error) {
	if h.closed.Load() {
		return engine.Reply{}, engine.ErrStopped
	}
	t, err := h.cas.guard.enter(h.trial)
	if err != nil {
		return engine.Reply{}, &engine.StorageError{Class: engine.ClassNotExecuted, Op: what, Name: h.lane.name, Err: err}
	}
	r, err := h.ask(ctx, what, b)
	h.cas.guard.leave(t, answered(err))
	return r, err
}

// answered is err as the guard should judge it: a store whose races are lost
// does answer.
func answered(err error) error {
	if errors.Is(err, errContended) {
		return nil
	}
	return err
}

// trial is the guard's question to a store that it left alone.
func (h *casHandle) trial() error {
	_, err := h.ask(context.Background(), "step", engine.Batch{})
	return answered(err)
}

func (h *casHandle) ask(ctx context.Context, what string, b engine.Batch) (engine.Reply, error) {
	var r engine.Reply
	err := h.lane.do(ctx, &op{
		what:     what,
		apply:    func(record *engine.Record, now int64) { r = record.Step(&h.rules, now, h.cas.random(), b) },
		stands:   func() { h.Observe(b, r) },
		orphaned: func() { h.giveBack(r) },
	})
	if err != nil {
		return engine.Reply{}, err
	}
	return r, nil
}

// giveBack returns the leases that a caller got who had left, so that others
// need not wait until they run out.
func (h *casHandle) giveBack(r engine.Reply) {
	if r.FirstLease == 0 {
		return
	}
	b := engine.Batch{Reporter: h.cas.reporter}
	for i := range r.Granted {
		b.Results = append(b.Results, engine.Result{
			Ticket: engine.Ticket{Epoch: r.Epoch, Lease: r.FirstLease + i},
			Runs:   []engine.Run{{Outcome: engine.Ignored, N: 1}},
		})
	}
	// Beside the drive that tells of it, which could not wait for itself.
	h.cas.spawn(func() { _, _ = h.ask(context.Background(), "report", b) })
}

func (h *casHandle) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	if h.closed.Load() {
		return engine.Snapshot{}, engine.ErrStopped
	}
	if err := c.Validate(); err != nil {
		return engine.Snapshot{}, err
	}
	return h.lane.control(ctx, c, func(*engine.Record) *engine.Rules { return &h.rules }, h.Commanded)
}

// Now counts from 1: 0 means not read.
func (h *casHandle) Now() int64 { return int64(time.Since(h.cas.start)) + 1 }

func (h *casHandle) Close() error {
	h.closed.Store(true)
	return nil
}
