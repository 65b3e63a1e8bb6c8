package engine_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// The conformance suite tests the promises of every storage. These tests cover what
// the in-memory engine adds.

// memory is an engine on a clock that the test moves.
func memory(t testing.TB) (*engine.Memory, *atomic.Int64) {
	t.Helper()
	now := &atomic.Int64{}
	now.Store(int64(time.Hour))
	m := engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(now.Load()) }))
	return m, now
}

func bind(t testing.TB, m *engine.Memory, p engine.Policy, sink func(engine.Event)) engine.Handle {
	t.Helper()
	h, err := m.Bind("payments", p, sink)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fail acquires and reports a failure.
func fail(t testing.TB, h engine.Handle) {
	t.Helper()
	ticket, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stale, err := h.Report(t.Context(), ticket, engine.Failure, 0, nil); err != nil || stale {
		t.Fatalf("stale %v, %v", stale, err)
	}
}

func TestMemory_Kind(t *testing.T) {
	if got := engine.NewMemory(engine.WithClock(nil)).Kind(); got != "memory" {
		t.Errorf("kind %q", got)
	}
}

// TestMemory_defaultClock: without an option the engine's time passes by itself,
// and begins above 0.
func TestMemory_defaultClock(t *testing.T) {
	h := bind(t, engine.NewMemory(), engine.Policy{}, nil)
	first := h.Now()
	for deadline := time.Now().Add(30 * time.Second); h.Now() == first; { // the clock's own resolution, no more
		if time.Now().After(deadline) {
			t.Fatal("its time does not pass")
		}
	}
	if first <= 0 || h.Now() < first {
		t.Errorf("%d, then %d", first, h.Now())
	}
}

func TestMemory_Bind_invalid(t *testing.T) {
	m, _ := memory(t)
	h, err := m.Bind("", engine.Policy{OpenFor: -1}, nil)
	want := "redbreaker: the name is empty, name the breaker after what it protects: invalid argument\n" +
		"redbreaker: policy: OpenFor is -1ns, use above 0 to 8784h0m0s (366 days): invalid argument"
	if h != nil || err == nil || err.Error() != want || !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("%v, %v, want %s", h, err, want)
	}
	// MinReporters is 1 in memory, but an invalid one is invalid here, too.
	if _, err := m.Bind("x", engine.Policy{MinReporters: 17}, nil); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("MinReporters 17: %v", err)
	}
}

// TestMemory_oneReporter: the process is one reporter, so it does not wait for
// others to fail as well.
func TestMemory_oneReporter(t *testing.T) {
	m, _ := memory(t)
	h := bind(t, m, engine.Policy{ConsecutiveFailures: 1, MinReporters: 5}, nil)
	fail(t, h)
	if s := h.Status(); s.State != engine.StateOpen {
		t.Errorf("%+v after a failure", s)
	}
}

// TestMemory_shared: two handles of one name share the record, each by its own
// policy; the events of a step leave through the handle that took it.
func TestMemory_shared(t *testing.T) {
	m, now := memory(t)
	var heard [2]string
	sink := func(i int) func(engine.Event) { return func(e engine.Event) { heard[i] += e.Kind.String() + " " } }
	a := bind(t, m, engine.Policy{ConsecutiveFailures: 2, OpenFor: 5 * time.Second}, sink(0))
	b := bind(t, m, engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Second}, sink(1))
	fail(t, a)
	fail(t, b)
	if _, err := a.Acquire(t.Context()); !errors.Is(err, engine.ErrRejected) {
		t.Errorf("through the other handle: %v", err)
	}
	if s := a.Status(); s.State != engine.StateOpen || s.RetryAfter != time.Second {
		t.Errorf("status %+v, want open by the other's policy", s)
	}
	if heard[0] != "transition skew status " || heard[1] != "skew transition " && heard[1] != "transition " {
		t.Errorf("events %q", heard)
	}
	now.Add(int64(time.Second))
	ticket, err := a.Acquire(t.Context())
	if err != nil || ticket.Lease != 1 {
		t.Errorf("at the end of the open period: %+v, %v", ticket, err)
	}
}

// TestMemory_lastHandle: a record lives as long as a handle on it.
func TestMemory_lastHandle(t *testing.T) {
	m, _ := memory(t)
	a, b := bind(t, m, engine.Policy{ConsecutiveFailures: 1}, nil), bind(t, m, engine.Policy{ConsecutiveFailures: 1}, nil)
	fail(t, a)
	for range 2 { // closing twice counts once
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	if s, _ := m.Inspect(t.Context(), "payments"); s.State != engine.StateOpen {
		t.Errorf("with one handle left: %+v", s)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if s, err := m.Inspect(t.Context(), "payments"); err != nil || s.Exists || s.Epoch != -1 || s.Name != "payments" {
		t.Errorf("with none: %+v, %v", s, err)
	}
	// A new handle begins a new record.
	if s := bind(t, m, engine.Policy{}, nil).Status(); s.Age >= 0 {
		t.Errorf("a new handle knows %+v", s)
	}
}

// TestMemory_controlFirst: a command by name makes a record that waits for a
// handle, by the zero policy; a later one acts by the policy of the record.
func TestMemory_controlFirst(t *testing.T) {
	m, now := memory(t)
	s, err := m.Control(t.Context(), "payments", engine.Command{Action: engine.ActionTrip, Actor: "ops"})
	if err != nil || s.State != engine.StateOpen || s.RetryAfter != engine.DefaultOpenFor || s.Name != "payments" {
		t.Fatalf("%+v, %v", s, err)
	}
	h := bind(t, m, engine.Policy{ConsecutiveFailures: 1, OpenFor: 3 * time.Second}, nil)
	if _, err := h.Acquire(t.Context()); !errors.Is(err, engine.ErrRejected) {
		t.Errorf("%v, want a rejection", err)
	}
	now.Add(int64(engine.DefaultOpenFor))
	ticket, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Report(t.Context(), ticket, engine.Success, h.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if s, err = m.Control(t.Context(), "payments", engine.Command{Action: engine.ActionTrip}); err != nil || s.RetryAfter != 3*time.Second {
		t.Errorf("by the record's policy: %+v, %v", s, err)
	}
}

// TestMemory_Status_endedMode: a mode whose time is over is shown as auto, though no
// step has ended it.
func TestMemory_Status_endedMode(t *testing.T) {
	for _, action := range []engine.Action{engine.ActionForceOpen, engine.ActionForceClosed, engine.ActionShadow} {
		m, now := memory(t)
		h := bind(t, m, engine.Policy{}, nil)
		if _, err := h.Control(t.Context(), engine.Command{Action: action, For: time.Second}); err != nil {
			t.Fatal(err)
		}
		now.Add(int64(time.Second))
		if diff := cmp.Diff(engine.Status{}, h.Status()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", action, diff)
		}
	}
}

// TestMemory_control_refused: a refused command creates no record.
func TestMemory_control_refused(t *testing.T) {
	m, _ := memory(t)
	for want, c := range map[error]engine.Command{
		engine.ErrInvalid:  {},
		engine.ErrConflict: {Action: engine.ActionReset, IfEpoch: 7},
	} {
		if _, err := m.Control(t.Context(), "payments", c); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", c, err, want)
		}
	}
	if _, err := m.Control(t.Context(), "", engine.Command{Action: engine.ActionReset}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("no name: %v", err)
	}
	if s, _ := m.Inspect(t.Context(), "payments"); s.Exists {
		t.Errorf("%+v", s)
	}
	if _, err := m.Inspect(t.Context(), ""); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("no name: %v", err)
	}
	h := bind(t, m, engine.Policy{}, nil)
	if _, err := h.Control(t.Context(), engine.Command{}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("through a handle: %v", err)
	}
}

// TestMemory_closed: after Close everything through the handle, or the engine,
// fails with ErrStopped.
func TestMemory_closed(t *testing.T) {
	for name, end := range map[string]func(*engine.Memory, engine.Handle) error{
		"handle": func(_ *engine.Memory, h engine.Handle) error { return h.Close() },
		"engine": func(m *engine.Memory, _ engine.Handle) error { return m.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := memory(t)
			h := bind(t, m, engine.Policy{}, nil)
			ticket, err := h.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := end(m, h); err != nil {
				t.Fatal(err)
			}
			_, acquired := h.Acquire(t.Context())
			_, reported := h.Report(t.Context(), ticket, engine.Failure, 0, nil)
			_, stepped := h.Step(t.Context(), engine.Batch{})
			_, commanded := h.Control(t.Context(), engine.Command{Action: engine.ActionTrip})
			for op, err := range map[string]error{"Acquire": acquired, "Report": reported, "Step": stepped, "Control": commanded} {
				if !errors.Is(err, engine.ErrStopped) {
					t.Errorf("%s: %v, want ErrStopped", op, err)
				}
			}
			if name != "engine" {
				return
			}
			_, bound := m.Bind("other", engine.Policy{}, nil)
			_, controlled := m.Control(t.Context(), "payments", engine.Command{Action: engine.ActionTrip})
			_, inspected := m.Inspect(t.Context(), "payments")
			for op, err := range map[string]error{"Bind": bound, "Control": controlled, "Inspect": inspected} {
				if !errors.Is(err, engine.ErrStopped) {
					t.Errorf("%s: %v, want ErrStopped", op, err)
				}
			}
		})
	}
}

// TestMemory_contexts: a context that is done ends an admission or a command. A
// report uses only its context's values.
func TestMemory_contexts(t *testing.T) {
	m, _ := memory(t)
	h := bind(t, m, engine.Policy{ConsecutiveFailures: 1}, nil)
	ticket, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, stepped := h.Step(ctx, engine.Batch{})
	_, commanded := h.Control(ctx, engine.Command{Action: engine.ActionTrip})
	_, controlled := m.Control(ctx, "payments", engine.Command{Action: engine.ActionTrip})
	_, inspected := m.Inspect(ctx, "payments")
	for op, err := range map[string]error{"Step": stepped, "Control": commanded, "Control by name": controlled, "Inspect": inspected} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's error", op, err)
		}
	}
	if stale, err := h.Report(ctx, ticket, engine.Failure, 0, nil); stale || err != nil {
		t.Errorf("Report: stale %v, %v", stale, err)
	}
	if s := h.Status(); s.State != engine.StateOpen {
		t.Errorf("%+v: the failure did not count", s)
	}
}

// TestMemory_Report: an uncounted outcome is not stale, and a detail reaches the log.
func TestMemory_Report(t *testing.T) {
	m, _ := memory(t)
	h := bind(t, m, engine.Policy{ConsecutiveFailures: 1}, nil)
	ticket, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ticket  engine.Ticket
		outcome engine.Outcome
		stale   bool
	}{
		{engine.Ticket{}, engine.Failure, false}, {ticket, engine.Ignored, false}, {ticket, engine.Success, false},
		{engine.Ticket{Epoch: 1}, engine.Success, true}, {engine.Ticket{Epoch: ticket.Epoch, Lease: 3}, engine.Ignored, true},
	} {
		if stale, err := h.Report(t.Context(), test.ticket, test.outcome, 0, nil); stale != test.stale || err != nil {
			t.Errorf("%+v: stale %v, %v", test, stale, err)
		}
	}
	if _, err := h.Step(t.Context(), engine.Batch{Admissions: -1}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("an invalid batch: %v", err)
	}
	detail := &engine.Detail{OpenFor: 5 * time.Minute, Text: "503"}
	if _, err := h.Report(t.Context(), ticket, engine.Failure, 0, detail); err != nil {
		t.Fatal(err)
	}
	s, err := m.Inspect(t.Context(), "payments")
	if err != nil || s.RetryAfter != 5*time.Minute || s.Log[len(s.Log)-1].Text != "503" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestMemory_Status(t *testing.T) {
	m, now := memory(t)
	h := bind(t, m, engine.Policy{ConsecutiveFailures: 1, OpenFor: 5 * time.Second}, nil)
	check := func(when string, want engine.Status) {
		t.Helper()
		if diff := cmp.Diff(want, h.Status()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	control := func(c engine.Command) {
		t.Helper()
		if _, err := h.Control(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	check("nothing happened yet", engine.Status{Age: -1})
	fail(t, h)
	now.Add(int64(2 * time.Second))
	check("open", engine.Status{State: engine.StateOpen, RetryAfter: 3 * time.Second})
	control(engine.Command{Action: engine.ActionShadow, For: time.Minute})
	check("shadow rejects nothing", engine.Status{State: engine.StateOpen, Mode: engine.ModeShadow, ModeFor: time.Minute})
	control(engine.Command{Action: engine.ActionForceOpen, For: time.Minute})
	check("forced open", engine.Status{Mode: engine.ModeForcedOpen, ModeFor: time.Minute, RetryAfter: time.Minute})
	now.Add(int64(time.Hour))
	check("the mode is over", engine.Status{})
}

// TestMemory_concurrent: whatever goroutines do at once, each outcome counts
// once, and at the end of an open period exactly the probes pass.
func TestMemory_concurrent(t *testing.T) {
	const goroutines, each = 16, 200
	m, now := memory(t)
	policy := engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Second, HalfOpen: engine.HalfOpen{Probes: 3},
		Window: engine.Window{Calls: 10_000, FailureCount: 10_000}}
	h := bind(t, m, policy, nil)
	parallel(goroutines, func() {
		own, err := m.Bind("payments", policy, nil)
		if err != nil {
			t.Error(err)
			return
		}
		for range each {
			ticket, err := own.Acquire(context.Background())
			if err == nil {
				_, err = own.Report(context.Background(), ticket, engine.Success, own.Now(), nil)
			}
			if err != nil {
				t.Error(err)
				return
			}
			_ = own.Status()
			_, _ = m.Inspect(context.Background(), "payments")
		}
		_ = own.Close()
	})
	if s, _ := m.Inspect(t.Context(), "payments"); s.Calls != goroutines*each || s.Failures != 0 {
		t.Errorf("%d calls, %d failures of %d successes", s.Calls, s.Failures, goroutines*each)
	}
	fail(t, h)
	now.Add(int64(time.Second))
	var admitted atomic.Int64
	parallel(goroutines, func() {
		for range each {
			if _, err := h.Acquire(context.Background()); err == nil {
				admitted.Add(1)
			} else if !errors.Is(err, engine.ErrRejected) {
				t.Error(err)
			}
		}
	})
	if n := admitted.Load(); n != 3 {
		t.Errorf("%d probes were admitted, want 3", n)
	}
}

// parallel runs f in n goroutines at once and waits for them.
func parallel(n int, f func()) {
	var all sync.WaitGroup
	for range n {
		all.Add(1)
		go func() {
			defer all.Done()
			f()
		}()
	}
	all.Wait()
}
