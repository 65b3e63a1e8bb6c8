package storage

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// redisHandle is one breaker in Redis as this process sees it.
type redisHandle struct {
	*engine.Observer
	redis  *Redis
	name   string
	key    string
	rules  engine.Rules
	closed atomic.Bool
}

func (h *redisHandle) Acquire(ctx context.Context) (engine.Ticket, error) {
	r, err := h.step(ctx, "acquire", engine.Batch{Admissions: 1})
	if err != nil {
		return engine.Ticket{}, err
	}
	return h.Admission(&r, 0)
}

func (h *redisHandle) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, _ int64, d *engine.Detail) (bool, error) {
	if !t.Counted() || o == engine.Ignored && t.Lease == 0 {
		return false, nil
	}
	b := engine.Batch{
		Results:  []engine.Result{{Ticket: t, Runs: []engine.Run{{Outcome: o, N: 1}}}},
		Reporter: h.redis.reporter,
	}
	if d != nil {
		b.Detail = *d
	}
	if err := b.Validate(); err != nil {
		return false, err
	}
	// The call is over, and what it cost is known: the caller's end must not
	// keep that from the fleet.
	r, err := h.step(context.WithoutCancel(ctx), "report", b)
	return r.Stale > 0, err
}

func (h *redisHandle) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	if err := b.Validate(); err != nil {
		return engine.Reply{}, err
	}
	return h.step(ctx, "step", b)
}

// step asks Redis, unless the guard leaves it alone.
func (h *redisHandle) step(ctx context.Context, op string, b engine.Batch) (engine.Reply, error) {
	if h.closed.Load() || h.redis.closed.Load() {
		return engine.Reply{}, engine.ErrStopped
	}
	guard := h.redis.guards.of(h.key)
	t, err := guard.enter(h.trial)
	if err != nil {
		return engine.Reply{}, &engine.StorageError{Class: engine.ClassNotExecuted, Op: op, Name: h.name, Err: err}
	}
	r, err := h.ask(ctx, op, b)
	guard.leave(t, err)
	return r, err
}

// trial is the guard's question to a storage that it left alone.
func (h *redisHandle) trial() error {
	_, err := h.ask(context.Background(), "step", engine.Batch{})
	return err
}

func (h *redisHandle) ask(ctx context.Context, op string, b engine.Batch) (engine.Reply, error) {
	reply, err := h.redis.do(ctx, op, h.name, h.key, scripts.Step, scripts.StepArgs(&h.rules, random(), b))
	if err != nil {
		return engine.Reply{}, err
	}
	r, err := scripts.DecodeStep(reply, &h.rules, b)
	if err != nil {
		return engine.Reply{}, refused(op, h.name, err)
	}
	h.Observe(b, r)
	return r, nil
}

func (h *redisHandle) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	if h.closed.Load() {
		return engine.Snapshot{}, engine.ErrStopped
	}
	if err := c.Validate(); err != nil {
		return engine.Snapshot{}, err
	}
	s, moves, err := h.redis.control(ctx, h.name, h.key, scripts.ControlArgs(&h.rules, false, random(), c))
	h.Commanded(s, moves)
	return s, err
}

// Now counts from 1: 0 means not read.
func (h *redisHandle) Now() int64 { return int64(time.Since(h.redis.start)) + 1 }

func (h *redisHandle) Close() error {
	h.closed.Store(true)
	return nil
}
