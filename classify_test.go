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
