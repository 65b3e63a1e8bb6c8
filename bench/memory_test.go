package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

var ctx = context.Background()

// callers returns the numbers of goroutines that call one breaker.
var callers = []int{1, 8, 64, 256}

// rules are the trip rules that are measured. None of them trips by one failure in a
// hundred, even if every goroutine holds back a failure at the same time.
var rules = []struct {
	name   string
	policy redbreaker.Policy
}{
	{"consecutive", redbreaker.Policy{ConsecutiveFailures: 1e6}},
	{"count", redbreaker.Policy{Window: redbreaker.Window{Calls: 1000, FailureRate: 0.5}}},
	{"time", redbreaker.Policy{Window: redbreaker.Window{Period: 10 * time.Second, FailureRate: 0.5}}},
	{"slow", redbreaker.Policy{Window: redbreaker.Window{
		Period: 10 * time.Second, FailureRate: 0.5, SlowCallRate: 0.5, SlowCallDuration: time.Second}}},
}

// BenchmarkMemory measures Do over the in-memory engine by rule, by the result of
// the calls, and by the number of goroutines that call one breaker.
func BenchmarkMemory(b *testing.B) {
	for _, rule := range rules {
		b.Run("rule="+rule.name, func(b *testing.B) {
			paths(b, func(b *testing.B) *redbreaker.Breaker { return memory(b, rule.policy) })
		})
	}
}

// memory makes a breaker with its own engine.
func memory(b *testing.B, p redbreaker.Policy) *redbreaker.Breaker {
	b.Helper()
	breaker, err := redbreaker.New("bench", p)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(breaker.Stop)
	return breaker
}

// paths runs each kind of call on its own breaker.
func paths(b *testing.B, make func(*testing.B) *redbreaker.Breaker) {
	for _, n := range callers {
		b.Run(fmt.Sprintf("path=success/goroutines=%d", n), func(b *testing.B) {
			breaker := make(b)
			together(b, n, func(int) { _ = breaker.Do(ctx, succeed) })
			mustBe(b, breaker, redbreaker.StateClosed)
		})
	}
	for _, n := range callers {
		b.Run(fmt.Sprintf("path=failures/goroutines=%d", n), func(b *testing.B) {
			breaker := make(b)
			together(b, n, func(i int) {
				if i%100 == 99 {
					_ = breaker.Do(ctx, fail)
				} else {
					_ = breaker.Do(ctx, succeed)
				}
			})
			mustBe(b, breaker, redbreaker.StateClosed)
		})
	}
	for _, n := range callers {
		b.Run(fmt.Sprintf("path=rejected/goroutines=%d", n), func(b *testing.B) {
			breaker := make(b)
			trip := redbreaker.Command{Action: redbreaker.ActionTrip, For: time.Hour}
			if _, err := breaker.Control(ctx, trip); err != nil {
				b.Fatal(err)
			}
			together(b, n, func(int) { _ = breaker.Do(ctx, succeed) })
			mustBe(b, breaker, redbreaker.StateOpen)
		})
	}
}

func mustBe(b *testing.B, breaker *redbreaker.Breaker, s redbreaker.State) {
	b.Helper()
	if got := breaker.State(); got != s {
		b.Fatalf("the breaker is %v, and %v was to be measured", got, s)
	}
}

var errDown = errors.New("down")

func succeed(context.Context) error { return nil }

func fail(context.Context) error { return errDown }

// BenchmarkTwoStep measures Acquire and Success, the floor of Do.
func BenchmarkTwoStep(b *testing.B) {
	for _, rule := range rules {
		b.Run("rule="+rule.name, func(b *testing.B) {
			breaker := memory(b, rule.policy)
			for range b.N {
				if p, err := breaker.Acquire(ctx); err == nil {
					p.Success()
				}
			}
		})
	}
}

// together runs f b.N times on n goroutines. i counts the calls of a goroutine, each
// from a different start.
func together(b *testing.B, n int, f func(i int)) {
	b.Helper()
	b.ReportAllocs()
	var wg sync.WaitGroup
	start := func(first, share int) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range share {
				f(first + i)
			}
		}()
	}
	b.ResetTimer()
	for g := range n {
		start(g, (b.N+g)/n)
	}
	wg.Wait()
}

// BenchmarkFloor measures the operations that a breaker cannot do without: atomic
// adds, a lock, a clock read.
func BenchmarkFloor(b *testing.B) {
	start := time.Now()
	var ran atomic.Int64
	var mu sync.Mutex
	var held int
	for _, floor := range []struct {
		name string
		f    func(int)
	}{
		{"two_adds", func(int) { ran.Add(1); ran.Add(1) }},
		{"load_add", func(int) {
			if ran.Load() >= 0 {
				ran.Add(1)
			}
		}},
		{"mutex", func(int) {
			mu.Lock()
			held++
			mu.Unlock()
		}},
		{"now", func(int) { _ = time.Now() }},
		{"since", func(int) { _ = time.Since(start) }},
	} {
		for _, n := range callers {
			b.Run(fmt.Sprintf("%s/goroutines=%d", floor.name, n), func(b *testing.B) { together(b, n, floor.f) })
		}
	}
}
