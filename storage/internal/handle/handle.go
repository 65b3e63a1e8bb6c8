// Package handle has what the handles of all storages share: how an operation
// becomes a batch, and what a handle refuses.
package handle

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
)

// Sender is the part of a handle that differs between storages.
type Sender interface {
	// SendBatch runs a batch as one step, possibly shared with other operations,
	// with a permission of the guard. op names the operation in errors, which
	// are engine.ErrStopped, the context's, or a *engine.StorageError.
	SendBatch(ctx context.Context, op string, b engine.Batch) (engine.Reply, error)
	// Trial asks a storage that the guard keeps callers from, with a step that
	// carries nothing.
	Trial() error
}

// Base implements engine.Handle but for Control. A storage's handle embeds it
// and is its Sender.
type Base struct {
	*engine.Tracker
	Sender
	Name     string
	Reporter string
	// Start is when the storage was made: the handle's clock counts from there.
	Start time.Time
	// StorageClosed is set once the storage is closed.
	StorageClosed *atomic.Bool

	closed atomic.Bool
}

// Acquire asks to admit one call.
func (h *Base) Acquire(ctx context.Context) (engine.Ticket, error) {
	r, err := h.SendBatch(ctx, "acquire", engine.Batch{Admissions: 1})
	if err != nil {
		return engine.Ticket{}, err
	}
	return h.Decision(&r, 0)
}

// Report counts how an admitted call ended.
func (h *Base) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, _ int64, d *engine.Detail) (bool, error) {
	if !t.Counted() || o == engine.Ignored && t.Lease == 0 {
		return false, nil
	}
	b := engine.Batch{
		Results:  []engine.Result{{Ticket: t, Runs: []engine.Run{{Outcome: o, N: 1}}}},
		Reporter: h.Reporter,
	}
	if d != nil {
		b.Detail = *d
	}
	if err := b.Validate(); err != nil {
		return false, err
	}
	// The call has ended and its outcome is known: that the caller goes away must
	// not keep it from the fleet.
	r, err := h.SendBatch(context.WithoutCancel(ctx), "report", b)
	return r.Stale > 0, err
}

// Step runs a batch as one atomic step.
func (h *Base) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	if err := b.Validate(); err != nil {
		return engine.Reply{}, err
	}
	return h.SendBatch(ctx, "step", cloneBatch(b))
}

// WithStanding returns a batch that asks for the standing if the handle is observed:
// what an observer does not learn of a step it has to take for unknown.
func (h *Base) WithStanding(b engine.Batch) engine.Batch {
	if h.IsObserved() {
		b.AskStanding = true
	}
	if b.AskStanding && b.Reporter == "" {
		b.Reporter = h.Reporter // an admission has none, but MinReporters is judged for one
	}
	return b
}

// cloneBatch copies a batch: its caller may leave, and change it, before it is
// sent.
func cloneBatch(b engine.Batch) engine.Batch {
	b.Results = slices.Clone(b.Results)
	for i := range b.Results {
		b.Results[i].Runs = slices.Clone(b.Results[i].Runs)
	}
	return b
}

// Permit asks the guard for one operation. Closed handles and storages get
// engine.ErrStopped.
func (h *Base) Permit(g *guard.Guard, op string) (guard.Permission, error) {
	if h.closed.Load() || h.StorageClosed.Load() {
		return guard.Permission{}, engine.ErrStopped
	}
	return h.PermitAccepted(g, op)
}

// PermitAccepted is Permit for operations that were accepted before: that the
// handle was closed since does not stop them.
func (h *Base) PermitAccepted(g *guard.Guard, op string) (guard.Permission, error) {
	p, err := g.Permit(h.Trial)
	switch {
	case errors.Is(err, engine.ErrStopped):
		return guard.Permission{}, err
	case err != nil:
		return guard.Permission{}, &engine.StorageError{Class: engine.ClassNotExecuted, Op: op, Name: h.Name, Err: err}
	}
	return p, nil
}

// CheckCommand returns why the handle refuses a command, nil if it does not.
func (h *Base) CheckCommand(c engine.Command) error {
	if h.closed.Load() {
		return engine.ErrStopped
	}
	return c.Validate()
}

// Now is this process's monotonic clock in nanoseconds.
func (h *Base) Now() int64 { return ReadClock(h.Start) }

// ReadClock returns the clock of the handles of a storage that was made at start. It
// counts from 1: 0 means not read.
func ReadClock(start time.Time) int64 { return int64(time.Since(start)) + 1 }

// Close makes further operations fail with engine.ErrStopped.
func (h *Base) Close() error {
	h.closed.Store(true)
	return nil
}
