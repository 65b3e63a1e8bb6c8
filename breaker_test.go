package redbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

func TestNew_namesEveryFault(t *testing.T) {
	var noStore *fake
	b, err := redbreaker.New("", redbreaker.Policy{OpenFor: -time.Second, Window: redbreaker.Window{Calls: 5}},
		nil, redbreaker.WithStorage(nil), redbreaker.WithStorage(noStore),
		redbreaker.WithClassifier(redbreaker.IgnoreIf(nil)), redbreaker.WithFallback(0))
	if b != nil {
		t.Error("a breaker came with the error")
	}
	wantErr(t, err, redbreaker.ErrInvalid)
	wantText(t, err,
		"redbreaker: the name is empty, name the breaker after what it protects: invalid argument",
		"redbreaker: policy: OpenFor is -1s, use above 0 to 8784h0m0s (366 days): invalid argument",
		"redbreaker: policy: Window has a size but no threshold, set FailureRate, FailureCount or SlowCallRate: invalid argument",
		"redbreaker: option 1 is nil, leave it out: invalid argument",
		"redbreaker: WithStorage got nil, check the error of what made the storage: invalid argument",
		"redbreaker: WithStorage got nil, check the error of what made the storage: invalid argument",
		"redbreaker: WithClassifier got nil, pass a function from error to Outcome: invalid argument",
		"redbreaker: WithFallback got 0, use FallbackLocal, FallbackAllow or FallbackDeny: invalid argument",
	)
}

func TestNew_returnsWhatBindReturns(t *testing.T) {
	store := newFake()
	store.breaks("bind", redbreaker.ErrInvalid)
	_, err := redbreaker.New("dep", redbreaker.Policy{}, redbreaker.WithStorage(store))
	wantErr(t, err, redbreaker.ErrInvalid)
}

func TestNew_sharesOnlyAStorage(t *testing.T) {
	alone, other := newBreaker(t, opensAtOnce), newBreaker(t, opensAtOnce)
	_ = alone.Do(ctx, fail)
	wantState(t, alone, redbreaker.StateOpen)
	wantState(t, other, redbreaker.StateClosed)

	store, _ := newClocked()
	one := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	two := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	_ = one.Do(ctx, fail)
	wantState(t, two, redbreaker.StateOpen)
	one.Stop()
	wantRejected(t, two.Do(ctx, succeed), redbreaker.ReasonOpen)
}

func TestDo_returnsWhatTheFunctionReturns(t *testing.T) {
	b := newBreaker(t, redbreaker.Policy{})
	if err := b.Do(ctx, succeed); err != nil {
		t.Errorf("success: %v", err)
	}
	own := fmt.Errorf("charge: %w", errDown)
	if err := b.Do(ctx, func(context.Context) error { return own }); err != own {
		t.Errorf("got %v, want the very error of the function", err)
	}
	type key struct{}
	with := context.WithValue(ctx, key{}, "value")
	_ = b.Do(with, func(c context.Context) error {
		if c != with {
			t.Error("the function got another context")
		}
		return nil
	})
}

func TestDo_openRejects(t *testing.T) {
	store, clock := newClocked()
	b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute}, redbreaker.WithStorage(store))
	_ = b.Do(ctx, fail)
	wantState(t, b, redbreaker.StateClosed)
	wantErr(t, b.Do(ctx, fail), errDown)

	called := false
	err := b.Do(ctx, func(context.Context) error { called = true; return nil })
	r := wantRejected(t, err, redbreaker.ReasonOpen)
	if called {
		t.Error("the function ran in an open circuit")
	}
	if r.Name != "dep" || r.State != redbreaker.StateOpen || r.RetryAfter() != time.Minute {
		t.Errorf("rejection %+v with RetryAfter %v", r, r.RetryAfter())
	}

	clock.advance(time.Minute - time.Millisecond)
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	clock.advance(time.Millisecond)
	if err := b.Do(ctx, succeed); err != nil {
		t.Errorf("the probe: %v", err)
	}
	wantState(t, b, redbreaker.StateClosed)
}

func TestDo_halfOpenProbes(t *testing.T) {
	store, clock := newClocked()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	_ = b.Do(ctx, fail)
	clock.advance(time.Minute)
	_ = b.Do(ctx, func(context.Context) error {
		wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonProbing)
		return errDown
	})
	wantState(t, b, redbreaker.StateOpen)
}

func TestDo_panicIsAFailureAndGoesOn(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want boom", got)
			}
		}()
		_ = b.Do(ctx, func(context.Context) error { panic("boom") })
		t.Error("Do returned")
	}()
	wantState(t, b, redbreaker.StateOpen)
	if got := lastText(t, b); got != "panic or Goexit" {
		t.Errorf("the log says %q", got)
	}
}

func TestDo_goexitIsAFailureAndGoesOn(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	returned := false
	inGoroutine(func() {
		_ = b.Do(ctx, exits)
		returned = true
	})
	if returned {
		t.Error("Do returned")
	}
	wantState(t, b, redbreaker.StateOpen)
}

func TestDo_doneContextCountsNothing(t *testing.T) {
	store := newFake()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancel := context.WithTimeout(ctx, -time.Second)
	defer cancel()
	for _, test := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		if err := b.Do(test.ctx, fail); err != test.want {
			t.Errorf("Do: %v, want %v", err, test.want)
		}
		if _, err := b.Acquire(test.ctx); err != test.want {
			t.Errorf("Acquire: %v, want %v", err, test.want)
		}
		if _, err := redbreaker.Call(test.ctx, b, func(context.Context) (int, error) { return 1, nil }); err != test.want {
			t.Errorf("Call: %v, want %v", err, test.want)
		}
	}
	if r := store.reported(); len(r) != 0 {
		t.Errorf("reported %v", r)
	}
	if s := inspect(t, b); s.Exists {
		t.Errorf("a record was made: %+v", s)
	}
}

// A call whose caller gives up during it is still counted.
func TestDo_contextDoneDuringTheCall(t *testing.T) {
	b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 2})
	late := &lateContext{Context: ctx}
	err := b.Do(late, func(c context.Context) error {
		late.expired = true
		return c.Err()
	})
	wantErr(t, err, context.DeadlineExceeded)
	if s := inspect(t, b); s.Streak != 1 {
		t.Errorf("streak is %d, want 1", s.Streak)
	}
}

func TestDo_ignoredIsNotSent(t *testing.T) {
	store := newFake()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithClassifier(redbreaker.Ignore(errDown)))
	wantErr(t, b.Do(ctx, fail), errDown)
	if r := store.reported(); len(r) != 0 {
		t.Errorf("reported %v", r)
	}
	// A probe must give its slot back.
	control(t, b, redbreaker.Command{Action: redbreaker.ActionHalfOpen})
	wantErr(t, b.Do(ctx, fail), errDown)
	if diff := cmp.Diff([]report{{Outcome: redbreaker.Ignored}}, store.reported()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	if s := inspect(t, b); s.Probes == nil || s.Probes.Outstanding != 0 {
		t.Errorf("the slot was not given back: %+v", s.Probes)
	}
}

func TestDo_uncountedIsNotSent(t *testing.T) {
	store := newFake()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	control(t, b, redbreaker.Command{Action: redbreaker.ActionForceClosed})
	wantErr(t, b.Do(ctx, fail), errDown)
	p := acquire(t, b)
	p.Failure(errDown)
	if r := store.reported(); len(r) != 0 {
		t.Errorf("reported %v", r)
	}
	control(t, b, redbreaker.Command{Action: redbreaker.ActionForceOpen})
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonForced)
}

func TestDo_nestedBreakers(t *testing.T) {
	outer, inner := newBreaker(t, opensAtOnce), newBreaker(t, opensAtOnce)
	_ = inner.Do(ctx, fail)
	through := func(c context.Context) error { return inner.Do(c, succeed) }
	wantRejected(t, outer.Do(ctx, through), redbreaker.ReasonOpen)
	inner.Stop()
	wantErr(t, outer.Do(ctx, through), redbreaker.ErrStopped)
	wantState(t, outer, redbreaker.StateClosed)
}

// slowPolicy calls slow what took 100 ms, given in a way that must be rounded up.
var slowPolicy = redbreaker.Policy{Window: redbreaker.Window{
	Calls: 10, SlowCallRate: 1, SlowCallDuration: 100*time.Millisecond - time.Nanosecond,
}}

func TestDo_slowCalls(t *testing.T) {
	for _, test := range []struct {
		took time.Duration
		err  error
		want redbreaker.Outcome
	}{
		{100*time.Millisecond - time.Nanosecond, nil, redbreaker.Success},
		{100 * time.Millisecond, nil, redbreaker.SlowSuccess},
		{100*time.Millisecond - time.Nanosecond, errDown, redbreaker.Failure},
		{100 * time.Millisecond, errDown, redbreaker.SlowFailure},
	} {
		store := newFake()
		b := newBreaker(t, slowPolicy, redbreaker.WithStorage(store))
		call := func() error { store.clock.advance(test.took); return test.err }
		_ = b.Do(ctx, func(context.Context) error { return call() })
		_, _ = redbreaker.Call(ctx, b, func(context.Context) (int, error) { return 0, call() })
		p := acquire(t, b)
		err := call()
		p.Done(&err)
		for i, r := range store.reported() {
			end := int64(time.Second+time.Duration(i+1)*test.took) + 1 // the clock begins at 1
			if r.Outcome != test.want || r.At != end {
				t.Errorf("%v, %v: reported %v at %d, want %v at %d", test.took, test.err, r.Outcome, r.At, test.want, end)
			}
		}
	}
}

func TestDo_slowIgnoredStaysIgnored(t *testing.T) {
	store := newFake()
	b := newBreaker(t, slowPolicy, redbreaker.WithStorage(store), redbreaker.WithClassifier(redbreaker.Ignore(errDown)))
	_ = b.Do(ctx, func(context.Context) error { store.clock.advance(time.Second); return errDown })
	p := acquire(t, b)
	store.clock.advance(time.Second)
	p.Ignore()
	if r := store.reported(); len(r) != 0 {
		t.Errorf("reported %v", r)
	}
}

func TestDo_readsNoClockUnasked(t *testing.T) {
	quiet, timed := newFake(), newFake()
	run := func(b *redbreaker.Breaker) {
		_ = b.Do(ctx, succeed)
		_ = b.Do(ctx, fail)
		p := acquire(t, b)
		p.Success()
	}
	run(newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(quiet)))
	run(newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(timed), redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(context.Context, redbreaker.CallResult) {},
	})))
	if quiet.reads != 0 || timed.reads != 6 {
		t.Errorf("%d readings without and %d with a hook, want 0 and 6", quiet.reads, timed.reads)
	}
	for _, r := range quiet.reported() {
		if r.At != 0 {
			t.Errorf("reported at %d, want 0, since nothing was read", r.At)
		}
	}
}

func TestDo_allocatesNothing(t *testing.T) {
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(idle{}))
	timed := newBreaker(t, slowPolicy, redbreaker.WithStorage(idle{}), redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(context.Context, redbreaker.CallResult) {},
	}))
	rejected := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(idle{rejects: &redbreaker.RejectedError{}}),
		redbreaker.WithHooks(redbreaker.Hooks{OnReject: func(context.Context, *redbreaker.RejectedError) {}}))
	memory := newBreaker(t, redbreaker.Policy{})
	windowed := newBreaker(t, redbreaker.Policy{Window: redbreaker.Window{
		Period: time.Hour, FailureRate: 0.5, SlowCallRate: 0.5, SlowCallDuration: time.Minute}})
	open := newBreaker(t, redbreaker.Policy{})
	control(t, open, redbreaker.Command{Action: redbreaker.ActionTrip})
	for name, f := range map[string]func(){
		"memory":           func() { _ = memory.Do(ctx, succeed) },
		"memory, windowed": func() { _ = windowed.Do(ctx, succeed) },
		"memory, rejected": func() { _ = open.Do(ctx, succeed) },

		"rejected": func() { _ = rejected.Do(ctx, succeed) },
		"Do":       func() { _ = b.Do(ctx, succeed) },
		"timed":    func() { _ = timed.Do(ctx, succeed) },
		"Call":     func() { _, _ = redbreaker.Call(ctx, b, func(context.Context) (int, error) { return 1, nil }) },
		"Acquire": func() {
			p, _ := b.Acquire(ctx)
			p.Success()
		},
		"Done": func() {
			_ = func() (err error) {
				p, err := b.Acquire(ctx)
				defer p.Done(&err)
				return err
			}()
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// idle is a storage that costs nothing, so that a benchmark of it measures the breaker around it.
type idle struct {
	engine.Storage
	rejects *redbreaker.RejectedError
}

func (i idle) Bind(string, redbreaker.Policy, func(redbreaker.Event)) (engine.Handle, error) {
	return idleHandle{rejects: i.rejects}, nil
}

type idleHandle struct {
	engine.Handle
	rejects *redbreaker.RejectedError
}

func (h idleHandle) Acquire(context.Context) (redbreaker.Ticket, error) {
	if h.rejects != nil {
		return redbreaker.Ticket{}, h.rejects
	}
	return redbreaker.Ticket{Epoch: 1}, nil
}

func (idleHandle) Report(context.Context, redbreaker.Ticket, redbreaker.Outcome, int64, *engine.Detail) (bool, error) {
	return false, nil
}
func (idleHandle) Now() int64   { return 1 }
func (idleHandle) Close() error { return nil }

func TestStatus(t *testing.T) {
	store, clock := newClocked()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	if got := b.Name(); got != "dep" {
		t.Errorf("name is %q", got)
	}
	if s := b.Status(); s.Age >= 0 || s.State != redbreaker.StateClosed {
		t.Errorf("status of a breaker that heard nothing: %+v", s)
	}
	_ = b.Do(ctx, fail)
	clock.advance(20 * time.Second)
	if s := b.Status(); s.State != redbreaker.StateOpen || s.RetryAfter != 40*time.Second || s.Degraded {
		t.Errorf("status of an open breaker: %+v", s)
	}
}

func TestInspect(t *testing.T) {
	store := newFake()
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))
	if s := inspect(t, b); s.Exists || s.Epoch != -1 || s.Name != "dep" {
		t.Errorf("snapshot of nothing: %+v", s)
	}
	_ = b.Do(ctx, fail)
	if s := inspect(t, b); !s.Exists || s.Streak != 1 {
		t.Errorf("snapshot after a failure: %+v", s)
	}
	store.breaks("inspect", unreachable("inspect"))
	_, err := b.Inspect(ctx)
	wantText(t, err, "redbreaker: inspect dep: storage error (not executed): connection refused")
}

func TestControl(t *testing.T) {
	store := newFake()
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))

	s, err := b.Control(ctx, redbreaker.Command{Action: redbreaker.ActionForceOpen, Reason: "migration", Actor: "ann"})
	if err != nil || s.Mode != redbreaker.ModeForcedOpen || s.ModeReason != "migration" || s.ModeBy != "ann" {
		t.Errorf("force open: %+v, %v", s, err)
	}
	_, err = b.Control(ctx, redbreaker.Command{Action: redbreaker.ActionTrip})
	wantErr(t, err, redbreaker.ErrForced)
	_, err = b.Control(ctx, redbreaker.Command{Action: redbreaker.ActionRelease, IfEpoch: s.Epoch + 1})
	wantErr(t, err, redbreaker.ErrConflict)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionRelease, IfEpoch: s.Epoch})

	// Control never falls back.
	store.breaks("control", readOnly("control"))
	_, err = b.Control(ctx, redbreaker.Command{Action: redbreaker.ActionTrip})
	wantText(t, err, "redbreaker: control dep: storage error (refused): READONLY")
}

func TestControl_namesEveryFault(t *testing.T) {
	store := newFake()
	store.breaks("control", errors.New("the storage was asked"))
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))
	_, err := b.Control(ctx, redbreaker.Command{For: -1, IfEpoch: -2})
	wantErr(t, err, redbreaker.ErrInvalid)
	wantText(t, err,
		"redbreaker: command: Action is none, use one of trip, half_open, reset, force_open, force_closed, shadow, release: invalid argument",
		"redbreaker: command: For is -1ns, use 0 to 8784h0m0s (366 days): invalid argument",
		"redbreaker: command: IfEpoch is -2, use an epoch that Inspect gave, 0 for any, or -1 for no record: invalid argument",
	)
}

func TestPing(t *testing.T) {
	if err := newBreaker(t, redbreaker.Policy{}).Ping(ctx); err != nil {
		t.Errorf("memory: %v", err)
	}
	store := newFake()
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))
	if err := b.Ping(ctx); err != nil {
		t.Errorf("a storage that works: %v", err)
	}
	store.breaks("ping", &redbreaker.StorageError{Class: redbreaker.ClassRefused, Op: "ping", Err: errors.New("WRONGPASS")})
	wantText(t, b.Ping(ctx), "redbreaker: ping: storage error (refused): WRONGPASS")

	// A record of others is no fault of the storage. The right to inspect is not needed.
	store.breaks("ping", nil)
	foreign := &redbreaker.StorageError{Class: redbreaker.ClassForeign, Op: "inspect", Name: "dep", Err: redbreaker.ErrForeignKey}
	store.breaks("inspect", foreign)
	wantErr(t, b.Ping(ctx), redbreaker.ErrForeignKey)
	store.breaks("inspect", &redbreaker.StorageError{Class: redbreaker.ClassRefused, Op: "inspect", Name: "dep", Err: errors.New("NOPERM")})
	if err := b.Ping(ctx); err != nil {
		t.Errorf("a user who may not inspect: %v", err)
	}
}

func TestStop(t *testing.T) {
	store := newFake()
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))
	b.Stop()
	b.Stop()
	if got := store.closedHandles(); len(got) != 1 {
		t.Errorf("handles closed: %v, want one", got)
	}
	calls := map[string]func() error{
		"Do":      func() error { return b.Do(ctx, succeed) },
		"Acquire": func() error { _, err := b.Acquire(ctx); return err },
		"Inspect": func() error { _, err := b.Inspect(ctx); return err },
		"Ping":    func() error { return b.Ping(ctx) },
		"Control": func() error {
			_, err := b.Control(ctx, redbreaker.Command{Action: redbreaker.ActionTrip})
			return err
		},
	}
	for name, call := range calls {
		if err := call(); err != redbreaker.ErrStopped {
			t.Errorf("%s: %v, want ErrStopped", name, err)
		}
	}
	if _, err := store.Memory.Inspect(ctx, "dep"); err != nil {
		t.Errorf("the user's storage was closed: %v", err)
	}
}

func TestStop_ownMemory(t *testing.T) {
	b := newBreaker(t, redbreaker.Policy{})
	b.Stop()
	wantErr(t, b.Do(ctx, succeed), redbreaker.ErrStopped)
}

func TestStop_duringACall(t *testing.T) {
	b := newBreaker(t, opensAtOnce, redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(context.Context, redbreaker.CallResult) { t.Error("a hook was called") },
	}))
	err := b.Do(ctx, func(context.Context) error { b.Stop(); return errDown })
	wantErr(t, err, errDown)
}

// A storage that is closed stops its breakers.
func TestStop_storageClosed(t *testing.T) {
	store := newFake()
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))
	_ = b.Do(ctx, func(context.Context) error { return store.Close() })
	if err := b.Do(ctx, succeed); err != redbreaker.ErrStopped {
		t.Errorf("got %v, want ErrStopped", err)
	}
	if b.Status().Degraded {
		t.Error("closing counts as an outage")
	}
}

// lastText is the text of the last transition.
func lastText(t *testing.T, b *redbreaker.Breaker) string {
	t.Helper()
	log := inspect(t, b).Log
	if len(log) == 0 {
		t.Fatal("the log is empty")
	}
	return log[len(log)-1].Text
}
