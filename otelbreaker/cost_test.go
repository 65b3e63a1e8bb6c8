package otelbreaker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/metrics"
	"github.com/redbreaker/redbreaker/otelbreaker"
)

// newKeyed returns a registry with n breakers, of which every hundredth is open.
func newKeyed(t testing.TB, e *exported, n int) *redbreaker.Registry {
	t.Helper()
	r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Max: n, Policy: opensAtOnce}, redbreaker.WithHooks(e.Hooks()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	e.ObserveRegistry(r)
	for i := range n {
		b, err := r.Get(fmt.Sprintf("host-%05d.example.com", i))
		if err != nil {
			t.Fatal(err)
		}
		call := succeed
		if i%100 == 0 {
			call = fail
		}
		_ = b.Do(context.Background(), call)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ctx.Err() == nil && e.read(t, metrics.Transitions)[opened] < int64(n/100) {
		time.Sleep(time.Millisecond) // for the hooks
	}
	return r
}

const opened = "cause=consecutive from=closed to=open"

// 10 000 keyed breakers, 1 % of them open: an SDK that keeps 2000 points of each
// instrument drops nothing, and each breaker counts once.
func TestCardinality(t *testing.T) {
	const n = 10_000
	e := newExported(t)
	newKeyed(t, e, n)
	points := 0
	for name, m := range e.collect(t) {
		data := m.Data.(metricdata.Sum[int64])
		points += len(data.DataPoints)
		for _, p := range data.DataPoints {
			if _, overflow := p.Attributes.Value("otel.metric.overflow"); overflow {
				t.Errorf("%s overflows", name)
			}
		}
	}
	// Of status, 3 for each open circuit and 3 for all others.
	if most := 3*(n/100) + 100; points > most {
		t.Errorf("%d points, want at most %d", points, most)
	}
	sums := map[string]int64{}
	named := 0
	for _, p := range e.collect(t)[metrics.Status.Name].Data.(metricdata.Sum[int64]).DataPoints {
		state, _ := p.Attributes.Value(metrics.AttrState)
		sums[state.AsString()] += p.Value
		if _, ok := p.Attributes.Value(metrics.AttrName); ok && p.Value > 0 {
			named++
		}
	}
	if sums["closed"] != n-n/100 || sums["open"] != n/100 || named != n/100 {
		t.Errorf("status sums to %v with %d by name", sums, named)
	}
	if got := e.read(t, metrics.Transitions)[opened]; got != n/100 {
		t.Errorf("%d circuits opened, want %d", got, n/100)
	}
}

// Collecting keeps no memory, however often it runs.
func TestCardinality_memory(t *testing.T) {
	e := newExported(t)
	newKeyed(t, e, 1000)
	for range 3 {
		e.collect(t)
	}
	before := heap()
	for range 50 {
		e.collect(t)
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the heap grew by %d B", grown)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// A call with metrics on allocates nothing.
func TestHooks_allocs(t *testing.T) {
	for what, e := range map[string]*exported{
		"counters":   newExported(t, otelbreaker.WithNames("named")),
		"histograms": newExported(t, otelbreaker.WithNames("named"), otelbreaker.WithDuration()),
	} {
		t.Run(what, func(t *testing.T) { checkAllocs(t, e) })
	}
}

func checkAllocs(t *testing.T, e *exported) {
	t.Helper()
	ctx := context.Background()
	for _, name := range []string{"other", "named"} {
		b := e.newBreaker(t, name, redbreaker.Policy{ConsecutiveFailures: 1 << 20})
		open := e.newBreaker(t, name, redbreaker.Policy{})
		control(t, open, redbreaker.ActionTrip)
		for what, call := range map[string]func(){
			"success": func() { _ = b.Do(ctx, succeed) },
			"permit": func() {
				p, _ := b.Acquire(ctx)
				p.Success()
			},
			"rejection": func() { _ = open.Do(ctx, succeed) },
		} {
			if n := testing.AllocsPerRun(200, call); n != 0 {
				t.Errorf("%s of %s allocates %v times", what, name, n)
			}
		}
	}
}

// BenchmarkDo measures what metrics add to a call of a closed circuit in memory,
// beside two atomic additions.
func BenchmarkDo(b *testing.B) {
	e := newExported(b, otelbreaker.WithNames("named"))
	off, err := redbreaker.New("off", redbreaker.Policy{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(off.Stop)
	ctx := context.Background()
	for _, c := range []struct {
		name    string
		breaker *redbreaker.Breaker
	}{
		{"off", off},
		{"on", e.newBreaker(b, "other", redbreaker.Policy{})},
		{"on, named", e.newBreaker(b, "named", redbreaker.Policy{})},
		{"on, with duration", newExported(b, otelbreaker.WithDuration()).newBreaker(b, "other", redbreaker.Policy{})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = c.breaker.Do(ctx, succeed)
			}
		})
		b.Run(c.name+", parallel", func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					_ = c.breaker.Do(ctx, succeed)
				}
			})
		})
	}
	b.Run("two atomic additions", func(b *testing.B) {
		var first, second atomic.Int64
		for b.Loop() {
			first.Add(1)
			second.Add(1)
		}
	})
}

// BenchmarkCollect measures a reader's collection; it should take less than 100 ms for
// 10 000 breakers.
func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("breakers=%d", n), func(b *testing.B) {
			e := newExported(b)
			newKeyed(b, e, n)
			var all metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				if err := e.reader.Collect(context.Background(), &all); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
