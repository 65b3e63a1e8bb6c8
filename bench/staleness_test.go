package bench

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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
					calls += callFor(b, []*redbreaker.Breaker{breaker}, 2*time.Second, every)
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

// callFor makes calls from 64 goroutines, or from one for each breaker if these are more,
// and returns their number. One in every fails; none may be rejected.
func callFor(b *testing.B, breakers []*redbreaker.Breaker, length time.Duration, every int) int64 {
	b.Helper()
	var calls atomic.Int64
	var rejected atomic.Pointer[error]
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for g := range max(64, len(breakers)) {
		all.Add(1)
		go func() {
			defer all.Done()
			breaker, n := breakers[g%len(breakers)], int64(0)
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

var registrySize = flag.Int("stale.breakers", 2000, "breakers of the registry of BenchmarkStalenessFootprint")

// BenchmarkStalenessFootprint measures what a breaker with a view takes more than one
// in strict mode, at rest and while it is used, and the goroutines of the breakers of a
// registry that are used. steps/write is how many steps share a write to the server.
func BenchmarkStalenessFootprint(b *testing.B) {
	for _, kind := range []struct {
		name  string
		rests bool
	}{{"used", false}, {"rest", true}} {
		b.Run("kind="+kind.name, func(b *testing.B) {
			for range b.N {
				strict := measureFootprint(b, 0, false)
				seen := measureFootprint(b, registryStaleness(), kind.rests)
				b.ReportMetric(seen.bytes-strict.bytes, "B/breaker")
				b.ReportMetric(float64(seen.goroutines), "goroutines")
				b.ReportMetric(seen.shared, "steps/write")
			}
		})
	}
}

// registryStaleness is long enough for all breakers to be in use at once.
func registryStaleness() time.Duration {
	return max(stale, time.Duration(*registrySize)*stale/2000)
}

// footprint holds the cost of the breakers of a registry.
type footprint struct {
	bytes      float64 // of a breaker
	goroutines int     // the most of all
	shared     float64 // steps in a write, those of the first calls included
}

func measureFootprint(b *testing.B, d time.Duration, rests bool) footprint {
	b.Helper()
	s, n := startRedis(b), *registrySize
	var sent writeCounter
	s.client.AddHook(&sent)
	p := redbreaker.Policy{Window: redbreaker.Window{Period: 10 * registryStaleness(), FailureRate: 0.9}}
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: p, Max: n}, append(s.options(b), redbreaker.WithMaxStaleness(d))...)
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
	must(b, spread(n, func(i int) error { return list[i].Do(ctx, succeed) })) // now all are in use
	var f footprint
	for range 3 {
		for _, breaker := range list {
			_ = breaker.Do(ctx, succeed)
		}
		f.goroutines = max(f.goroutines, runtime.NumGoroutine()-own)
	}
	if rests {
		time.Sleep(d + d/2)
	}
	f.bytes = float64(heap()-before) / float64(n)
	f.shared = float64(sent.steps.Load()) / float64(sent.writes.Load())
	registry.Stop()
	return f
}

// writeCounter counts the steps that a client sends, and the writes that carry them.
type writeCounter struct{ steps, writes atomic.Int64 }

// DialHook implements redis.Hook.
func (c *writeCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (c *writeCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (c *writeCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.count(cmds...)
		return next(ctx, cmds)
	}
}

func (c *writeCounter) count(cmds ...redis.Cmder) {
	steps := int64(0)
	for _, cmd := range cmds {
		if cmd.Name() == "evalsha" {
			steps++
		}
	}
	if steps > 0 {
		c.steps.Add(steps)
		c.writes.Add(1)
	}
}
