package storage

import (
	"context"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// redisHandle is one breaker in Redis as this process sees it.
type redisHandle struct {
	steps
	group group
	redis *Redis
	key   string
	rules engine.Rules
}

func newRedisHandle(r *Redis, name, key string, rules engine.Rules, sink func(engine.Event)) *redisHandle {
	h := &redisHandle{redis: r, key: key, rules: rules}
	h.group.handle = h
	h.steps = steps{
		name: name, reporter: r.reporter, start: r.start, over: &r.closed,
		guard: func() *guard { return r.guards.of(key) }, take: h.group.take,
		trial: func() error {
			_, err := h.ask(context.Background(), time.Now(), "step", engine.Batch{})
			return err
		},
	}
	h.Tracker = engine.NewTracker(name, &h.rules, h.Now, sink)
	return h
}

// ask runs a batch as one step; the bound counts from since.
func (h *redisHandle) ask(ctx context.Context, since time.Time, verb string, b engine.Batch) (engine.Reply, error) {
	reply, err := h.redis.do(ctx, since, verb, h.name, h.key, scripts.Step, scripts.StepArgs(&h.rules, random(), b))
	if err != nil {
		return engine.Reply{}, err
	}
	r, err := scripts.DecodeStep(reply, &h.rules, b)
	if err != nil {
		return engine.Reply{}, refused(verb, h.name, err)
	}
	h.ApplyReply(b, r)
	return r, nil
}

func (h *redisHandle) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	if err := h.commands(c); err != nil {
		return engine.Snapshot{}, err
	}
	var s engine.Snapshot
	var verdict error
	err := h.group.alone(ctx, func(ctx context.Context, since time.Time) {
		var moves []engine.Transition
		s, moves, verdict = h.redis.control(ctx, since, h.name, h.key, scripts.ControlArgs(&h.rules, false, random(), c))
		h.ApplyCommand(s, moves)
	})
	if err != nil {
		return engine.Snapshot{}, err
	}
	return s, verdict
}
