package redbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// outcomeOf returns how a call counts that ends with err, in the context c.
func outcomeOf(t *testing.T, c context.Context, during func(), err error, opts ...redbreaker.Option) redbreaker.Outcome {
	t.Helper()
	var got redbreaker.Outcome
	b := newBreaker(t, redbreaker.Policy{}, append(opts, redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(_ context.Context, r redbreaker.CallResult) { got = r.Outcome },
	}))...)
	if returned := b.Do(c, func(context.Context) error { during(); return err }); returned != err {
		t.Errorf("Do returned %v, want %v", returned, err)
	}
	return got
}

func TestClassify_defaults(t *testing.T) {
	errCause := errors.New("the user went away")
	rejected := engine.NewRejected(redbreaker.RejectedError{Name: "inner"}, 0, nil)
	const live, cancelled, expired = "live", "cancelled", "expired"
	for _, test := range []struct {
		name string
		ctx  string // as it is when the call ends
		err  error
		want redbreaker.Outcome
	}{
		{"nil", live, nil, redbreaker.Success},
		{"nil though cancelled", cancelled, nil, redbreaker.Success},
		{"an error", live, errDown, redbreaker.Failure},
		{"an error of any type after the caller cancelled", cancelled, errDown, redbreaker.Ignored},
		{"an error after the caller's deadline", expired, errDown, redbreaker.Failure},
		{"the caller's cancellation", cancelled, fmt.Errorf("get: %w", context.Canceled), redbreaker.Ignored},
		{"the caller's cause", cancelled, fmt.Errorf("get: %w", errCause), redbreaker.Ignored},
		{"a cause that is not the caller's", live, errCause, redbreaker.Failure},
		{"somebody else's cancellation", live, context.Canceled, redbreaker.Failure},
		{"the caller's deadline", expired, context.DeadlineExceeded, redbreaker.Failure},
		{"a cancellation in a context that expired", expired, context.Canceled, redbreaker.Failure},
		{"a rejection within", live, fmt.Errorf("get: %w", rejected), redbreaker.Ignored},
		{"a breaker stopped within", live, fmt.Errorf("get: %w", redbreaker.ErrStopped), redbreaker.Ignored},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			during := func() {}
			switch test.ctx {
			case cancelled:
				during = func() { cancel(errCause) }
			case expired:
				late := &lateContext{Context: ctx}
				c, during = late, func() { late.expired = true }
			}
			if got := outcomeOf(t, c, during, test.err); got != test.want {
				t.Errorf("counted as %v, want %v", got, test.want)
			}
		})
	}
}

// lateContext is one whose deadline passes when the test says so.
type lateContext struct {
	context.Context
	expired bool
}

func (c *lateContext) Err() error {
	if c.expired {
		return context.DeadlineExceeded
	}
	return nil
}

func TestClassify_userRules(t *testing.T) {
	errA, errB := errors.New("a"), errors.New("b")
	always := func(o redbreaker.Outcome) redbreaker.Option {
		return redbreaker.WithClassifier(func(error) redbreaker.Outcome { return o })
	}
	isB := func(err error) bool { return errors.Is(err, errB) }
	for _, test := range []struct {
		name string
		err  error
		opts []redbreaker.Option
		want redbreaker.Outcome
	}{
		{"Ignore", fmt.Errorf("x: %w", errB), []redbreaker.Option{redbreaker.WithClassifier(redbreaker.Ignore(errA, errB))}, redbreaker.Ignored},
		{"Ignore of others", errDown, []redbreaker.Option{redbreaker.WithClassifier(redbreaker.Ignore(errA, nil))}, redbreaker.Failure},
		{"IgnoreIf", errB, []redbreaker.Option{redbreaker.WithClassifier(redbreaker.IgnoreIf(isB))}, redbreaker.Ignored},
		{"IgnoreIf of others", errA, []redbreaker.Option{redbreaker.WithClassifier(redbreaker.IgnoreIf(isB))}, redbreaker.Failure},
		{"CountAsSuccess", fmt.Errorf("x: %w", errA), []redbreaker.Option{redbreaker.WithClassifier(redbreaker.CountAsSuccess(errA))}, redbreaker.Success},
		{"CountAsSuccess of others", errB, []redbreaker.Option{redbreaker.WithClassifier(redbreaker.CountAsSuccess(errA))}, redbreaker.Failure},
		{"the first that speaks", errA, []redbreaker.Option{always(0), always(redbreaker.Ignored), always(redbreaker.Success)}, redbreaker.Ignored},
		{"before the defaults", redbreaker.ErrStopped, []redbreaker.Option{always(redbreaker.Failure)}, redbreaker.Failure},
		{"slow is not the user's to say", errA, []redbreaker.Option{always(redbreaker.SlowSuccess)}, redbreaker.Failure},
		{"nor is nonsense", errA, []redbreaker.Option{always(99)}, redbreaker.Failure},
		{"nil is not asked about", nil, []redbreaker.Option{always(redbreaker.Failure)}, redbreaker.Success},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := outcomeOf(t, ctx, func() {}, test.err, test.opts...); got != test.want {
				t.Errorf("counted as %v, want %v", got, test.want)
			}
		})
	}
}

func TestClassify_panicIsAFailureAndGoesOn(t *testing.T) {
	b := newBreaker(t, opensAtOnce, redbreaker.WithClassifier(func(error) redbreaker.Outcome { panic("boom") }))
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want boom", got)
			}
		}()
		_ = b.Do(ctx, fail)
	}()
	wantState(t, b, redbreaker.StateOpen)
}

func TestRetryAfterError(t *testing.T) {
	if err := redbreaker.RetryAfterError(nil, time.Second); err != nil {
		t.Errorf("of nil: %v", err)
	}
	if err := redbreaker.RetryAfterError(errDown, 0); err != errDown {
		t.Errorf("without a time: %v", err)
	}
	err := redbreaker.RetryAfterError(errDown, time.Hour)
	wantErr(t, err, errDown)
	wantText(t, err, "dependency is down")

	store, _ := newClocked()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	_ = b.Do(ctx, func(context.Context) error {
		return fmt.Errorf("get: %w", redbreaker.RetryAfterError(errDown, 10*time.Minute))
	})
	r := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	if got := r.RetryAfter(); got != 10*time.Minute {
		t.Errorf("open for %v, want 10m", got)
	}
}

// A TripError opens whatever the thresholds, through each way of settling a call.
func TestTripError(t *testing.T) {
	if err := redbreaker.TripError(nil, time.Second); err != nil {
		t.Errorf("of nil: %v", err)
	}
	err := redbreaker.TripError(errDown, time.Hour)
	wantErr(t, err, errDown)
	wantText(t, err, "dependency is down")
	wrapped := func() error { return fmt.Errorf("get: %w", redbreaker.TripError(errDown, 10*time.Minute)) }

	for name, call := range map[string]func(*redbreaker.Breaker){
		"Do":                  func(b *redbreaker.Breaker) { _ = b.Do(ctx, func(context.Context) error { return wrapped() }) },
		"Done":                func(b *redbreaker.Breaker) { err := wrapped(); acquire(t, b).Done(&err) },
		"Failure of a permit": func(b *redbreaker.Breaker) { acquire(t, b).Failure(wrapped()) },
		"Settle":              func(b *redbreaker.Breaker) { acquire(t, b).Settle(ctx, wrapped()) },
		"Settle, cancelled":   func(b *redbreaker.Breaker) { acquire(t, b).Settle(cancelledContext(), wrapped()) },
		"joined": func(b *redbreaker.Breaker) {
			acquire(t, b).Settle(ctx, errors.Join(errDown, wrapped()))
		},
		"a Classifier": func(b *redbreaker.Breaker) {
			acquire(t, b).Settle(ctx, redbreaker.RetryAfterError(errQuota, 10*time.Minute))
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, _ := newClocked()
			b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 100}, redbreaker.WithStorage(store),
				redbreaker.WithClassifier(func(err error) redbreaker.Outcome {
					if errors.Is(err, errQuota) {
						return redbreaker.TripNow
					}
					return 0
				}))
			call(b)
			r := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
			if got := r.RetryAfter(); got != 10*time.Minute {
				t.Errorf("open for %v, want 10m", got)
			}
			if o := r.Opened; o == nil || o.Cause != redbreaker.CauseDemanded || !errors.Is(o.Err, errDown) && !errors.Is(o.Err, errQuota) ||
				o.Text != "*errors.errorString" && name != "joined" {
				t.Errorf("opened by %+v, want a demand with the error and its own type", o)
			}
		})
	}
}

var errQuota = errors.New("quota exceeded")

// A user's classifier has the first word about a TripError, too.
func TestTripError_classifierDecides(t *testing.T) {
	for o, want := range map[redbreaker.Outcome]redbreaker.State{
		redbreaker.Ignored: redbreaker.StateClosed,
		redbreaker.Failure: redbreaker.StateClosed, // one of a hundred
		0:                  redbreaker.StateOpen,
	} {
		b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 100},
			redbreaker.WithClassifier(func(error) redbreaker.Outcome { return o }))
		_ = b.Do(ctx, func(context.Context) error { return redbreaker.TripError(errDown, time.Hour) })
		if got := b.State(); got != want {
			t.Errorf("classified as %v: %v, want %v", o, got, want)
		}
	}
}

// Both marks may be on one error, in either order.
func TestTripError_withRetryAfterError(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want time.Duration
	}{
		"no time":                  {redbreaker.TripError(errDown, 0), time.Minute},
		"a negative time":          {redbreaker.TripError(errDown, -1), time.Minute},
		"the time of the other":    {redbreaker.TripError(fmt.Errorf("x: %w", redbreaker.RetryAfterError(errDown, 5*time.Minute)), 0), 5 * time.Minute},
		"the outer time":           {redbreaker.TripError(redbreaker.RetryAfterError(errDown, 5*time.Minute), time.Second), time.Second},
		"within a RetryAfterError": {redbreaker.RetryAfterError(redbreaker.TripError(errDown, time.Second), 7*time.Minute), 7 * time.Minute},
		"more than Max":            {redbreaker.TripError(errDown, 1<<63-1), time.Hour},
	} {
		store, _ := newClocked()
		b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 100}, redbreaker.WithStorage(store))
		_ = b.Do(ctx, func(context.Context) error { return test.err })
		if s := b.Status(); s.State != redbreaker.StateOpen || s.RetryAfter != test.want {
			t.Errorf("%s: %v for %v, want open for %v", name, s.State, s.RetryAfter, test.want)
		}
	}
}

// A failure costs one allocation, its detail.
func TestFailure_allocations(t *testing.T) {
	b := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(idle{}))
	wrapped := fmt.Errorf("get: %w", errors.Join(errDown, redbreaker.RetryAfterError(errDown, time.Second)))
	call := func(context.Context) error { return wrapped }
	if n := testing.AllocsPerRun(100, func() { _ = b.Do(ctx, call) }); n > 1 {
		t.Errorf("a failure allocates %v times, want at most once", n)
	}
}

// Whatever open time a server asks for, Backoff.Max limits it.
func TestRetryAfterError_isBounded(t *testing.T) {
	store, _ := newClocked()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	_ = b.Do(ctx, func(context.Context) error { return redbreaker.RetryAfterError(errDown, 1<<63-1) })
	if got := b.Status().RetryAfter; got != time.Hour {
		t.Errorf("open for %v, want 1h", got)
	}
}

type brokenError struct{ text string }

func (e *brokenError) Error() string { return e.text }

func TestErrorText(t *testing.T) {
	opErr := &net.OpError{Op: "dial", Err: io.EOF}
	var nothing *brokenError
	for _, test := range []struct {
		err              error
		wantType, wantIn string
	}{
		{opErr, "*net.OpError", "dial: EOF"},
		{fmt.Errorf("charge: %w", redbreaker.RetryAfterError(opErr, time.Second)), "*net.OpError", "charge: dial: EOF"},
		{errors.Join(errDown, opErr), "*errors.joinError", "dependency is down\ndial: EOF"},
		{fmt.Errorf("token=secret"), "*errors.errorString", "token=secret"},
		{fmt.Errorf("nothing: %w", nil), "*fmt.wrapError", "nothing: %!w(<nil>)"},
		{nothing, "*redbreaker_test.brokenError", "<nil>"},
	} {
		for want, opts := range map[string][]redbreaker.Option{
			test.wantType: nil,
			test.wantIn:   {redbreaker.WithErrorText()},
		} {
			store := newFake()
			b := newBreaker(t, opensAtOnce, append(opts, redbreaker.WithStorage(store))...)
			_ = b.Do(ctx, func(context.Context) error { return test.err })
			if r := store.reported(); len(r) != 1 || r[0].Detail.Text != want {
				t.Errorf("reported %q, want %q", r, want)
			}
		}
	}
}
