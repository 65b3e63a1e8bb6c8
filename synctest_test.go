//go:build go1.25

package redbreaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
)

// In a bubble time is fake and a goroutine left behind is a failure: these tests
// show that a breaker runs on the bubble's clock and owns none while it is idle.

func TestBubble_openPeriodIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour})
		_ = b.Do(ctx, fail)
		time.Sleep(time.Hour - time.Millisecond)
		r := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
		if got := r.RetryAfter(); got != time.Millisecond {
			t.Errorf("retry after %v, want 1ms", got)
		}
		time.Sleep(r.RetryAfter())
		if err := b.Do(ctx, succeed); err != nil {
			t.Error(err)
		}
		wantState(t, b, redbreaker.StateClosed)
	})
}

func TestBubble_slowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, redbreaker.Policy{Window: redbreaker.Window{
			Calls: 2, SlowCallRate: 1, SlowCallDuration: time.Second,
		}})
		slow := func(context.Context) error { time.Sleep(time.Second); return nil }
		for range 2 {
			if err := b.Do(ctx, slow); err != nil {
				t.Error(err)
			}
		}
		wantState(t, b, redbreaker.StateOpen)
	})
}

func TestBubble_idleOwnsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b, err := redbreaker.New("dep", opensAtOnce, redbreaker.WithHooks(redbreaker.Hooks{
			OnTransition: func(redbreaker.Transition) { calls++ },
		}))
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Do(ctx, fail)
		synctest.Wait()
		if calls != 2 {
			t.Errorf("got %d transitions, want created and consecutive", calls)
		}
		// Not stopped: the bubble would not end if a goroutine were left.
	})
}

func TestBubble_slowHookDelaysNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last redbreaker.State
		b := newBreaker(t, opensAtOnce, redbreaker.WithHooks(redbreaker.Hooks{
			OnTransition: func(tr redbreaker.Transition) {
				time.Sleep(time.Minute)
				last = tr.To
			},
		}))
		start := time.Now()
		_ = b.Do(ctx, fail)
		wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
		if took := time.Since(start); took != 0 {
			t.Errorf("the calls waited %v for a hook", took)
		}
		b.Stop() // Stop does not wait either; queued events are still delivered
		if took := time.Since(start); took != 0 {
			t.Errorf("Stop waited %v for a hook", took)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if last != redbreaker.StateOpen {
			t.Errorf("the last state delivered is %v", last)
		}
	})
}
