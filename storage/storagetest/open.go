package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var open = []test{
	{"ends_after_its_time", openEnds},
	{"ends_at_its_instant", openEndsExactly},
	{"stays_until_a_call_comes", openStays},
	{"failure_with_its_own_open_time", ownOpenTime},
	{"own_open_time_is_held_to_max", ownOpenTimeHeld},
	{"backoff_lengthens", backoffLengthens},
	{"backoff_forgets_after_a_good_time", backoffForgets},
	{"jitter_shortens", jitterShortens},
	{"start_open", startOpen},
}

func openEnds(t *env) {
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: brief, HalfOpen: engine.HalfOpen{Lease: time.Hour}})
	a.fail(3)
	t.pass(brief)
	if probe := b.admit(); probe.Lease == 0 {
		t.Fatalf("ticket %+v, want a probe's", probe)
	}
	t.state(engine.StateHalfOpen)
	t.equal("cause", engine.CauseElapsed, t.last().Cause)
	a.reject()
}

func openEndsExactly(t *env) {
	t.exact()
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: 10 * time.Second})
	a.fail(3)
	t.pass(10*time.Second - time.Millisecond)
	t.equal("RetryAfter", time.Millisecond, t.inspect().RetryAfter)
	t.almostOver(b.rejection())
	t.pass(time.Millisecond)
	b.admit()
}

func openStays(t *env) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: brief})
	a.fail(3)
	t.pass(brief)
	a.step(engine.Batch{})
	s := t.inspect()
	t.equal("state", engine.StateOpen, s.State)
	t.equal("RetryAfter", time.Duration(0), s.RetryAfter)
	t.equal("open period", brief, s.OpenFor)
}

func ownOpenTime(t *env) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute, Backoff: engine.Backoff{Jitter: 1}})
	a.settle(a.admit(), engine.Failure, &engine.Detail{OpenFor: 10 * time.Minute}, false)
	t.equal("open period", 10*time.Minute, t.inspect().OpenFor)
}

func ownOpenTimeHeld(t *env) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute, Backoff: engine.Backoff{Max: 5 * time.Minute}})
	a.settle(a.admit(), engine.Failure, &engine.Detail{OpenFor: 10 * time.Minute}, false)
	t.equal("open period", 5*time.Minute, t.inspect().OpenFor)
}

func backoffLengthens(t *env) {
	a, _ := t.pair(engine.Policy{
		ConsecutiveFailures: 1, OpenFor: time.Minute,
		Backoff: engine.Backoff{Multiplier: 2, Max: 3 * time.Minute},
	})
	a.fail(1)
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute} {
		s := t.inspect()
		t.equal("open period", want, s.OpenFor)
		t.equal("trips", i+1, s.Trips)
		a.act(engine.ActionHalfOpen)
		a.fail(1)
	}
}

func backoffForgets(t *env) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: brief, Backoff: engine.Backoff{Multiplier: 2}})
	a.fail(1)
	t.pass(brief)
	a.call(engine.Success)
	t.equal("trips while closed", 1, t.inspect().Trips)
	t.pass(brief)
	a.fail(1)
	s := t.inspect()
	t.equal("trips", 1, s.Trips)
	t.equal("open period", brief, s.OpenFor)
}

func jitterShortens(t *env) {
	p := engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour, Backoff: engine.Backoff{Jitter: 0.5}}
	a, _ := t.pair(p)
	seen := map[time.Duration]bool{}
	for range 8 {
		a.fail(1)
		d := t.inspect().OpenFor
		t.between("open period", 30*time.Minute-time.Millisecond, time.Hour, d)
		seen[d] = true
		a.act(engine.ActionReset)
	}
	if len(seen) == 1 {
		t.Fatalf("8 open periods with jitter are all the same: %v", seen)
	}
}

func startOpen(t *env) {
	a, b := t.pair(engine.Policy{OpenFor: time.Hour, StartOpen: true})
	a.reject()
	b.reject()
	s := t.inspect()
	t.equal("state", engine.StateOpen, s.State)
	t.equal("trips", 1, s.Trips)
	t.equal("cause", engine.CauseCreated, t.last().Cause)
}
