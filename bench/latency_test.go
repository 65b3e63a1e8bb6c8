package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// BenchmarkLatency compares the latency of one caller with plain EVALSHA of the same
// script and arguments over the same client: an admission with one EVALSHA, a call of
// Do with two. x-step is the ratio of the medians. The two alternate call by call, so
// that noise hits both; do=evalsha-step compares the plain call with itself and shows
// the noise that remains.
func BenchmarkLatency(b *testing.B) {
	s := startRedis(b)
	load(b, s.client)
	breaker := s.breakers(b, 1, counted)[0]
	plain := newPlain(b, s)
	acquire := func() error {
		p, err := breaker.Acquire(ctx)
		p.Ignore()
		return err
	}
	both := func() error {
		if err := plain.acquire(); err != nil {
			return err
		}
		return plain.report()
	}
	b.Run("do=evalsha-step", func(b *testing.B) { inTurns(b, plain.acquire, plain.acquire) })
	b.Run("do=acquire", func(b *testing.B) { inTurns(b, acquire, plain.acquire) })
	b.Run("do=do", func(b *testing.B) { inTurns(b, func() error { return breaker.Do(ctx, succeed) }, both) })
	mustBeWell(b, breaker)
}

// inTurns makes b.N calls, each next to its floor, in alternating order.
func inTurns(b *testing.B, call, floor func() error) {
	own, beside := make([]time.Duration, b.N), make([]time.Duration, b.N)
	b.ResetTimer()
	for i := range b.N {
		if i%2 == 0 {
			own[i], beside[i] = timed(b, call), timed(b, floor)
		} else {
			beside[i], own[i] = timed(b, floor), timed(b, call)
		}
	}
	b.StopTimer()
	slices.Sort(own)
	slices.Sort(beside)
	p50 := float64(own[b.N/2].Nanoseconds())
	b.ReportMetric(p50, "p50-ns")
	b.ReportMetric(float64(own[b.N*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(p50/float64(beside[b.N/2].Nanoseconds()), "x-step")
	b.ReportMetric(0, "ns/op") // the time of both together means nothing
}

func timed(b *testing.B, call func() error) time.Duration {
	start := time.Now()
	err := call()
	took := time.Since(start)
	must(b, err)
	return took
}

// plain is a record that is called without a storage.
type plain struct {
	*site
	keys    []string
	outcome []any // ARGV of a success
}

func newPlain(b *testing.B, s *site) *plain {
	b.Helper()
	p := &plain{site: s, keys: keys(b, 1)}
	rules, err := counted.Rules()
	must(b, err)
	must(b, p.acquire()) // makes the record
	reply, err := s.client.EvalSha(ctx, scripts.Step.SHA, p.keys, admission...).Result()
	must(b, err)
	r, err := scripts.DecodeStep(reply, &rules, engine.Batch{Admissions: 1})
	must(b, err)
	p.outcome = scripts.StepArgs(&rules, 0, engine.Batch{Results: []engine.Result{{
		Ticket: engine.Ticket{Epoch: r.Epoch}, Runs: []engine.Run{{Outcome: engine.Success, N: 1}}}}})
	return p
}

func (p *plain) acquire() error {
	return p.client.EvalSha(ctx, scripts.Step.SHA, p.keys, admission...).Err()
}

func (p *plain) report() error {
	return p.client.EvalSha(ctx, scripts.Step.SHA, p.keys, p.outcome...).Err()
}
