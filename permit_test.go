package redbreaker_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// Above four fields or 32 bytes, a Permit is no longer passed in registers.
func TestPermit_isSmall(t *testing.T) {
	if n, size := reflect.TypeFor[redbreaker.Permit]().NumField(), unsafe.Sizeof(redbreaker.Permit{}); n > 4 || size > 32 {
		t.Errorf("a permit has %d fields and %d bytes, want at most 4 and 32", n, size)
	}
}

func TestPermit_settles(t *testing.T) {
	for name, test := range map[string]struct {
		settle func(*redbreaker.Permit)
		want   []report
	}{
		"Success": {func(p *redbreaker.Permit) { p.Success() }, []report{{Outcome: redbreaker.Success}}},
		"Failure": {
			func(p *redbreaker.Permit) { p.Failure(errDown) },
			[]report{{Outcome: redbreaker.Failure, Detail: engine.Detail{Text: "*errors.errorString"}}},
		},
		"Failure of nothing": {func(p *redbreaker.Permit) { p.Failure(nil) }, []report{{Outcome: redbreaker.Failure}}},
		"Failure of an ignored error": {
			func(p *redbreaker.Permit) { p.Failure(context.Canceled) },
			[]report{{Outcome: redbreaker.Failure, Detail: engine.Detail{Text: "*errors.errorString"}}},
		},
		"Failure with its own open time": {
			func(p *redbreaker.Permit) { p.Failure(redbreaker.RetryAfterError(errDown, time.Hour)) },
			[]report{{Outcome: redbreaker.Failure, Detail: engine.Detail{Text: "*errors.errorString", OpenFor: time.Hour}}},
		},
		"Ignore": {func(p *redbreaker.Permit) { p.Ignore() }, nil},
		"Settle": {
			func(p *redbreaker.Permit) { p.Settle(ctx, errDown) },
			[]report{{Outcome: redbreaker.Failure, Detail: engine.Detail{Text: "*errors.errorString"}}},
		},
		"Settle of nil":                  {func(p *redbreaker.Permit) { p.Settle(ctx, nil) }, []report{{Outcome: redbreaker.Success}}},
		"Settle of nil though cancelled": {func(p *redbreaker.Permit) { p.Settle(cancelledContext(), nil) }, []report{{Outcome: redbreaker.Success}}},
		"Settle of a cancelled call":     {func(p *redbreaker.Permit) { p.Settle(cancelledContext(), errDown) }, nil},
		"Settle of somebody else's cancellation": {
			func(p *redbreaker.Permit) { p.Settle(ctx, context.Canceled) },
			[]report{{Outcome: redbreaker.Failure, Detail: engine.Detail{Text: "*errors.errorString"}}},
		},
		"Done of nil": {func(p *redbreaker.Permit) { p.Done(nil) }, []report{{Outcome: redbreaker.Success}}},
		"Done": {
			func(p *redbreaker.Permit) { err := errDown; p.Done(&err) },
			[]report{{Outcome: redbreaker.Failure, Detail: engine.Detail{Text: "*errors.errorString"}}},
		},
		"Done of a cancelled call": {func(p *redbreaker.Permit) { err := context.Canceled; p.Done(&err) }, nil},
		"Done of a late call": {
			func(p *redbreaker.Permit) { err := context.DeadlineExceeded; p.Done(&err) },
			[]report{{Outcome: redbreaker.Failure, Detail: engine.Detail{Text: "context.deadlineExceededError"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFake()
			b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))
			p := acquire(t, b)
			test.settle(p)
			p.Success() // must change nothing
			p.Failure(errDown)
			p.Ignore()
			p.Done(nil)
			p.Settle(ctx, errDown)
			if diff := cmp.Diff(test.want, store.reported()); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPermit_settlesOnceAmongGoroutines(t *testing.T) {
	store := newFake()
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(store))
	p := acquire(t, b)
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() { defer all.Done(); p.Success() }()
	}
	all.Wait()
	if r := store.reported(); len(r) != 1 {
		t.Errorf("reported %d times", len(r))
	}
}

func TestPermit_zeroDoesNothing(t *testing.T) {
	var p redbreaker.Permit
	p.Success()
	p.Failure(errDown)
	p.Ignore()
	err := errDown
	p.Done(&err)
	p.Settle(ctx, err)
	if p.Probe() {
		t.Error("the zero permit is a probe")
	}
}

// cancelledContext is the context of a caller that has given up.
func cancelledContext() context.Context {
	c, cancel := context.WithCancel(ctx)
	cancel()
	return c
}

func TestPermit_isAProbeBeforeAndAfterSettlement(t *testing.T) {
	store := newFake()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	wantProbe := func(what string, p *redbreaker.Permit, want bool) {
		t.Helper()
		if got := p.Probe(); got != want {
			t.Errorf("%s: Probe is %v before settlement, want %v", what, got, want)
		}
		p.Ignore()
		if got := p.Probe(); got != want {
			t.Errorf("%s: Probe is %v after settlement, want %v", what, got, want)
		}
	}
	wantProbe("closed", acquire(t, b), false)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionHalfOpen})
	wantProbe("half-open", acquire(t, b), true)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionForceClosed})
	wantProbe("forced closed", acquire(t, b), false)

	// The fallback's breaker has probes of its own.
	control(t, b, redbreaker.Command{Action: redbreaker.ActionRelease})
	_ = b.Do(ctx, fail)
	store.clock.advance(time.Minute)
	store.breaks("acquire", unreachable("acquire"))
	wantProbe("local half-open", acquire(t, b), true)
}

// Do, Call, CallCheck and Settle judge the error of a cancelled caller alike.
func TestSettle_countsAsDo(t *testing.T) {
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want redbreaker.Outcome
	}{
		"cancelled, an error of another type": {cancelledContext(), errDown, redbreaker.Ignored},
		"expired":                             {expiredContext(), context.DeadlineExceeded, redbreaker.Failure},
		"live":                                {ctx, context.Canceled, redbreaker.Failure},
		"rejected within":                     {ctx, redbreaker.ErrStopped, redbreaker.Ignored},
		"no error":                            {cancelledContext(), nil, redbreaker.Success},
	} {
		t.Run(name, func(t *testing.T) {
			var got []redbreaker.Outcome
			b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 100}, redbreaker.WithHooks(redbreaker.Hooks{
				OnCall: func(_ context.Context, r redbreaker.CallResult) { got = append(got, r.Outcome) },
			}))
			turns := &turningContext{Context: ctx, later: test.ctx}
			call := func(context.Context) (int, error) { turns.turned = true; return 0, test.err }
			_ = b.Do(turns, func(c context.Context) error { _, err := call(c); return err })
			turns.turned = false
			_, _ = redbreaker.Call(turns, b, call)
			turns.turned = false
			_, _ = redbreaker.CallCheck(turns, b, func(_ int, err error) error { return err }, call)
			acquire(t, b).Settle(test.ctx, test.err)
			want := []redbreaker.Outcome{test.want, test.want, test.want, test.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("outcomes of Do, Call, CallCheck, Settle (-want +got):\n%s", diff)
			}
		})
	}
}

// turningContext is live at first, and as later when it has turned.
type turningContext struct {
	context.Context
	later  context.Context
	turned bool
}

func (c *turningContext) Err() error {
	if c.turned {
		return c.later.Err()
	}
	return nil
}

func expiredContext() context.Context { return &lateContext{Context: ctx, expired: true} }

// go vet must report a copied permit, which would settle its call twice.
func TestPermit_vetReportsCopies(t *testing.T) {
	lease, ok := reflect.TypeFor[redbreaker.Permit]().FieldByName("lease")
	locker := reflect.TypeFor[sync.Locker]()
	if !ok || lease.Type.Kind() != reflect.Struct || lease.Type.Implements(locker) || !reflect.PointerTo(lease.Type).Implements(locker) {
		t.Errorf("no field that the copylocks check of go vet looks for: %v", lease.Type)
	}
}

// chargeWith is the function that a user writes around a Permit.
func chargeWith(b *redbreaker.Breaker, work func() error) (err error) {
	p, err := b.Acquire(ctx)
	if err != nil {
		return err
	}
	defer p.Done(&err)
	return work()
}

func TestDone_deferred(t *testing.T) {
	b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 2})
	wantErr(t, chargeWith(b, func() error { return errDown }), errDown)
	if err := chargeWith(b, func() error { return nil }); err != nil {
		t.Error(err)
	}
	if s := inspect(t, b); s.Streak != 0 {
		t.Errorf("the success did not count: streak %d", s.Streak)
	}
}

func TestDone_panicIsAFailureAndGoesOn(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want boom", got)
			}
		}()
		_ = chargeWith(b, func() error { panic("boom") })
	}()
	wantState(t, b, redbreaker.StateOpen)
}

func TestPermit_probe(t *testing.T) {
	store, clock := newClocked()
	b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 1, HalfOpen: redbreaker.HalfOpen{Lease: time.Second}}, redbreaker.WithStorage(store))
	_ = b.Do(ctx, fail)
	clock.advance(time.Minute)
	lost := acquire(t, b)
	_, err := b.Acquire(ctx)
	wantRejected(t, err, redbreaker.ReasonProbing)

	clock.advance(time.Second) // the lease runs out
	probe := acquire(t, b)
	lost.Failure(errDown) // late, but the round lasts: it counts
	wantState(t, b, redbreaker.StateOpen)
	probe.Success() // of a round that is over
	wantState(t, b, redbreaker.StateOpen)
}

func TestPermit_droppedAfterStop(t *testing.T) {
	store, _ := newClocked()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	other := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	p := acquire(t, b)
	b.Stop()
	p.Failure(errDown)
	wantState(t, other, redbreaker.StateClosed)
}

// A call is slow by the time until StopClock, its result counts at its end, and the
// hook gets the same length.
func TestPermit_stopClock(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after time.Duration
		settle        func(*redbreaker.Permit)
		want          redbreaker.Outcome
	}{
		{"fast to its first byte", 99 * time.Millisecond, time.Hour, (*redbreaker.Permit).Success, redbreaker.Success},
		{"slow to its first byte", 100 * time.Millisecond, 0, (*redbreaker.Permit).Success, redbreaker.SlowSuccess},
		{"no time at all", 0, time.Hour, (*redbreaker.Permit).Success, redbreaker.Success},
		{"fast failure", 99 * time.Millisecond, time.Hour, func(p *redbreaker.Permit) { p.Failure(errDown) }, redbreaker.Failure},
		{"slow, settled by context", 100 * time.Millisecond, time.Hour, func(p *redbreaker.Permit) { p.Settle(ctx, errDown) }, redbreaker.SlowFailure},
		{"ignored", time.Hour, time.Hour, (*redbreaker.Permit).Ignore, redbreaker.Ignored},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			var elapsed time.Duration
			b := newBreaker(t, slowPolicy, redbreaker.WithStorage(f), redbreaker.WithHooks(redbreaker.Hooks{
				OnCall: func(_ context.Context, r redbreaker.CallResult) { elapsed = r.Elapsed },
			}))
			p := acquire(t, b)
			f.clock.advance(c.before)
			p.StopClock()
			f.clock.advance(c.after)
			p.StopClock() // does nothing
			c.settle(p)
			if want := max(c.before, 1); elapsed != want {
				t.Errorf("took %v, want %v", elapsed, want)
			}
			if c.want == redbreaker.Ignored {
				return
			}
			got := f.reported()
			if len(got) != 1 || got[0].Outcome != c.want || got[0].At != int64(f.clock.read())+1 { // the clock begins at 1
				t.Errorf("reported %+v, want %v at %d", got, c.want, f.clock.read()+1)
			}
		})
	}
}

// Without a rule for slow calls and without a hook the clock is not read.
func TestPermit_stopClockUntimed(t *testing.T) {
	f := newFake()
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(f))
	p := acquire(t, b)
	p.StopClock()
	p.Success()
	(&redbreaker.Permit{}).StopClock()
	if f.reads != 0 {
		t.Errorf("the clock was read %d times", f.reads)
	}
}
