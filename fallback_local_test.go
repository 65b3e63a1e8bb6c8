package redbreaker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// dark makes a breaker whose storage stops answering after prepare.
func dark(t *testing.T, p redbreaker.Policy, prepare func(*redbreaker.Breaker)) (*redbreaker.Breaker, *fake, chan redbreaker.Event) {
	t.Helper()
	store := newFake()
	events := make(chan redbreaker.Event, 100)
	note := func(e redbreaker.Event) { events <- e }
	b := newBreaker(t, p, redbreaker.WithStorage(store), redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: note, OnRestored: note}))
	prepare(b)
	store.breaks("acquire", unreachable("acquire"))
	store.breaks("report", unreachable("report"))
	return b, store, events
}

func healthy(*redbreaker.Breaker) {}

func TestFallbackLocal_tripsByItself(t *testing.T) {
	b, store, events := dark(t, redbreaker.Policy{ConsecutiveFailures: 3}, healthy)
	for range 3 {
		wantErr(t, b.Do(ctx, fail), errDown)
	}
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	if s := b.Status(); !s.Degraded || s.State != redbreaker.StateOpen || s.RetryAfter != time.Minute {
		t.Errorf("status %+v, want open for a minute, degraded", s)
	}
	store.clock.advance(time.Minute)
	if err := b.Do(ctx, succeed); err != nil { // the local probe
		t.Errorf("the probe: %v", err)
	}
	wantEvent(t, events, redbreaker.EventDegraded)

	// The shared record wins, and nothing local was sent.
	store.breaks("acquire", nil)
	store.breaks("report", nil)
	store.clock.advance(2 * time.Second)
	if err := b.Do(ctx, succeed); err != nil {
		t.Error(err)
	}
	e := wantEvent(t, events, redbreaker.EventRestored)
	if e.Admitted != 4 || e.Rejected != 1 || e.Outcomes != 4 {
		t.Errorf("%d admitted, %d rejected, %d outcomes; want 4, 1, 4", e.Admitted, e.Rejected, e.Outcomes)
	}
	if s := inspect(t, b); s.State != redbreaker.StateClosed || s.Streak != 0 || len(store.reported()) != 1 {
		t.Errorf("the shared record is %v with streak %d, and %d results were sent; want closed, 0, 1", s.State, s.Streak, len(store.reported()))
	}
}

func TestFallbackLocal_openStaysOpenForItsTime(t *testing.T) {
	b, store, _ := dark(t, redbreaker.Policy{ConsecutiveFailures: 1}, func(b *redbreaker.Breaker) { _ = b.Do(ctx, fail) })
	store.clock.advance(20 * time.Second)
	r := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	if left := r.RetryAfter(); left != 40*time.Second {
		t.Errorf("retry after %v, want the 40s that were left", left)
	}
	store.clock.advance(40*time.Second - time.Millisecond)
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	store.clock.advance(time.Millisecond)
	if err := b.Do(ctx, succeed); err != nil {
		t.Errorf("after its time: %v", err)
	}
}

func TestFallbackLocal_overdueOpenBeginsWithAProbe(t *testing.T) {
	b, store, _ := dark(t, redbreaker.Policy{ConsecutiveFailures: 1}, func(b *redbreaker.Breaker) { _ = b.Do(ctx, fail) })
	store.clock.advance(time.Hour)
	p := acquire(t, b)
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonProbing)
	p.Success()
	if s := b.State(); s != redbreaker.StateClosed {
		t.Errorf("%v after the probe, want closed", s)
	}
}

func TestFallbackLocal_halfOpenWaitsForOneLease(t *testing.T) {
	policy := redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Second, HalfOpen: redbreaker.HalfOpen{Lease: 7 * time.Second}}
	b, store, _ := dark(t, policy, func(b *redbreaker.Breaker) {
		control(t, b, redbreaker.Command{Action: redbreaker.ActionHalfOpen})
	})
	r := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	if left := r.RetryAfter(); left != 7*time.Second {
		t.Errorf("retry after %v, want a lease of 7s", left)
	}
	store.clock.advance(7 * time.Second)
	if err := b.Do(ctx, succeed); err != nil {
		t.Errorf("after the lease: %v", err)
	}
}

func TestFallbackLocal_modesStay(t *testing.T) {
	b, store, _ := dark(t, opensAtOnce, func(b *redbreaker.Breaker) {
		control(t, b, redbreaker.Command{Action: redbreaker.ActionForceOpen, For: time.Minute})
	})
	store.clock.advance(59 * time.Second)
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonForced)
	store.clock.advance(time.Second)
	if err := b.Do(ctx, succeed); err != nil {
		t.Errorf("after the mode: %v", err)
	}

	for _, action := range []redbreaker.Action{redbreaker.ActionForceClosed, redbreaker.ActionShadow} {
		b, _, _ := dark(t, opensAtOnce, func(b *redbreaker.Breaker) { control(t, b, redbreaker.Command{Action: action}) })
		for range 3 {
			wantErr(t, b.Do(ctx, fail), errDown) // admitted, whatever happens
		}
	}
}

// A permit settles in the breaker that issued it: not in a later outage, and not
// in the storage that works again.
func TestFallbackLocal_permitsOfAnotherTime(t *testing.T) {
	b, store, _ := dark(t, opensAtOnce, healthy)
	local := acquire(t, b)
	store.breaks("acquire", nil)
	store.breaks("report", nil)
	store.clock.advance(2 * time.Second)
	if err := b.Do(ctx, succeed); err != nil {
		t.Fatal(err)
	}
	local.Failure(errDown)
	if s := inspect(t, b); s.State != redbreaker.StateClosed {
		t.Errorf("a local failure made the shared circuit %v", s.State)
	}

	old := acquire(t, b)
	store.breaks("acquire", unreachable("acquire"))
	store.breaks("report", unreachable("report"))
	_ = b.Do(ctx, succeed)
	old.Failure(errDown)
	if s := b.State(); s != redbreaker.StateClosed {
		t.Errorf("a failure of the storage's permit made the local circuit %v", s)
	}
}

// TestFallbackLocal_statusFollowsTheStorage: the record decides from the first reply on, so
// a local circuit that opened must not be shown until the end of the outage.
func TestFallbackLocal_statusFollowsTheStorage(t *testing.T) {
	store := newFake()
	states := make(chan redbreaker.State, 10)
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithHooks(redbreaker.Hooks{
		OnStatus:   func(_ string, s redbreaker.Status) { states <- s.State },
		OnDegraded: func(redbreaker.Event) {}, OnRestored: func(redbreaker.Event) {},
	}))
	_ = b.Do(ctx, succeed)
	store.breaks("acquire", unreachable("acquire"))
	_ = b.Do(ctx, fail)
	if s := next(t, states); s != redbreaker.StateOpen || b.State() != redbreaker.StateOpen {
		t.Fatalf("after a local failure: %v, and the hook got %v", b.State(), s)
	}
	store.breaks("acquire", nil)
	if err := b.Do(ctx, succeed); err != nil {
		t.Fatal(err)
	}
	if s := b.Status(); s.State != redbreaker.StateClosed || !s.Degraded {
		t.Errorf("the storage admits calls, and the status is %+v", s)
	}
	if s := next(t, states); s != redbreaker.StateClosed {
		t.Errorf("the hook got %v", s)
	}
}

// With a storage that admits calls but takes no results, such as one out of memory,
// the circuit could never open.
func TestFallbackLocal_resultsRefused(t *testing.T) {
	b, store, _ := dark(t, redbreaker.Policy{ConsecutiveFailures: 2}, healthy)
	store.breaks("acquire", nil)
	store.breaks("report", readOnly("report"))
	wantErr(t, b.Do(ctx, fail), errDown) // finds it out
	for range 2 {
		wantErr(t, b.Do(ctx, fail), errDown) // counted locally
	}
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	store.breaks("report", nil)
	store.clock.advance(2 * time.Second)
	if err := b.Do(ctx, succeed); err != nil {
		t.Errorf("when results are taken again: %v", err)
	}
	if b.Status().Degraded {
		t.Error("still degraded")
	}
}

// TestFallbackLocal_oneTrialOfResults: while the local breaker is open, one admission
// a second tries whether results are taken again, not all that come while it runs.
func TestFallbackLocal_oneTrialOfResults(t *testing.T) {
	b, store, _ := dark(t, redbreaker.Policy{ConsecutiveFailures: 2}, healthy)
	store.breaks("acquire", nil)
	store.breaks("report", readOnly("report"))
	for range 3 {
		wantErr(t, b.Do(ctx, fail), errDown)
	}
	for second := range 5 {
		store.clock.advance(time.Second)
		var admitted []func() // end a call
		for range 50 {        // at the same time: each call takes longer than all of them
			if p, err := b.Acquire(ctx); err == nil {
				admitted = append(admitted, func() { p.Failure(errDown) })
			}
		}
		if len(admitted) != 1 {
			t.Errorf("second %d: %d of 50 calls were admitted, want 1", second, len(admitted))
		}
		for _, end := range admitted {
			end()
		}
	}
	store.breaks("report", nil)
	store.clock.advance(time.Second)
	if err := b.Do(ctx, succeed); err != nil || b.Status().Degraded {
		t.Errorf("when results are taken again: %v, %+v", err, b.Status())
	}
}

func TestFallbackLocal_transitionsAreMarked(t *testing.T) {
	store := newFake()
	events := make(chan redbreaker.Transition, 10)
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store),
		redbreaker.WithHooks(redbreaker.Hooks{OnTransition: func(t redbreaker.Transition) { events <- t }, OnDegraded: func(redbreaker.Event) {}}))
	store.breaks("acquire", unreachable("acquire"))
	_ = b.Do(ctx, fail)
	if got := next(t, events); !got.Local || got.To != redbreaker.StateOpen || got.Cause != redbreaker.CauseConsecutive {
		t.Errorf("got %+v, want a local trip and nothing of how it began", got)
	}
}

// An idle process knows a mode that was released long ago: an outage must not
// bring it back.
func TestFallbackLocal_seedHasAnAge(t *testing.T) {
	for age, want := range map[time.Duration]error{
		0:                                redbreaker.ErrRejected,
		5 * time.Minute:                  redbreaker.ErrRejected,
		5*time.Minute + time.Millisecond: nil,
		time.Hour:                        nil,
	} {
		for name, action := range map[string]redbreaker.Action{"forced open": redbreaker.ActionForceOpen, "open": redbreaker.ActionTrip} {
			b, store, _ := outages(t)
			_ = b.Do(ctx, succeed)
			control(t, b, redbreaker.Command{Action: action, For: 24 * time.Hour})
			store.mu.Lock()
			store.age = age
			store.mu.Unlock()
			store.breaks("acquire", unreachable("acquire"))
			if err := b.Do(ctx, succeed); !errors.Is(err, want) {
				t.Errorf("%s, known for %v: %v, want %v", name, age, err, want)
			}
		}
	}
}

// A rejection in an outage shows that this process opened the circuit, and why.
func TestFallbackLocal_rejectionsShowWhatOpened(t *testing.T) {
	b, store, _ := outages(t)
	store.breaks("acquire", unreachable("acquire"))
	_ = b.Do(ctx, fail)
	first := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	if o := first.Opened; o == nil || !o.Local || o.Cause != redbreaker.CauseConsecutive || !errors.Is(o.Err, errDown) {
		t.Errorf("after a local trip: opened by %+v", o)
	}
	if again := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen); again != first {
		t.Error("the rejections of one period do not share an error")
	}
	if d := first.RetryAfter(); d != time.Minute {
		t.Errorf("retry after %v, want 1m", d)
	}

	b, store, _ = outages(t)
	_ = b.Do(ctx, fail)
	store.breaks("acquire", unreachable("acquire"))
	if o := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen).Opened; o == nil || !o.Local || o.By != "fallback" || o.Text != "the last known shared state" {
		t.Errorf("seeded as open: opened by %+v", o)
	}
}
