package redbreaker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// gauge is a user's gauge: it keeps the last status that OnStatus got, and all before
// it.
type gauge struct {
	t        *testing.T
	statuses chan string
}

func newGauge(t *testing.T) (*gauge, redbreaker.Option) {
	g := &gauge{t: t, statuses: make(chan string, 100)}
	return g, redbreaker.WithHooks(redbreaker.Hooks{OnStatus: func(name string, s redbreaker.Status) {
		g.statuses <- name + " " + s.State.String() + " " + s.Mode.String()
	}})
}

// want compares the statuses since the last want.
func (g *gauge) want(b *redbreaker.Breaker, want ...string) {
	g.t.Helper()
	if err := b.WaitForHooksForTest(ctx); err != nil {
		g.t.Fatal(err)
	}
	var got []string
	for len(g.statuses) > 0 {
		got = append(got, <-g.statuses)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// A process whose circuit another process opens and closes learns of both by its
// own calls, without an OnTransition.
func TestOnStatus_showsWhatOthersDid(t *testing.T) {
	store, clock := newClocked()
	g, hook := newGauge(t)
	transitions := make(chan redbreaker.Transition, 10)
	watcher := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), hook,
		redbreaker.WithHooks(redbreaker.Hooks{OnTransition: func(tr redbreaker.Transition) { transitions <- tr }}))
	other := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	_ = other.Do(ctx, succeed)
	_ = watcher.Do(ctx, succeed)
	g.want(watcher) // closed, as it began

	_ = other.Do(ctx, fail)
	wantRejected(t, watcher.Do(ctx, succeed), redbreaker.ReasonOpen)
	g.want(watcher, "dep open auto")
	clock.advance(time.Minute)
	_ = other.Do(ctx, succeed) // the probe
	_ = watcher.Do(ctx, succeed)
	g.want(watcher, "dep closed auto")
	control(t, other, redbreaker.Command{Action: redbreaker.ActionForceOpen})
	_ = watcher.Do(ctx, succeed)
	g.want(watcher, "dep closed forced_open")
	if len(transitions) != 0 {
		t.Errorf("OnTransition got %v of another process", <-transitions)
	}
}

func TestOnStatus_ofOwnSteps(t *testing.T) {
	g, hook := newGauge(t)
	b := newBreaker(t, opensAtOnce, hook)
	_ = b.Do(ctx, succeed)
	g.want(b)
	_ = b.Do(ctx, fail)
	g.want(b, "dep open auto")
	control(t, b, redbreaker.Command{Action: redbreaker.ActionTrip})
	g.want(b) // still open
	control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
	g.want(b, "dep closed auto")
}

// The local breaker of an outage decides, so the gauge shows it.
func TestOnStatus_ofAnOutage(t *testing.T) {
	store := newFake()
	g, hook := newGauge(t)
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), hook)
	_ = b.Do(ctx, succeed)
	store.breaks("acquire", unreachable("acquire"))
	store.breaks("report", unreachable("report"))
	_ = b.Do(ctx, fail)
	g.want(b, "dep open auto")
	store.breaks("acquire", nil)
	store.breaks("report", nil)
	store.clock.advance(2 * time.Second)
	_ = b.Do(ctx, succeed)
	g.want(b, "dep closed auto")
}

// However many events are dropped, the gauge ends at the last status.
func TestOnStatus_survivesDroppedEvents(t *testing.T) {
	busy, release := make(chan bool), make(chan bool)
	g, hook := newGauge(t)
	first := true
	b := newBreaker(t, opensAtOnce, hook, redbreaker.WithHooks(redbreaker.Hooks{OnTransition: func(redbreaker.Transition) {
		if first {
			first = false
			busy <- true
			<-release
		}
	}}))
	_ = b.Do(ctx, succeed)
	next(t, busy)
	for range 300 {
		control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
	}
	control(t, b, redbreaker.Command{Action: redbreaker.ActionTrip})
	close(release)
	g.want(b, "dep open auto")
}

// learnsAtBind is a storage whose handles learn of the state while they are bound, as one
// that watches the fleet may.
type learnsAtBind struct{ *fake }

func (s learnsAtBind) Bind(name string, p redbreaker.Policy, sink func(redbreaker.Event)) (engine.Handle, error) {
	h, err := s.fake.Bind(name, p, sink)
	if err == nil {
		_, err = h.Step(ctx, engine.Batch{})
		time.Sleep(10 * time.Millisecond) // a hook that does not wait for New runs now
	}
	return h, err
}

// An event that arrives before New has returned reaches OnStatus without another one
// after it.
func TestOnStatus_ofAnEventDuringNew(t *testing.T) {
	store := newFake()
	other := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	_ = other.Do(ctx, fail)
	g, hook := newGauge(t)
	g.want(newBreaker(t, opensAtOnce, redbreaker.WithStorage(learnsAtBind{store}), hook), "dep open auto")
}

// A storage that fails now and then changes who decides with each call. Other events must
// not be dropped for that while a hook is slow.
func TestOnStatus_flappingStorage(t *testing.T) {
	store := newFake()
	began, release := make(chan bool, 1), make(chan struct{})
	var moves, dropped atomic.Int32
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithHooks(redbreaker.Hooks{
		OnStatus:     func(string, redbreaker.Status) {},
		OnTransition: func(redbreaker.Transition) { moves.Add(1) },
		OnDegraded:   func(redbreaker.Event) { began <- true; <-release },
		OnAnomaly:    func(e redbreaker.Event) { dropped.Add(int32(e.Dropped)) },
	}))
	store.breaks("acquire", unreachable("acquire"))
	_ = b.Do(ctx, succeed)
	next(t, began)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionTrip})
	control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
	for range 300 {
		store.breaks("acquire", nil)
		_ = b.Do(ctx, succeed)
		store.breaks("acquire", unreachable("acquire"))
		_ = b.Do(ctx, succeed)
	}
	close(release)
	if err := b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if moves.Load() != 2 || dropped.Load() != 0 {
		t.Errorf("%d transitions arrived and %d events were dropped, want 2 and none", moves.Load(), dropped.Load())
	}
}
