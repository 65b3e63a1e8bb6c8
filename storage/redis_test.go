package storage_test

import (
	"errors"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

func TestBind_faults(t *testing.T) {
	_, rdb := redistest.Mini(t)
	s := newStorage(t, rdb)
	for _, test := range []struct {
		name   string
		policy engine.Policy
		want   []string
	}{
		{"", engine.Policy{}, []string{"redbreaker: the name is empty"}},
		{"dep", engine.Policy{ConsecutiveFailures: -1}, []string{"ConsecutiveFailures"}},
		{"", engine.Policy{OpenFor: -1, MinReporters: 17}, []string{"the name is empty", "OpenFor", "MinReporters"}},
	} {
		h, err := s.Bind(test.name, test.policy, nil)
		if h != nil || !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("got %v, %v; want an invalid argument", h, err)
		}
		wantSays(t, err, test.want...)
	}
}

func TestRedis_badArguments(t *testing.T) {
	m, rdb := redistest.Mini(t)
	s := newStorage(t, rdb)
	h, _ := bind(t, s, opensAtOnce)
	for what, call := range map[string]func() error{
		"control by no name":       func() error { _, err := s.Control(ctx, "", engine.Command{Action: engine.ActionTrip}); return err },
		"control by name, no verb": func() error { _, err := s.Control(ctx, name, engine.Command{}); return err },
		"control, no verb":         func() error { _, err := h.Control(ctx, engine.Command{}); return err },
		"inspect by no name":       func() error { _, err := s.Inspect(ctx, ""); return err },
		"step, negative":           func() error { _, err := h.Step(ctx, engine.Batch{Admissions: -1}); return err },
	} {
		if err := call(); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%s: %v, want an invalid argument", what, err)
		}
	}
	if n := m.CommandCount(); n != 0 {
		t.Errorf("%d commands were sent for nothing", n)
	}
}

func TestKind(t *testing.T) {
	_, rdb := redistest.Mini(t)
	if kind := newStorage(t, rdb).Kind(); kind != "redis" {
		t.Errorf("kind %q", kind)
	}
}

func TestClose_stopsAllButTheClient(t *testing.T) {
	m, rdb := redistest.Mini(t)
	s := newStorage(t, rdb)
	h, _ := bind(t, s, opensAtOnce)
	ticket := acquire(t, h)
	must(t, s.Close())
	must(t, s.Close())
	before := m.CommandCount()
	for what, call := range everyCall(s, h, ticket) {
		if err := call(); err != engine.ErrStopped {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	if n := m.CommandCount(); n != before {
		t.Errorf("%d commands after Close", n-before)
	}
	must(t, rdb.Ping(ctx).Err())
}

func TestHandleClose_stopsThisHandleAlone(t *testing.T) {
	_, rdb := redistest.Mini(t)
	s := newStorage(t, rdb)
	h, _ := bind(t, s, opensAtOnce)
	other, _ := bind(t, s, opensAtOnce)
	ticket := acquire(t, h)
	must(t, h.Close())
	must(t, h.Close())
	for what, call := range handleCalls(h, ticket) {
		if err := call(); err != engine.ErrStopped {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	report(t, other, ticket, engine.Failure)
	wantRejected(t, other, engine.ReasonOpen)
}

func TestControl_refusals(t *testing.T) {
	_, rdb := redistest.Mini(t)
	s := newStorage(t, rdb)
	h, e := bind(t, s, opensAtOnce)
	forced, err := h.Control(ctx, engine.Command{Action: engine.ActionForceOpen, Reason: "drill", Actor: "ops"})
	must(t, err)
	if forced.Mode != engine.ModeForcedOpen || forced.ModeReason != "drill" || h.Status().Mode != engine.ModeForcedOpen {
		t.Errorf("forced: %+v, status %+v", forced, h.Status())
	}
	if n := e.of(engine.EventTransition); n != 1 {
		t.Errorf("%d transition events, want 1", n)
	}
	for what, control := range map[string]func(engine.Command) (engine.Snapshot, error){
		"handle": func(c engine.Command) (engine.Snapshot, error) { return h.Control(ctx, c) },
		"name":   func(c engine.Command) (engine.Snapshot, error) { return s.Control(ctx, name, c) },
	} {
		if got, err := control(engine.Command{Action: engine.ActionTrip}); err != engine.ErrForced || got.Epoch != forced.Epoch {
			t.Errorf("trip by %s: %v, epoch %d; want %d", what, err, got.Epoch, forced.Epoch)
		}
		if _, err := control(engine.Command{Action: engine.ActionReset, IfEpoch: forced.Epoch + 1}); err != engine.ErrConflict {
			t.Errorf("reset of another epoch by %s: %v", what, err)
		}
	}
	if got := inspect(t, s); got.Epoch != forced.Epoch {
		t.Errorf("what was refused changed the epoch from %d to %d", forced.Epoch, got.Epoch)
	}
}

// ---- helpers ----

// handleCalls is every call of a handle that can fail for the storage's sake.
func handleCalls(h engine.Handle, ticket engine.Ticket) map[string]func() error {
	return map[string]func() error{
		"acquire": func() error { _, err := h.Acquire(ctx); return err },
		"report":  func() error { _, err := h.Report(ctx, ticket, engine.Failure, 0, nil); return err },
		"step":    func() error { _, err := h.Step(ctx, engine.Batch{}); return err },
		"control": func() error { _, err := h.Control(ctx, engine.Command{Action: engine.ActionReset}); return err },
	}
}

// everyCall is every call of a storage and a handle.
func everyCall(s *storage.Redis, h engine.Handle, ticket engine.Ticket) map[string]func() error {
	calls := handleCalls(h, ticket)
	calls["control by name"] = func() error { _, err := s.Control(ctx, name, engine.Command{Action: engine.ActionReset}); return err }
	calls["inspect"] = func() error { _, err := s.Inspect(ctx, name); return err }
	calls["ping"] = func() error { return s.Ping(ctx) }
	calls["bind"] = func() error { _, err := s.Bind(name, engine.Policy{}, nil); return err }
	return calls
}
