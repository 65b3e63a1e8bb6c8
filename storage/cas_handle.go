package storage

import (
	"context"

	"github.com/redbreaker/redbreaker/engine"
)

// casHandle is one breaker in a custom store as this process sees it.
type casHandle struct {
	steps
	cas   *CAS
	lane  *lane
	rules engine.Rules
}

func newCASHandle(c *CAS, name string, rules engine.Rules, sink func(engine.Event)) *casHandle {
	h := &casHandle{cas: c, lane: c.lane(name), rules: rules}
	h.steps = steps{
		name: name, reporter: c.reporter, start: c.start, over: &c.closed,
		guard: func() *guard { return c.guard }, take: h.take,
		trial: func() error { _, err := h.ask(context.Background(), "step", engine.Batch{}); return err },
	}
	h.Tracker = engine.NewTracker(name, &h.rules, h.Now, sink)
	return h
}

func (h *casHandle) take(ctx context.Context, verb string, b engine.Batch) (engine.Reply, error) {
	pass, err := h.pass(verb)
	if err != nil {
		return engine.Reply{}, err
	}
	r, err := h.ask(ctx, verb, b)
	pass.leave(err)
	return r, err
}

func (h *casHandle) ask(ctx context.Context, what string, b engine.Batch) (engine.Reply, error) {
	var r engine.Reply
	err := h.lane.do(ctx, &op{
		what:     what,
		apply:    func(record *engine.Record, now int64) { r = record.Step(&h.rules, now, h.cas.random(), b) },
		stands:   func() { h.ApplyReply(b, r) },
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
	b := engine.Batch{Reporter: h.reporter}
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
	if err := h.commands(c); err != nil {
		return engine.Snapshot{}, err
	}
	return h.lane.control(ctx, c, func(*engine.Record) *engine.Rules { return &h.rules }, h.ApplyCommand)
}
