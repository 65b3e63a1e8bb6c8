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

// callers are the numbers of goroutines that call one breaker.
var callers = []int{1, 8, 64, 256}

// rules are the ways in which a breaker may count. None of them trips by one
// failure in a hundred, even if all goroutines were held up with one each.
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

// BenchmarkMemory is Do over the in-memory engine: its rules by what happens to
// the calls, by how many goroutines make them on one breaker.
func BenchmarkMemory(b *testing.B) {
	for _, rule := range rules {
		b.Run("rule="+rule.name, func(b *testing.B) {
			paths(b, func(b *testing.B) *redbreaker.Breaker { return memory(b, rule.policy) })
		})
	}
}

// memory makes a breaker over an engine of its own.
func memory(b *testing.B, p redbreaker.Policy) *redbreaker.Breaker {
	b.Helper()
	breaker, err := redbreaker.New("bench", p)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(breaker.Stop)
	return breaker
}

// paths runs what may happen to calls on one breaker each.
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

// BenchmarkTwoStep is Acquire and Success, what Do may cost little more than.
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

// together runs f b.N times on n goroutines, i counting the calls of each from a
// number of its own on.
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

// BenchmarkFloor is what nothing that counts, locks or looks at a clock can beat.
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
