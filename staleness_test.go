package redbreaker_test

import (
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

func TestWithMaxStaleness_faults(t *testing.T) {
	short := redbreaker.Policy{OpenFor: time.Second, Backoff: redbreaker.Backoff{Jitter: 0.5}, Window: redbreaker.Window{Period: time.Second, FailureRate: 0.5}}
	for _, c := range []struct {
		d      time.Duration
		policy redbreaker.Policy
		want   []string
	}{
		{d: 0, policy: short},
		{d: time.Millisecond, policy: short},
		{d: 100 * time.Millisecond, policy: short},
		{d: -1, want: []string{"redbreaker: WithMaxStaleness got -1ns, use 1ms or more, or 0 for strict mode: invalid argument"}},
		{d: time.Millisecond - 1, want: []string{"redbreaker: WithMaxStaleness got 999.999µs, use 1ms or more, or 0 for strict mode: invalid argument"}},
		{d: 101 * time.Millisecond, policy: short, want: []string{
			"redbreaker: WithMaxStaleness is 101ms, use at most 100ms, a tenth of Window.Period: invalid argument",
		}},
		{d: 500 * time.Millisecond, policy: short, want: []string{
			"redbreaker: WithMaxStaleness is 500ms, use less than the shortest open period, OpenFor * (1 - Backoff.Jitter), which is 500ms: invalid argument",
			"redbreaker: WithMaxStaleness is 500ms, use at most 100ms, a tenth of Window.Period: invalid argument",
		}},
		{d: time.Second, policy: redbreaker.Policy{Backoff: redbreaker.Backoff{Jitter: 1}}, want: []string{
			"redbreaker: WithMaxStaleness is 1s, but the shortest open period, OpenFor * (1 - Backoff.Jitter), is 0s, lower Jitter or raise OpenFor: invalid argument",
		}},
		{d: time.Millisecond, policy: redbreaker.Policy{OpenFor: time.Millisecond}, want: []string{
			"redbreaker: WithMaxStaleness is 1ms, but the shortest open period, OpenFor * (1 - Backoff.Jitter), is 1ms, lower Jitter or raise OpenFor: invalid argument",
		}},
		{d: time.Millisecond, policy: redbreaker.Policy{Window: redbreaker.Window{Period: 5 * time.Millisecond, FailureCount: 1}}, want: []string{
			"redbreaker: WithMaxStaleness is 1ms, but a tenth of Window.Period is 500µs, raise Period to 10ms or more: invalid argument",
		}},
		{d: time.Millisecond, policy: redbreaker.Policy{OpenFor: 2 * time.Millisecond}},
		{d: time.Minute - 1},
	} {
		_, err := redbreaker.New("dep", c.policy, redbreaker.WithMaxStaleness(c.d))
		wantText(t, err, c.want...)
		_, err = redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: c.policy}, redbreaker.WithMaxStaleness(c.d))
		wantText(t, err, c.want...)
	}
}

// Get finds what NewRegistry cannot: a policy of PolicyFor that does not fit.
func TestWithMaxStaleness_policyFor(t *testing.T) {
	r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{
		PolicyFor: func(string) redbreaker.Policy { return redbreaker.Policy{OpenFor: time.Second} },
	}, redbreaker.WithMaxStaleness(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	_, err = r.Get("dep")
	wantText(t, err, "redbreaker: WithMaxStaleness is 1s, use less than the shortest open period, OpenFor * (1 - Backoff.Jitter), which is 1s: invalid argument")
}

func TestWithMaxStaleness_memory(t *testing.T) {
	m := engine.NewMemory()
	b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 2}, redbreaker.WithStorage(m), redbreaker.WithMaxStaleness(time.Second))
	if b.HasViewForTest() {
		t.Error("a breaker in memory has a view")
	}
	custom := newBreaker(t, redbreaker.Policy{}, redbreaker.WithStorage(newFake()), redbreaker.WithMaxStaleness(time.Second))
	if custom.HasViewForTest() {
		t.Error("a view over a storage whose handles cannot be observed")
	}
}

// The basics of a view in real time, for releases of Go without bubbles.
func TestWithMaxStaleness_realTime(t *testing.T) {
	s := newSharedStore(0)
	p := redbreaker.Policy{ConsecutiveFailures: 3}
	b, storage := s.join(t, "a", p, redbreaker.WithMaxStaleness(10*time.Second))
	for range 1000 {
		if err := b.Do(ctx, succeed); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		_ = b.Do(ctx, fail)
	}
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	if steps := s.takeSteps(); steps > 500 {
		t.Errorf("%d steps for 1003 calls", steps)
	}
	wantState(t, b, redbreaker.StateOpen)
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wantErr(t, b.Do(ctx, succeed), redbreaker.ErrStopped)
	closeAll(t, storage)
}
