package storagetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// workload is the calls of one benchmark.
type workload struct {
	name   string
	policy engine.Policy
	// before brings the breaker into the state in which the calls find it.
	before func(*testing.B, engine.Handle)
	// outcome returns the outcome of the i-th call, if it is admitted.
	outcome func(i int64) engine.Outcome
}

var workloads = []workload{
	{
		name:    "success",
		policy:  engine.Policy{},
		before:  func(*testing.B, engine.Handle) {},
		outcome: func(int64) engine.Outcome { return engine.Success },
	},
	{
		name:   "failures=1%",
		policy: engine.Policy{Window: engine.Window{Period: time.Minute, FailureRate: 0.5}},
		before: func(*testing.B, engine.Handle) {},
		outcome: func(i int64) engine.Outcome {
			if i%100 == 99 {
				return engine.Failure
			}
			return engine.Success
		},
	},
	{
		name:    "open",
		policy:  engine.Policy{OpenFor: engine.MaxDuration},
		before:  func(b *testing.B, h engine.Handle) { act(b, h, engine.ActionTrip) },
		outcome: func(int64) engine.Outcome { return engine.Success },
	},
	{
		// An ignored probe gives its slot to the next call.
		name:    "half_open",
		policy:  engine.Policy{HalfOpen: engine.HalfOpen{Lease: engine.MaxDuration}},
		before:  func(b *testing.B, h engine.Handle) { act(b, h, engine.ActionHalfOpen) },
		outcome: func(int64) engine.Outcome { return engine.Ignored },
	},
}

func act(b *testing.B, h engine.Handle, a engine.Action) {
	b.Helper()
	if _, err := h.Control(b.Context(), engine.Command{Action: a}); err != nil {
		b.Fatalf("Control: %v: %v", a, err)
	}
}

// Bench measures calls through one handle, by 1, 8 and 64 goroutines, in four
// workloads: closed with successes only, closed with 1 % failures, open, and
// half-open with a single slot. A call is an Acquire and, if it is admitted, a
// Report. The metric decisions/s counts calls that have returned. open is called
// once for each benchmark and returns an empty data set; Bench closes its clients.
func Bench(b *testing.B, open func(t testing.TB) Harness) {
	for _, w := range workloads {
		for _, goroutines := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", w.name, goroutines), func(b *testing.B) {
				measure(b, open(b), w, goroutines)
			})
		}
	}
}

func measure(b *testing.B, h Harness, w workload, goroutines int) {
	defer h.A.Close()
	defer h.B.Close()
	handle, err := h.A.Bind(name, w.policy, nil)
	if err != nil {
		b.Fatalf("Bind: %v", err)
	}
	w.before(b, handle)
	ctx := b.Context()
	share := (b.N + goroutines - 1) / goroutines
	var failed atomic.Pointer[error]
	b.ReportAllocs()
	b.ResetTimer()
	atOnce(goroutines, func(int) {
		for i := range int64(share) {
			ticket, err := handle.Acquire(ctx)
			if err == nil {
				_, err = handle.Report(ctx, ticket, w.outcome(i), 0, nil)
			}
			if err != nil && !errors.Is(err, engine.ErrRejected) {
				cause := err // err itself stays off the heap
				failed.Store(&cause)
				return
			}
		}
	})
	b.StopTimer()
	if err := failed.Load(); err != nil {
		b.Fatalf("a call failed: %v", *err)
	}
	b.ReportMetric(float64(share*goroutines)/b.Elapsed().Seconds(), "decisions/s")
}
