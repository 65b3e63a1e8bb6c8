package integration_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/integration/servers"
	"github.com/redbreaker/redbreaker/storage"
)

// A failover by command promotes the replica while the primary still takes writes,
// which are lost (N1). No outcome counts twice, and no breaker is stuck.
func TestSentinel_failover(t *testing.T) {
	s := servers.Sentinel(t)
	f := newFleetWithTimeout(t, storage.DefaultTimeout, breakers, s.Client(nil), s.Client(func(o *redis.FailoverOptions) { o.ContextTimeoutEnabled = true }))
	l := f.startLoad()
	l.warm(t)
	s.Promote()
	time.Sleep(slack)
	r := l.end(t, "failover by command")
	if r.Doubled != 0 {
		t.Errorf("doubled %d, want 0", r.Doubled)
	}
	f.mustAgree(t)
}

// After the sentinels have replaced a dead primary, the breakers go on.
func TestSentinel_primaryKilled(t *testing.T) {
	s := servers.Sentinel(t)
	f := newFleetWithTimeout(t, storage.DefaultTimeout, breakers, s.Client(nil), s.Client(func(o *redis.FailoverOptions) { o.ContextTimeoutEnabled = true }))
	l := f.startLoad()
	l.warm(t)
	before := s.Primary()
	before.Kill()
	election := await(t, "the sentinels have elected the replica", time.Minute, func() bool {
		role, err := s.Data[1].Try("role")
		r, ok := role.([]any)
		return err == nil && ok && r[0] == "master"
	})
	// The sentinels inform clients a moment later, and the guard may have just begun
	// its longest pause.
	time.Sleep(storageGuardPause + slack)
	r := l.end(t, "primary killed")
	t.Logf("the sentinels took %v to replace it", election.Round(time.Millisecond))
	if r.Doubled != 0 {
		t.Errorf("doubled %d, want 0", r.Doubled)
	}
	if over := r.Worst - election; over > storageGuardPause+slack {
		t.Errorf("a caller was degraded for %v longer than the sentinels took", over)
	}
	f.mustAgree(t)
}

// storageGuardPause is the longest time that the guard keeps operations from a server
// that did not answer.
const storageGuardPause = 5 * time.Second

// A failover that loses acknowledged writes takes a breaker back to an earlier record.
// No breaker is stuck (P6): one whose trip was lost trips again, and one whose recovery
// was lost recovers by itself.
func TestPair_lostWrites(t *testing.T) {
	policy := engine.Policy{ConsecutiveFailures: 2, OpenFor: 500 * time.Millisecond, HalfOpen: engine.HalfOpen{Lease: 500 * time.Millisecond}}
	p := servers.Pair(t)
	ctx := context.Background()
	s, err := storage.NewRedis(p.Client(nil), storage.WithNamespace(namespace()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	trips, recovers, probing := bind(t, s, "trips", policy), bind(t, s, "recovers", policy), bind(t, s, "probing", policy)

	fail := func(h engine.Handle) {
		t.Helper()
		for range policy.ConsecutiveFailures {
			ticket, err := h.Acquire(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Report(ctx, ticket, engine.Failure, 0, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	probe := func(h engine.Handle) engine.Ticket {
		t.Helper()
		var ticket engine.Ticket
		await(t, "a probe is let through", 2*policy.OpenFor+slack, func() bool {
			var err error
			ticket, err = h.Acquire(ctx)
			return err == nil
		})
		return ticket
	}
	state := func(name string) engine.State {
		t.Helper()
		got, err := s.Inspect(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return got.State
	}

	// Replicated: one closed breaker, two open ones.
	first, err := trips.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	fail(recovers)
	fail(probing)
	p.AwaitReplicated()
	p.CutReplication()
	// Acknowledged and lost: a trip, a recovery, a probe in flight.
	fail(trips)
	if _, err := recovers.Report(ctx, probe(recovers), engine.Success, 0, nil); err != nil {
		t.Fatal(err)
	}
	lease := probe(probing)
	states := func() []engine.State { return []engine.State{state("trips"), state("recovers"), state("probing")} }
	if got := states(); !slices.Equal(got, []engine.State{engine.StateOpen, engine.StateClosed, engine.StateHalfOpen}) {
		t.Fatalf("before the failover the breakers are %v", got)
	}
	p.Primary.Kill()
	p.Promote()
	await(t, "the new primary answers", slack+storageGuardPause, func() bool { _, err := s.Inspect(ctx, "trips"); return err == nil })

	if got := states(); !slices.Equal(got, []engine.State{engine.StateClosed, engine.StateOpen, engine.StateOpen}) {
		t.Errorf("after the failover the breakers are %v, want the replicated states", got)
	}
	await(t, "the closed one is used again", slack+storageGuardPause, func() bool {
		_, err := trips.Acquire(ctx)
		return err == nil
	})
	// A result of the lost round is stale; one from before it counts.
	if stale, err := probing.Report(ctx, lease, engine.Success, 0, nil); err != nil || !stale {
		t.Errorf("a lost probe's result: stale %v, %v; want it stale", stale, err)
	}
	if stale, err := trips.Report(ctx, first, engine.Success, 0, nil); err != nil || stale {
		t.Errorf("the result of a call before: stale %v, %v; want it counted", stale, err)
	}
	fail(trips)
	var rejected *engine.RejectedError
	if _, err := trips.Acquire(ctx); !errors.As(err, &rejected) {
		t.Errorf("it does not trip again: %v", err)
	}
	for name, h := range map[string]engine.Handle{"trips": trips, "recovers": recovers, "probing": probing} {
		began := time.Now()
		if _, err := h.Report(ctx, probe(h), engine.Success, 0, nil); err != nil {
			t.Fatal(err)
		}
		if got := state(name); got != engine.StateClosed {
			t.Errorf("%s is %v after a probe that succeeded", name, got)
		}
		t.Logf("%s has recovered by itself after %v", name, time.Since(began).Round(time.Millisecond))
	}
}
