package redbreaker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// step runs a batch through the handle of a breaker, as a view flushes its outcomes.
func step(t *testing.T, b *redbreaker.Breaker, batch engine.Batch) (engine.Reply, error) {
	t.Helper()
	return b.HandleForTest().Step(ctx, batch)
}

// failures is a batch of n failures of the ticket's epoch.
func failures(ticket redbreaker.Ticket, n int64) engine.Batch {
	return engine.Batch{Results: []engine.Result{{Ticket: ticket, Runs: []engine.Run{{Outcome: redbreaker.Failure, N: n}}}}}
}

func TestStep_reachesTheStorage(t *testing.T) {
	b, _, events := outages(t)
	r, err := step(t, b, engine.Batch{Admissions: 2})
	if err != nil || r.Granted != 2 {
		t.Fatalf("two admissions: %+v, %v", r, err)
	}
	if r, err = step(t, b, failures(redbreaker.Ticket{Epoch: r.Epoch}, 1)); err != nil || r.Applied != 1 {
		t.Fatalf("a failure: %+v, %v", r, err)
	}
	wantState(t, b, redbreaker.StateOpen)
	if len(events) != 0 || b.Status().Degraded {
		t.Error("a step that works began an outage")
	}
}

// A batch that fails begins an outage, and its outcomes open the local breaker.
func TestStep_failedOutcomesCountLocally(t *testing.T) {
	b, store, events := outages(t)
	r, err := step(t, b, engine.Batch{Admissions: 1})
	if err != nil {
		t.Fatal(err)
	}
	cause := unreachable("step")
	store.breaks("step", cause)
	if _, err = step(t, b, failures(redbreaker.Ticket{Epoch: r.Epoch}, 1)); !errors.Is(err, cause) {
		t.Errorf("the flush returned %v, want %v", err, cause)
	}
	wantEvent(t, events, redbreaker.EventDegraded)
	if s := b.Status(); s.State != redbreaker.StateOpen || !s.Degraded {
		t.Errorf("status %+v, want the local breaker's, open", s)
	}
	if s := inspect(t, b); s.Streak != 0 {
		t.Errorf("the storage counted %d failures of a step that failed", s.Streak)
	}

	// The next accepted batch ends the outage.
	store.breaks("step", nil)
	store.clock.advance(2 * time.Second)
	if _, err := step(t, b, failures(redbreaker.Ticket{Epoch: r.Epoch}, 1)); err != nil {
		t.Fatal(err)
	}
	if e := wantEvent(t, events, redbreaker.EventRestored); e.Outcomes != 1 {
		t.Errorf("restored with %d local outcomes, want 1", e.Outcomes)
	}
}

// The results of probes belong to the storage's round.
func TestStep_failedProbesAreDropped(t *testing.T) {
	b, store, _ := outages(t)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionHalfOpen})
	r, err := step(t, b, engine.Batch{Admissions: 1})
	if err != nil || r.FirstLease == 0 {
		t.Fatalf("a probe: %+v, %v", r, err)
	}
	control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
	store.breaks("step", unreachable("step"))
	_, _ = step(t, b, failures(redbreaker.Ticket{Epoch: r.Epoch, Lease: r.FirstLease}, 1))
	if s := b.Status(); s.State != redbreaker.StateClosed || !s.Degraded {
		t.Errorf("status %+v, want closed and degraded", s)
	}
}

func TestStep_fallbackDecidesAdmissions(t *testing.T) {
	cause := unreachable("step")
	failing := func(t *testing.T, kind redbreaker.Fallback) (*redbreaker.Breaker, *fake, engine.Reply, error) {
		b, store, _ := outages(t, redbreaker.WithFallback(kind))
		store.breaks("step", cause)
		r, err := step(t, b, engine.Batch{Admissions: 3})
		return b, store, r, err
	}
	t.Run("allow", func(t *testing.T) {
		_, _, r, err := failing(t, redbreaker.FallbackAllow)
		if err != nil || r.Granted != 0 || !r.AdmitsUncounted() {
			t.Errorf("reply %+v, %v, want all admitted uncounted", r, err)
		}
	})
	t.Run("deny", func(t *testing.T) {
		_, _, _, err := failing(t, redbreaker.FallbackDeny)
		wantRejected(t, err, redbreaker.ReasonUnavailable)
		wantErr(t, err, cause)
	})
	t.Run("local", func(t *testing.T) {
		b, store, r, err := failing(t, redbreaker.FallbackLocal)
		if err != nil || r.Granted != 3 {
			t.Fatalf("reply %+v, %v, want three local tickets", r, err)
		}
		// Its tickets are settled where they were issued.
		store.breaks("report", errors.New("the storage was asked"))
		if stale, err := b.HandleForTest().Report(ctx, redbreaker.Ticket{Epoch: r.Epoch}, redbreaker.Failure, 0, nil); stale || err != nil {
			t.Errorf("the report of a local ticket: stale %v, %v", stale, err)
		}
		wantState(t, b, redbreaker.StateOpen)
		if r, err = step(t, b, engine.Batch{Admissions: 3}); err != nil || r.Granted != 0 || r.AdmitsUncounted() {
			t.Errorf("reply %+v, %v, want all rejected by the local breaker", r, err)
		}
	})
}

// A server that admits and takes no results must not admit everything.
func TestStep_localBreakerVotesWhileResultsFail(t *testing.T) {
	b, store, _ := outages(t)
	p := acquire(t, b)
	store.breaks("report", readOnly("report"))
	p.Failure(errDown)
	r, err := step(t, b, engine.Batch{Admissions: 1})
	if err != nil || r.Granted != 1 || r.Epoch >= 0 {
		t.Fatalf("reply %+v, %v, want a ticket of the local breaker", r, err)
	}
	if _, err := b.HandleForTest().Report(ctx, redbreaker.Ticket{Epoch: r.Epoch}, redbreaker.Failure, 0, nil); err != nil {
		t.Fatal(err)
	}
	if r, err = step(t, b, engine.Batch{Admissions: 1}); err != nil || r.Granted != 0 {
		t.Errorf("reply %+v, %v, want a rejection by the local breaker", r, err)
	}
}

func TestStep_errorsThatAreNotTheStorages(t *testing.T) {
	b, store, _ := outages(t)
	if _, err := step(t, b, engine.Batch{Admissions: -1}); !errors.Is(err, redbreaker.ErrInvalid) {
		t.Errorf("a bad batch: %v", err)
	}
	gone := cancelledContext()
	store.breaks("step", gone.Err())
	if _, err := b.HandleForTest().Step(gone, engine.Batch{Admissions: 1}); !errors.Is(err, gone.Err()) {
		t.Errorf("a cancelled step: %v", err)
	}
	store.breaks("step", redbreaker.ErrStopped)
	if _, err := step(t, b, engine.Batch{Admissions: 1}); !errors.Is(err, redbreaker.ErrStopped) {
		t.Errorf("a stopped storage: %v", err)
	}
	if b.Status().Degraded {
		t.Error("an outage without a failure of the storage")
	}
}

// Forced closed by an operator, the local breaker admits without counting.
func TestStep_localForcedClosed(t *testing.T) {
	b, store, events := outages(t)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionForceClosed})
	store.breaks("step", unreachable("step"))
	r, err := step(t, b, engine.Batch{Admissions: 3})
	if err != nil || r.Granted != 0 || !r.AdmitsUncounted() {
		t.Errorf("reply %+v, %v, want all admitted uncounted", r, err)
	}
	store.breaks("step", nil)
	store.clock.advance(2 * time.Second)
	if _, err = step(t, b, engine.Batch{Admissions: 1}); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, events, redbreaker.EventDegraded)
	if e := wantEvent(t, events, redbreaker.EventRestored); e.Admitted != 3 || e.Rejected != 0 {
		t.Errorf("restored after %d admitted and %d rejected, want 3 and 0", e.Admitted, e.Rejected)
	}
}

// Outcomes that the storage refuses change nothing in a local breaker that is open.
func TestStep_openLocalBreakerCountsNothing(t *testing.T) {
	b, store, events := outages(t)
	r, err := step(t, b, engine.Batch{Admissions: 2})
	if err != nil {
		t.Fatal(err)
	}
	store.breaks("step", unreachable("step"))
	for range 2 {
		_, _ = step(t, b, failures(redbreaker.Ticket{Epoch: r.Epoch}, 1))
	}
	store.breaks("step", nil)
	store.clock.advance(2 * time.Second)
	if _, err = step(t, b, failures(redbreaker.Ticket{Epoch: r.Epoch}, 1)); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, events, redbreaker.EventDegraded)
	if e := wantEvent(t, events, redbreaker.EventRestored); e.Outcomes != 1 {
		t.Errorf("%d local outcomes, want that of the first batch only", e.Outcomes)
	}
}
