package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// stale is the bound of most views here.
const stale = time.Second

// unbiased is a time window that no share of failures measured here opens.
var unbiased = redbreaker.Policy{Window: redbreaker.Window{Period: 10 * time.Second, FailureRate: 0.9}}

// BenchmarkStaleness measures Do over the in-memory engine and through a view of a
// record in Redis, by rule: success is closed, rejected is open.
func BenchmarkStaleness(b *testing.B) {
	for _, where := range []string{"memory", "view"} {
		for _, rule := range rules[:3] {
			for _, n := range []int{1, 64} {
				at := fmt.Sprintf("where=%s/rule=%s", where, rule.name)
				b.Run(fmt.Sprintf("%s/path=success/goroutines=%d", at, n), func(b *testing.B) {
					breaker := startStale(b, where, rule.policy)
					warmUp(breaker, 300*time.Millisecond)
					together(b, n, func(int) { _ = breaker.Do(ctx, succeed) })
					mustBe(b, breaker, redbreaker.StateClosed)
				})
				b.Run(fmt.Sprintf("%s/path=rejected/goroutines=%d", at, n), func(b *testing.B) {
					breaker := startStale(b, where, rule.policy)
					_, err := breaker.Control(ctx, redbreaker.Command{Action: redbreaker.ActionTrip, For: time.Hour})
					must(b, err)
					together(b, n, func(int) { _ = breaker.Do(ctx, succeed) })
					mustBe(b, breaker, redbreaker.StateOpen)
				})
			}
		}
	}
}

func startStale(b *testing.B, where string, p redbreaker.Policy) *redbreaker.Breaker {
	b.Helper()
	if where == "memory" {
		return memory(b, p)
	}
	return startRedis(b).staleBreaker(b, p, stale)
}

// staleBreaker makes a breaker whose view may be d old; 0 is strict mode.
func (s *site) staleBreaker(b *testing.B, p redbreaker.Policy, d time.Duration) *redbreaker.Breaker {
	b.Helper()
	breaker, err := redbreaker.New("bench", p, append(s.options(b), redbreaker.WithMaxStaleness(d))...)
	must(b, err)
	b.Cleanup(breaker.Stop)
	must(b, touch(breaker))
	return breaker
}

// warmUp makes calls for a while: a process may hold back few outcomes until it has
// sent some.
func warmUp(breaker *redbreaker.Breaker, length time.Duration) {
	for end := time.Now().Add(length); time.Now().Before(end); {
		_ = breaker.Do(ctx, succeed)
	}
}

// BenchmarkStalenessRate measures calls of 64 goroutines without a pause, by the share
// of them that fails. An operation is two seconds of calls. A call takes two decisions.
func BenchmarkStalenessRate(b *testing.B) {
	for _, every := range []int{0, 100, 10, 2} {
		for _, mode := range modes {
			b.Run(fmt.Sprintf("failing=%s/mode=%s", shareOf(every), mode.name), func(b *testing.B) {
				s := startRedis(b)
				breaker := s.staleBreaker(b, unbiased, mode.d)
				warmUp(breaker, 300*time.Millisecond)
				var calls int64
				var done work
				for range b.N {
					before := s.work(b)
					calls += callFor(b, breaker, 2*time.Second, every)
					done = s.work(b).since(before)
				}
				b.ReportMetric(float64(calls)/b.Elapsed().Seconds(), "calls/s")
				b.ReportMetric(done.calls/2, "steps/s")
				b.ReportMetric(100*done.calls/float64(2*calls), "steps/100-decisions")
				mustBe(b, breaker, redbreaker.StateClosed)
			})
		}
	}
}

// modes are strict mode and a view.
var modes = []struct {
	name string
	d    time.Duration
}{{"strict", 0}, {"view", stale}}

func shareOf(every int) string {
	if every == 0 {
		return "0"
	}
	return fmt.Sprint(100 / every)
}

// callFor makes calls from 64 goroutines, of which one in every fails, and returns their
// number. None may be rejected.
func callFor(b *testing.B, breaker *redbreaker.Breaker, length time.Duration, every int) int64 {
	b.Helper()
	var calls atomic.Int64
	var rejected atomic.Pointer[error]
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for g := range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			n := int64(0)
			for i := g; n%64 != 0 || time.Now().Before(end); i++ {
				f := succeed
				if every > 0 && i%every == 0 {
					f = fail
				}
				if err := breaker.Do(ctx, f); err != nil && err != errDown {
					other := err // err itself would then be allocated for each call
					rejected.Store(&other)
					return
				}
				n++
			}
			calls.Add(n)
		}()
	}
	all.Wait()
	if err := rejected.Load(); err != nil {
		b.Fatal(*err)
	}
	return calls.Load()
}

// BenchmarkStalenessOverhead measures how much longer calls of 1 ms take through a
// breaker, by the share that fails, for 64 goroutines. An operation is a second of calls.
func BenchmarkStalenessOverhead(b *testing.B) {
	for _, every := range []int{0, 100, 10} {
		for _, mode := range modes {
			b.Run(fmt.Sprintf("failing=%s/mode=%s", shareOf(every), mode.name), func(b *testing.B) {
				breaker := startRedis(b).staleBreaker(b, unbiased, mode.d)
				warmUp(breaker, 300*time.Millisecond)
				var overheads []time.Duration
				for range b.N {
					overheads = append(overheads, overheadOf(breaker, time.Second, every)...)
				}
				slices.Sort(overheads)
				b.ReportMetric(float64(overheads[len(overheads)/2].Nanoseconds()), "p50-ns")
				b.ReportMetric(float64(overheads[len(overheads)*99/100].Nanoseconds()), "p99-ns")
				b.ReportMetric(float64(len(overheads))/b.Elapsed().Seconds(), "calls/s")
				mustBe(b, breaker, redbreaker.StateClosed)
			})
		}
	}
}

func overheadOf(breaker *redbreaker.Breaker, length time.Duration, every int) (overheads []time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for g := range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			var own []time.Duration
			for i := g; time.Now().Before(end); i++ {
				var inside time.Duration
				start := time.Now()
				_ = breaker.Do(ctx, func(context.Context) error {
					begin := time.Now()
					time.Sleep(time.Millisecond)
					defer func() { inside = time.Since(begin) }()
					if every > 0 && i%every == 0 {
						return errDown
					}
					return nil
				})
				own = append(own, time.Since(start)-inside)
			}
			mu.Lock()
			defer mu.Unlock()
			overheads = append(overheads, own...)
		}()
	}
	all.Wait()
	return overheads
}

// BenchmarkStalenessSteps measures the steps of one process and breaker in d, after
// 20 d, at 2 000 calls a second of which none or every second one fails. An operation
// is 20 d.
func BenchmarkStalenessSteps(b *testing.B) {
	const d = 100 * time.Millisecond
	for _, every := range []int{0, 2} {
		b.Run("failing="+shareOf(every), func(b *testing.B) {
			s := startRedis(b)
			breaker := s.staleBreaker(b, unbiased, d)
			paceCalls(breaker, 20*d, every)
			var done work
			for range b.N {
				before := s.work(b)
				paceCalls(breaker, 20*d, every)
				done = s.work(b).since(before)
			}
			b.ReportMetric(done.calls/20, "steps/d")
			mustBe(b, breaker, redbreaker.StateClosed)
		})
	}
}

// paceCalls makes two calls each millisecond.
func paceCalls(breaker *redbreaker.Breaker, length time.Duration, every int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i, end := 0, time.Now().Add(length); time.Now().Before(end); <-tick.C {
		for range 2 {
			f := succeed
			if i++; every > 0 && i%every == 0 {
				f = fail
			}
			_ = breaker.Do(ctx, f)
		}
	}
}

// BenchmarkStalenessFootprint measures what a breaker with a view takes more than one
// in strict mode, at rest and while it is used, and the goroutines of 2 000 breakers
// that are used.
func BenchmarkStalenessFootprint(b *testing.B) {
	const n = 2000
	measure := func(b *testing.B, d time.Duration, rests bool) (bytes float64, goroutines int) {
		s := startRedis(b)
		registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: unbiased, Max: n}, append(s.options(b), redbreaker.WithMaxStaleness(d))...)
		must(b, err)
		list := make([]*redbreaker.Breaker, n)
		before, own := heap(), runtime.NumGoroutine()
		must(b, spread(n, func(i int) (err error) {
			list[i], err = registry.Get(fmt.Sprint("breaker-", i))
			if err == nil {
				err = list[i].Do(ctx, succeed)
			}
			return err
		}))
		most := 0
		for range 3 {
			for _, breaker := range list {
				_ = breaker.Do(ctx, succeed)
			}
			most = max(most, runtime.NumGoroutine()-own)
		}
		if rests {
			time.Sleep(d + d/2)
		}
		bytes = float64(heap()-before) / n
		registry.Stop()
		return bytes, most
	}
	for _, kind := range []struct {
		name  string
		rests bool
	}{{"used", false}, {"rest", true}} {
		b.Run("kind="+kind.name, func(b *testing.B) {
			for range b.N {
				strict, _ := measure(b, 0, false)
				seen, most := measure(b, stale, kind.rests)
				b.ReportMetric(seen-strict, "B/breaker")
				b.ReportMetric(float64(most), "goroutines")
			}
		})
	}
}
