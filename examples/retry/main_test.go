package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

var errDown = errors.New("down")

// counted returns a breaker and a function that counts its outcomes.
func counted(t *testing.T, p redbreaker.Policy) (*redbreaker.Breaker, func(redbreaker.Outcome) int) {
	t.Helper()
	var mu sync.Mutex
	counts := map[redbreaker.Outcome]int{}
	b, err := redbreaker.New("search", p, redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(_ context.Context, r redbreaker.CallResult) {
			mu.Lock()
			defer mu.Unlock()
			counts[r.Outcome]++
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b, func(o redbreaker.Outcome) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[o]
	}
}

// Every attempt counts, and a success ends the retries.
func TestRetry_succeeds(t *testing.T) {
	b, outcomes := counted(t, redbreaker.Policy{ConsecutiveFailures: 5})
	n := 0
	err := retry(t.Context(), b, 5, func(context.Context) error {
		if n++; n < 3 {
			return errDown
		}
		return nil
	})
	if err != nil || n != 3 || outcomes(redbreaker.Failure) != 2 || outcomes(redbreaker.Success) != 1 {
		t.Errorf("%v after %d attempts, %d failures and %d successes counted", err, n, outcomes(redbreaker.Failure), outcomes(redbreaker.Success))
	}
}

func TestRetry_ends(t *testing.T) {
	b, _ := counted(t, redbreaker.Policy{ConsecutiveFailures: 5})
	n := 0
	fail := func(context.Context) error { n++; return errDown }
	if err := retry(t.Context(), b, 2, fail); !errors.Is(err, errDown) || n != 2 {
		t.Errorf("%v after %d attempts, want the error of the second", err, n)
	}
	n = 0
	if err := retry(t.Context(), b, 9, fail); !errors.Is(err, redbreaker.ErrRejected) || n != 3 {
		t.Errorf("%v after %d attempts, want a rejection after 3", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := retry(ctx, b, 9, fail); err == nil {
		t.Error("no error of a cancelled context")
	}
}

// A call that is fast is not hedged.
func TestHedge_fast(t *testing.T) {
	b, outcomes := counted(t, redbreaker.Policy{})
	got, err := hedge(t.Context(), b, time.Minute, func(context.Context) (int, error) { return 1, nil })
	if got != 1 || err != nil || outcomes(redbreaker.Success) != 1 {
		t.Errorf("got %v, %v, %d successes", got, err, outcomes(redbreaker.Success))
	}
	if _, err := hedge(t.Context(), b, time.Minute, func(context.Context) (int, error) { return 0, errDown }); !errors.Is(err, errDown) {
		t.Errorf("a failure: %v", err)
	}
}

// The call that loses is cancelled and ignored.
func TestHedge_loserIsIgnored(t *testing.T) {
	b, outcomes := counted(t, redbreaker.Policy{ConsecutiveFailures: 1})
	var mu sync.Mutex
	n := 0
	got, err := hedge(t.Context(), b, time.Millisecond, func(ctx context.Context) (int, error) {
		mu.Lock()
		n++
		first := n == 1
		mu.Unlock()
		if first {
			<-ctx.Done()
			return 0, errDown // a driver's own error for a cancellation
		}
		return 2, nil
	})
	if got != 2 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for deadline := time.Now().Add(30 * time.Second); outcomes(redbreaker.Ignored) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the loser does not end")
		}
	}
	if b.State() != redbreaker.StateClosed || outcomes(redbreaker.Failure) != 0 {
		t.Errorf("the circuit is %v after %d failures", b.State(), outcomes(redbreaker.Failure))
	}
}

// If both calls fail, the error is that of the second to end.
func TestHedge_bothFail(t *testing.T) {
	b, outcomes := counted(t, redbreaker.Policy{})
	release := make(chan struct{})
	var once sync.Once
	n := make(chan int, 2)
	n <- 1
	_, err := hedge(t.Context(), b, time.Millisecond, func(context.Context) (int, error) {
		select {
		case <-n: // the first call
			<-release
		default:
			once.Do(func() { close(release) })
		}
		return 0, errDown
	})
	if !errors.Is(err, errDown) || outcomes(redbreaker.Failure) != 2 {
		t.Errorf("%v, %d failures", err, outcomes(redbreaker.Failure))
	}
}
