package bench

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// goroutines returns the numbers of goroutines that contend.
func goroutines() []int {
	if testing.Short() {
		return []int{1, 64, 256}
	}
	return []int{1, 8, 64, 256, 1024}
}

// caller is one goroutine and the results of its calls.
type caller struct {
	number int
	tally
	took []time.Duration
	err  error
}

// tally counts calls by result, and the decisions that they took. A decision counts
// when its reply was read.
type tally struct{ succeeded, failed, moot, rejected, decisions int64 }

// calls is the number of calls, admitted or not.
func (t *tally) calls() int64 { return t.succeeded + t.failed + t.moot + t.rejected }

// count counts a call by its error. An admitted call took two decisions, its
// admission and its report. count returns an error that no call should have.
func (t *tally) count(err error) error {
	t.decisions += 2
	switch err {
	case nil:
		t.succeeded++
	case errDown:
		t.failed++
	case errMoot:
		t.moot++
	default:
		r, rejected := err.(*redbreaker.RejectedError)
		if !rejected || r.Reason != redbreaker.ReasonOpen && r.Reason != redbreaker.ReasonProbing {
			return err
		}
		t.rejected++
		t.decisions--
	}
	return nil
}

func (t *tally) add(o tally) {
	t.succeeded += o.succeeded
	t.failed += o.failed
	t.moot += o.moot
	t.rejected += o.rejected
	t.decisions += o.decisions
}

// crowd makes b.N calls from n goroutines, at least two from each, and reports
// decisions a second, the duration of calls, and the servers' work for a decision.
// call makes the i-th call of a goroutine and counts it.
func (s *site) crowd(b *testing.B, n int, call func(c *caller, i int) error) tally {
	b.Helper()
	every := 1
	if s.client == nil {
		every = 64 // reading the clock takes longer than a call
	}
	calls := max(b.N, 2*n)
	release := gather(n, calls, every, call)
	before := s.work(b)
	b.ResetTimer()
	callers := release()
	b.StopTimer()
	var sum tally
	var took []time.Duration
	for _, c := range callers {
		must(b, c.err)
		sum.add(c.tally)
		took = append(took, c.took...)
	}
	s.report(b, calls, sum.decisions, took, s.work(b).since(before))
	return sum
}

// gather starts n goroutines that share the calls and time one in every. It returns
// after each has made a warm-up call, which is counted in the results but not in the
// decisions. release lets them make their calls and returns when all have ended.
func gather(n, calls, every int, call func(c *caller, i int) error) (release func() []*caller) {
	callers := make([]*caller, n)
	start := make(chan struct{})
	var warm, all sync.WaitGroup
	for g := range callers {
		share := (calls + g) / n
		c := &caller{number: g, took: make([]time.Duration, 0, share/every+1)}
		callers[g] = c
		warm.Add(1)
		all.Add(1)
		go func() {
			defer all.Done()
			c.err = call(c, 0)
			c.decisions = 0
			warm.Done()
			<-start
			c.run(share, every, call)
		}()
	}
	warm.Wait()
	return func() []*caller {
		close(start)
		all.Wait()
		return callers
	}
}

// run makes calls, one in every of them timed, until one has an error.
func (c *caller) run(calls, every int, call func(*caller, int) error) {
	for i := 0; i < calls && c.err == nil; i++ {
		if i%every != 0 {
			c.err = call(c, i+1)
			continue
		}
		start := time.Now()
		c.err = call(c, i+1)
		c.took = append(c.took, time.Since(start))
	}
}

// report reports the metrics of calls that were made while the timer ran.
func (s *site) report(b *testing.B, calls int, decisions int64, took []time.Duration, done work) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(calls), "ns/op")
	b.ReportMetric(float64(decisions)/b.Elapsed().Seconds(), "decisions/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	if len(s.servers) > 0 {
		b.ReportMetric(done.calls/float64(decisions), "scripts/decision")
		b.ReportMetric(done.micros/float64(decisions), "server-us/decision")
	}
}
