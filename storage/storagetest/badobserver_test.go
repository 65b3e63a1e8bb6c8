package storagetest

import (
	"context"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
)

// observable makes a memory's handles observable, with one mistake or none.
type observable struct {
	engine.Handle
	fn func(engine.Observation)

	late    bool // it takes the time of the reply for that of the question
	mute    bool // it hides commands
	twice   bool // it shows each step twice
	silent  bool // it asks for no standing
	forever bool // it shows steps after the end
}

func (h *observable) Observe(fn func(engine.Observation)) {
	if fn != nil || !h.forever {
		h.fn = fn
	}
}

func (h *observable) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	if h.fn == nil {
		return h.Handle.Step(ctx, b)
	}
	b.AskStanding = b.AskStanding || !h.silent
	asked := h.Now()
	r, err := h.Handle.Step(ctx, b)
	if h.late {
		asked++
	}
	for range map[bool]int{false: 1, true: 2}[h.twice] {
		h.fn(engine.Observation{Batch: &b, Reply: &r, AskedNS: asked})
	}
	return r, err
}

func (h *observable) Acquire(ctx context.Context) (engine.Ticket, error) {
	r, err := h.Step(ctx, engine.Batch{Admissions: 1})
	if err != nil || r.Granted == 0 {
		return h.Handle.Acquire(ctx)
	}
	return engine.Ticket{Epoch: r.Epoch, Lease: r.FirstLease}, nil
}

func (h *observable) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, _ int64, _ *engine.Detail) (bool, error) {
	r, err := h.Step(ctx, engine.Batch{Results: []engine.Result{{Ticket: t, Runs: []engine.Run{{Outcome: o, N: 1}}}}})
	return r.Stale > 0, err
}

func (h *observable) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	if h.fn != nil && !h.mute {
		h.fn(engine.Observation{})
	}
	return h.Handle.Control(ctx, c)
}

// observers wraps a storage's handles into observable ones.
func observers(bad observable) func(engine.Storage) engine.Storage {
	return func(s engine.Storage) engine.Storage {
		return wrapping{s, func(h engine.Handle) engine.Handle {
			own := bad
			own.Handle = h
			return &own
		}}
	}
}

func TestRun_catchesBadObservers(t *testing.T) {
	for does, bad := range map[string]struct {
		caught   string
		observer observable
	}{
		"takes the time of the reply": {"observer_sees_each_step", observable{late: true}},
		"hides commands":              {"observer_sees_commands", observable{mute: true}},
		"shows a step twice":          {"observer_sees_each_step", observable{twice: true}},
		"asks for no standing":        {"observer_sees_each_step", observable{silent: true}},
		"shows steps after the end":   {"observer_sees_each_step", observable{forever: true}},
		"has no fault":                {"", observable{}},
	} {
		for _, test := range standings {
			s := runOnStandIn(t, onMemory(observers(bad.observer)), test)
			if s.failed != (test.name == bad.caught) {
				t.Errorf("%s, of handles of which one %s: failed is %t: %s", test.name, does, s.failed, strings.Join(s.said, "\n"))
			}
		}
	}
}

// forgetfulStanding is that of a storage whose standing is as of the last outcome.
type forgetfulStanding struct{ engine.Handle }

func (h forgetfulStanding) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	r, err := h.Handle.Step(ctx, b)
	if r.Standing.Known && r.Standing.Window == (engine.WindowSums{}) {
		r.Standing.Window = engine.WindowSums{Calls: 2, Failures: 1}
	}
	return r, err
}

// generousStanding leaves the last failure out.
type generousStanding struct{ engine.Handle }

func (h generousStanding) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	r, err := h.Handle.Step(ctx, b)
	r.Standing.Streak, r.Standing.Window.Failures = max(0, r.Standing.Streak-1), max(0, r.Standing.Window.Failures-1)
	return r, err
}

// talkativeStanding comes with each reply.
type talkativeStanding struct{ engine.Handle }

func (h talkativeStanding) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	b.AskStanding = true
	return h.Handle.Step(ctx, b)
}
