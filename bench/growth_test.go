package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// BenchmarkGrowth measures calls of one goroutine to random breakers, by the number
// of breakers on the server and in this process. With one goroutine no calls share a
// script, so server-us/decision is the time of one script. It is measured in turns
// with EVALSHA of "return 1"; x-return1 is the ratio.
func BenchmarkGrowth(b *testing.B) {
	s := startRedis(b)
	load(b, s.client)
	counts := []int{1, 100, 10_000, 100_000}
	if testing.Short() {
		counts = counts[:3]
	}
	for _, n := range counts {
		var list []*redbreaker.Breaker // made by the first run
		b.Run(fmt.Sprintf("breakers=%d", n), func(run *testing.B) {
			if list == nil {
				list = s.breakers(b, n, counted)
				// The first outcome creates the window, which later outcomes do not.
				must(b, spread(n, func(i int) error { return list[i].Do(ctx, succeed) }))
			}
			s.alone(run, func(int) error { return list[rand.IntN(n)].Do(ctx, succeed) })
			mustBeWell(run, list...)
		})
	}
}

// BenchmarkWindow measures calls of one goroutine, one in ten of which fails, to a
// breaker with a full count window, by the window's size, as BenchmarkGrowth does.
func BenchmarkWindow(b *testing.B) {
	s := startRedis(b)
	load(b, s.client)
	for _, n := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("window=%d", n), func(b *testing.B) {
			breaker := s.breakers(b, 1, redbreaker.Policy{Window: redbreaker.Window{Calls: n, FailureRate: 1}})[0]
			call := func(i int) error { return breaker.Do(ctx, onceIn(10)(i)) }
			must(b, spread(n, func(i int) error { return new(tally).count(call(i)) }))
			s.alone(b, call)
			mustBeWell(b, breaker)
			if got, err := breaker.Inspect(ctx); err != nil || got.Calls != int64(n) {
				b.Fatalf("the window holds %d calls, %v", got.Calls, err)
			}
		})
	}
}

// turn is the number of calls between two measurements of the floor.
const turn = 25

// alone makes b.N calls, in turns with as many EVALSHA of "return 1", and reports
// the calls as crowd does, but the servers' time as the median of the turns.
func (s *site) alone(b *testing.B, call func(i int) error) {
	b.Helper()
	var t tally
	var took []time.Duration
	var done work
	var micros, ratios []float64
	b.ResetTimer()
	for first := 0; first < b.N; first += turn {
		n := min(turn, b.N-first)
		b.StopTimer()
		floor := s.worked(b, n, func(int) error { return askNothing(s.client, "floor") })
		decisions := t.decisions
		b.StartTimer()
		own := s.worked(b, n, func(i int) error {
			start := time.Now()
			err := call(first + i)
			took = append(took, time.Since(start))
			return t.count(err)
		})
		done = work{done.calls + own.calls, done.micros + own.micros}
		each := own.micros / float64(t.decisions-decisions)
		micros = append(micros, each)
		ratios = append(ratios, each/(floor.micros/float64(n)))
	}
	b.StopTimer()
	s.report(b, b.N, t.decisions, took, done)
	b.ReportMetric(median(micros), "server-us/decision")
	b.ReportMetric(median(ratios), "x-return1")
}

// worked returns the servers' work for n calls.
func (s *site) worked(b *testing.B, n int, call func(i int) error) work {
	b.Helper()
	before := s.work(b)
	for i := range n {
		must(b, call(i))
	}
	return s.work(b).since(before)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// mustBeWell fails unless breakers are closed and their storage answers.
func mustBeWell(b *testing.B, list ...*redbreaker.Breaker) {
	b.Helper()
	for _, breaker := range list {
		if s := breaker.Status(); s.State != redbreaker.StateClosed || s.Degraded {
			b.Fatalf("%s: %+v", breaker.Name(), s)
		}
	}
}
