package storagetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Each handle in this file has one wrong method.

// good has no wrong method.
type good struct{ engine.Handle }

// forgetful keeps nothing.
type forgetful struct{ engine.Handle }

func (h forgetful) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, at int64, d *engine.Detail) (bool, error) {
	defer h.Control(ctx, engine.Command{Action: engine.ActionReset})
	return h.Handle.Report(ctx, t, o, at, d)
}

// swallower drops some outcomes and reports that they counted.
type swallower struct{ engine.Handle }

func (h swallower) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, at int64, d *engine.Detail) (bool, error) {
	if rand.IntN(4) == 0 {
		return false, nil
	}
	return h.Handle.Report(ctx, t, o, at, d)
}

// repeater sends a report again, as clients do that retry.
type repeater struct{ engine.Handle }

func (h repeater) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, at int64, d *engine.Detail) (bool, error) {
	h.Handle.Report(ctx, t, o, at, d)
	return h.Handle.Report(ctx, t, o, at, d)
}

// probing lets calls through that find no slot free.
type probing struct{ engine.Handle }

func (h probing) Acquire(ctx context.Context) (engine.Ticket, error) {
	return admitting(ctx, engine.ReasonProbing, h.Handle)
}

// forcing lets calls through in forced open.
type forcing struct{ engine.Handle }

func (h forcing) Acquire(ctx context.Context) (engine.Ticket, error) {
	return admitting(ctx, engine.ReasonForced, h.Handle)
}

func admitting(ctx context.Context, reason engine.Reason, h engine.Handle) (engine.Ticket, error) {
	t, err := h.Acquire(ctx)
	var e *engine.RejectedError
	if errors.As(err, &e) && e.Reason == reason {
		return engine.Ticket{}, nil
	}
	return t, err
}

// checker decides in the client, between two operations, that it is time to
// try: what most breakers on a shared store do.
type checker struct{ engine.Handle }

func (h checker) Acquire(ctx context.Context) (engine.Ticket, error) {
	if s := h.Status(); s.State == engine.StateOpen && s.RetryAfter == 0 {
		time.Sleep(10 * time.Millisecond) // a slow network
		h.Control(ctx, engine.Command{Action: engine.ActionHalfOpen})
	}
	return h.Handle.Acquire(ctx)
}

// fenceless takes every result for one of now.
type fenceless struct{ engine.Handle }

func (h fenceless) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, at int64, d *engine.Detail) (bool, error) {
	now, err := h.Step(ctx, engine.Batch{})
	if err != nil {
		return false, err
	}
	t.Epoch = now.Epoch
	return h.Handle.Report(ctx, t, o, at, d)
}

// miser does not give slots back.
type miser struct{ engine.Handle }

func (h miser) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, at int64, d *engine.Detail) (bool, error) {
	if o == engine.Ignored {
		return false, nil
	}
	return h.Handle.Report(ctx, t, o, at, d)
}

// stranger has its own idea of a rejection.
type stranger struct{ engine.Handle }

func (h stranger) Acquire(ctx context.Context) (engine.Ticket, error) {
	t, err := h.Handle.Acquire(ctx)
	if errors.Is(err, engine.ErrRejected) {
		err = errors.New("circuit breaker is open")
	}
	return t, err
}

// copier makes an error for each rejection.
type copier struct{ engine.Handle }

func (h copier) Acquire(ctx context.Context) (engine.Ticket, error) {
	t, err := h.Handle.Acquire(ctx)
	var e *engine.RejectedError
	if errors.As(err, &e) {
		own := *e
		err = &own
	}
	return t, err
}

// endless leaves out the end of a rejection.
type endless struct{ engine.Handle }

func (h endless) Acquire(ctx context.Context) (engine.Ticket, error) {
	t, err := h.Handle.Acquire(ctx)
	var e *engine.RejectedError
	if errors.As(err, &e) {
		err = engine.NewRejected(*e, 0, nil)
	}
	return t, err
}

// bully acts whatever the epoch.
type bully struct{ engine.Handle }

func (h bully) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	c.IfEpoch = 0
	return h.Handle.Control(ctx, c)
}

// comparer compares the epoch itself, and acts later.
type comparer struct{ engine.Handle }

func (h comparer) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	if c.IfEpoch > 0 {
		now, err := h.Step(ctx, engine.Batch{})
		if err != nil || now.Epoch != c.IfEpoch {
			return engine.Snapshot{}, engine.ErrConflict
		}
		time.Sleep(10 * time.Millisecond) // a slow network
		c.IfEpoch = 0
	}
	return h.Handle.Control(ctx, c)
}

// splitter makes a step of each run.
type splitter struct{ engine.Handle }

func (h splitter) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	for _, res := range b.Results {
		for _, run := range res.Runs {
			part := results(res.Ticket, run)
			if r, err := h.Handle.Step(ctx, part); err != nil {
				return r, err
			}
		}
	}
	b.Results = nil
	return h.Handle.Step(ctx, b)
}

// single asks for one admission at a time.
type single struct{ engine.Handle }

func (h single) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	b.Admissions = min(b.Admissions, 1)
	return h.Handle.Step(ctx, b)
}

// eager does not look at the context.
type eager struct{ engine.Handle }

func (h eager) Acquire(context.Context) (engine.Ticket, error) {
	return h.Handle.Acquire(context.Background())
}

// quitter drops the report of a caller that has left.
type quitter struct{ engine.Handle }

func (h quitter) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, at int64, d *engine.Detail) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return h.Handle.Report(ctx, t, o, at, d)
}

// liar returns a status before the first call.
type liar struct{ engine.Handle }

func (h liar) Status() engine.Status { return engine.Status{} }

// immortal cannot be closed.
type immortal struct{ engine.Handle }

func (h immortal) Close() error { return nil }

// cleaner stores only what looks well.
type cleaner struct{ engine.Handle }

func (h cleaner) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	c.Reason = strings.ToValidUTF8(c.Reason, "?")
	return h.Handle.Control(ctx, c)
}
