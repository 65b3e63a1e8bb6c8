// Command retry puts retries and hedges around a breaker. Each attempt is a call of
// its own, so the breaker sees every failure, and an open circuit ends the retries.
//
// A breaker around the retries would see one failure for several attempts, and would
// go on retrying a dependency that is down.
//
//	go run ./retry
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/redbreaker/redbreaker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "retry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	outcomes := make(chan redbreaker.Outcome, 16)
	search, err := redbreaker.New("search", redbreaker.Policy{ConsecutiveFailures: 3},
		redbreaker.WithHooks(redbreaker.Hooks{
			OnCall: func(_ context.Context, r redbreaker.CallResult) { outcomes <- r.Outcome },
		}))
	if err != nil {
		return err
	}
	defer search.Stop()

	slow := true
	answer, err := hedge(ctx, search, 10*time.Millisecond, func(ctx context.Context) (string, error) {
		if slow {
			slow = false
			<-ctx.Done() // hangs until the second call has won
			return "", ctx.Err()
		}
		return "found", nil
	})
	fmt.Println("hedged:", answer, err)
	fmt.Println("outcomes of the two calls:", <-outcomes, <-outcomes)

	attempts := 0
	err = retry(ctx, search, 10, func(context.Context) error {
		attempts++
		return errors.New("search is down")
	})
	fmt.Println("retried:", errors.Is(err, redbreaker.ErrRejected), "after", attempts, "attempts of 10")
	return nil
}

// The pause before the second attempt, and the longest.
const (
	firstPause   = 10 * time.Millisecond
	longestPause = time.Second
)

// retry makes up to attempts calls through the breaker, until one succeeds. It pauses
// in between, for a random time that doubles. A rejection ends it: the dependency is
// known to be down. The error is the last one.
func retry(ctx context.Context, b *redbreaker.Breaker, attempts int, f func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := b.Do(ctx, f)
		attempts--
		if err == nil || attempts <= 0 || errors.Is(err, redbreaker.ErrRejected) {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// hedge makes a call through the breaker, and a second one if the first takes longer
// than delay. It returns the first success, or the last error. The other call is
// cancelled, and the breaker ignores it: its caller cancelled it, which says nothing
// about the dependency.
func hedge[T any](ctx context.Context, b *redbreaker.Breaker, delay time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 2)
	start := func() {
		go func() {
			value, err := redbreaker.Call(ctx, b, f)
			results <- result{value, err}
		}()
	}
	start()
	running := 1
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			start()
			running++
		case r := <-results:
			if running--; r.err == nil || running == 0 {
				return r.value, r.err
			}
		}
	}
}
