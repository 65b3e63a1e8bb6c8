package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Calls that take no mutex lose nothing.

// TestMemory_tally: many goroutines report known numbers of successes and
// failures while the clock moves from bucket to bucket, and the tally says so.
func TestMemory_tally(t *testing.T) {
	for name, w := range map[string]engine.Window{
		"count": {Calls: 10_000, FailureCount: 10_000},
		"time":  {Period: time.Minute, FailureCount: 1e6},
		"slow":  {Period: time.Minute, FailureCount: 1e6, SlowCallRate: 1, SlowCallDuration: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			const goroutines, each, failures = 32, 250, 5
			m, now := memory(t)
			h := bind(t, m, engine.Policy{Window: w}, nil)
			parallel(goroutines, func() {
				for i := range each {
					ticket, err := h.Acquire(context.Background())
					if err != nil {
						t.Error(err)
						return
					}
					o := engine.Success
					if i%(each/failures) == 7 {
						o = engine.Failure
					}
					if stale, err := h.Report(context.Background(), ticket, o, int64(i%2)*h.Now(), nil); stale || err != nil {
						t.Error(stale, err)
					}
					now.Add(int64(5 * time.Millisecond)) // 40 s of the window's 54 in all
					runtime.Gosched()
				}
			})
			s, err := m.Inspect(t.Context(), "payments")
			if err != nil || s.Calls != goroutines*each || s.Failures != goroutines*failures {
				t.Errorf("%d calls, %d failures, %v; want %d, %d", s.Calls, s.Failures, err, goroutines*each, goroutines*failures)
			}
		})
	}
}

// TestMemory_eventsOfEachEpoch: each handle raises the events of each epoch, though
// most of its calls only load a pointer.
func TestMemory_eventsOfEachEpoch(t *testing.T) {
	m, _ := memory(t)
	var skews []string
	h := bind(t, m, engine.Policy{}, nil)
	other := bind(t, m, engine.Policy{ConsecutiveFailures: 2}, func(e engine.Event) {
		if e.Kind == engine.EventSkew {
			skews = append(skews, e.Policy)
		}
	})
	succeed := func(h engine.Handle) {
		t.Helper()
		ticket, err := h.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stale, err := h.Report(t.Context(), ticket, engine.Success, 0, nil); stale || err != nil {
			t.Fatal(stale, err)
		}
	}
	for range 3 {
		succeed(h)
		succeed(other)
	}
	s, _ := m.Inspect(t.Context(), "payments")
	if len(skews) != 1 || skews[0] != s.Fingerprint {
		t.Errorf("skew events of %q, want one of %s", skews, s.Fingerprint)
	}
}

// TestMemory_windows: a success of a handle whose policy has another window gives
// that window its turn, whatever the published decision.
func TestMemory_windows(t *testing.T) {
	m, now := memory(t)
	ctx := t.Context()
	h := bind(t, m, engine.Policy{}, nil)
	windowed := bind(t, m, engine.Policy{Window: engine.Window{Period: time.Minute, FailureRate: 1}}, nil)
	resized := bind(t, m, engine.Policy{Window: engine.Window{Calls: 5, FailureRate: 1}}, nil)
	for i, want := range []struct {
		by    engine.Handle
		calls int64
	}{{h, 0}, {h, 0}, {windowed, 1}, {h, 2}, {resized, 3}, {windowed, 4}} {
		ticket, _ := want.by.Acquire(ctx)
		_, _ = want.by.Report(ctx, ticket, engine.Success, 0, nil)
		if s, _ := m.Inspect(ctx, "payments"); s.Calls != want.calls {
			t.Errorf("after call %d: %d calls, want %d", i, s.Calls, want.calls)
		}
	}
	now.Add(int64(time.Minute))
	ticket, _ := resized.Acquire(ctx)
	_, _ = resized.Report(ctx, ticket, engine.Success, 0, nil)
	if s, _ := m.Inspect(ctx, "payments"); s.Calls != 1 {
		t.Errorf("%d calls after the turn of the other window, want 1", s.Calls)
	}
}

// TestMemory_rejection: all rejections of one period, through any handle, return the
// same error.
func TestMemory_rejection(t *testing.T) {
	for name, c := range map[string]engine.Command{
		"open":   {Action: engine.ActionTrip, For: time.Hour},
		"forced": {Action: engine.ActionForceOpen},
	} {
		t.Run(name, func(t *testing.T) {
			m, now := memory(t)
			h := bind(t, m, engine.Policy{}, nil)
			if _, err := h.Control(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			_, first := h.Acquire(t.Context())
			for range 3 {
				now.Add(int64(time.Minute))
				_, err := h.Acquire(t.Context())
				_, other := bind(t, m, engine.Policy{}, nil).Acquire(t.Context())
				if err != first || other != first || !errors.Is(err, engine.ErrRejected) {
					t.Fatalf("%v, %v, then %v", first, err, other)
				}
			}
		})
	}
}

func TestMemory_allocatesNothing(t *testing.T) {
	ctx := context.Background()
	for name, p := range map[string]engine.Policy{
		"consecutive": {},
		"count":       {Window: engine.Window{Calls: 1000, FailureRate: 0.5}},
		"time":        {Window: engine.Window{Period: time.Hour, FailureRate: 0.5}},
		"slow":        {Window: engine.Window{Period: time.Hour, SlowCallRate: 0.5, SlowCallDuration: time.Second}},
	} {
		h := bind(t, engine.NewMemory(), p, nil)
		call := func() {
			ticket, err := h.Acquire(ctx)
			if err == nil {
				_, _ = h.Report(ctx, ticket, engine.Success, h.Now(), nil)
			}
		}
		if n := testing.AllocsPerRun(2000, call); n != 0 {
			t.Errorf("%s, closed: %v allocations", name, n)
		}
		if _, err := h.Control(ctx, engine.Command{Action: engine.ActionTrip, For: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s, open: %v allocations", name, n)
		}
	}
}

// BenchmarkMemory_stripes measures a failure, by the number of stripes that it seals.
func BenchmarkMemory_stripes(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := engine.NewMemory()
			h := bind(b, m, engine.Policy{Window: engine.Window{Period: time.Hour, FailureCount: 1e9}}, nil)
			m.SetStripes("payments", n)
			ticket, _ := h.Acquire(context.Background())
			for range b.N {
				_, _ = h.Report(context.Background(), ticket, engine.Failure, 0, nil)
			}
		})
	}
}
