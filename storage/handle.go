package storage

import (
	"context"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// redisHandle is one breaker in Redis as this process sees it.
type redisHandle struct {
	steps
	redis *Redis
	key   string
	rules engine.Rules
}

func newRedisHandle(r *Redis, name, key string, rules engine.Rules, sink func(engine.Event)) *redisHandle {
	h := &redisHandle{redis: r, key: key, rules: rules}
	h.steps = steps{
		name: name, reporter: r.reporter, start: r.start, over: &r.closed,
		guard: func() *guard { return r.guards.of(key) }, ask: h.ask,
	}
	h.Observer = engine.NewObserver(name, &h.rules, h.Now, sink)
	return h
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
	if err := h.commands(c); err != nil {
		return engine.Snapshot{}, err
	}
	s, moves, err := h.redis.control(ctx, h.name, h.key, scripts.ControlArgs(&h.rules, false, random(), c))
	h.Commanded(s, moves)
	return s, err
}
