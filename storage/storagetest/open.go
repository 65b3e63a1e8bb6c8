package storagetest

import (
	"errors"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var open = []test{
	{"ends_after_its_time", openEnds},
	{"ends_at_its_instant", openEndsExactly},
	{"retry_after_is_never_short", retryAfterNeverShort},
	{"stays_until_a_call_comes", openStays},
	{"rejections_show_what_opened", rejectionsShowOpened},
	{"failure_with_its_own_open_time", ownOpenTime},
	{"own_open_time_is_held_to_max", ownOpenTimeHeld},
	{"backoff_lengthens", backoffLengthens},
	{"backoff_forgets_after_a_good_time", backoffForgets},
	{"jitter_shortens", jitterShortens},
	{"start_open", startOpen},
}

func openEnds(t *testEnv) {
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: shortTime, HalfOpen: engine.HalfOpen{Lease: time.Hour}})
	a.fail(3)
	t.advance(shortTime)
	if probe := b.admit(); probe.Lease == 0 {
		t.Fatalf("ticket %+v, want a probe's", probe)
	}
	t.checkState(engine.StateHalfOpen)
	t.checkEqual("cause", engine.CauseElapsed, t.lastTransition().Cause)
	a.reject()
}

func openEndsExactly(t *testEnv) {
	t.needsAdvance()
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: 10 * time.Second})
	a.fail(3)
	t.advance(10*time.Second - time.Millisecond)
	t.checkEqual("RetryAfter", time.Millisecond, t.inspect().RetryAfter)
	t.checkAlmostOver(b.rejection())
	t.advance(time.Millisecond)
	b.admit()
}

// rejectionsShowOpened: the process that opened the circuit finds the transition, with
// the error of its call, in its rejections of the period and of the round after it.
func rejectionsShowOpened(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Lease: time.Hour}})
	down := errors.New("down")
	// Without Advance the period must be short, and may then be over before the test has
	// looked at it; a longer one is tried.
	openFor := shortTime
	var rejected *engine.RejectedError
	for ; rejected == nil; openFor *= 2 {
		if openFor > time.Minute {
			t.Fatalf("a call within an open period of %v was admitted", openFor/2)
		}
		a.act(engine.ActionReset)
		a.settle(a.admit(), engine.Failure, &engine.Detail{Text: "down", Err: down, OpenFor: openFor}, false)
		_, err := a.Acquire(t.Context())
		if !errors.As(err, &rejected) && (err != nil || t.Advance != nil) {
			t.Fatalf("Acquire: error %v, want a *RejectedError", err)
		}
	}
	want := t.lastTransition()
	check := func(r *engine.RejectedError, reason engine.Reason) {
		t.Helper()
		t.checkEqual("reason", reason, r.Reason)
		if r.Opened == nil {
			t.Fatalf("a rejection for %q without what opened the circuit", reason)
		}
		t.checkEqual("Opened: epoch, cause, text", []any{want.Epoch, want.Cause, want.Text}, []any{r.Opened.Epoch, r.Opened.Cause, r.Opened.Text})
		if !errors.Is(r.Opened.Err, down) || r.Unwrap() != nil {
			t.Errorf("Opened has the error %v and the rejection wraps %v, want %v and none", r.Opened.Err, r.Unwrap(), down)
		}
	}
	check(rejected, engine.ReasonOpen)
	t.advance(openFor)
	a.admit()
	check(a.rejection(), engine.ReasonProbing)
}

// retryAfterNeverShort: a caller that waits for as long as its rejection says is not
// rejected by the same period, even if rejections share an error.
func retryAfterNeverShort(t *testEnv) {
	t.needsAdvance()
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: 7 * time.Millisecond})
	for range 20 {
		a.act(engine.ActionReset)
		a.fail(1)
		for looks := 0; ; looks++ {
			if looks == 1000 {
				t.Fatalf("the circuit is still open after %d ms, want 7", looks)
			}
			left := t.inspect().RetryAfter
			if left == 0 {
				break
			}
			began := a.Now()
			hint := a.rejection().RetryAfter() + time.Duration(a.Now()-began)
			if hint < left {
				t.Fatalf("RetryAfter is at most %v, the circuit stays open for %v", hint, left)
			}
			t.advance(time.Millisecond)
		}
	}
}

func openStays(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: shortTime})
	a.fail(3)
	t.advance(shortTime)
	a.step(engine.Batch{})
	s := t.inspect()
	t.checkEqual("state", engine.StateOpen, s.State)
	t.checkEqual("RetryAfter", time.Duration(0), s.RetryAfter)
	t.checkEqual("open period", shortTime, s.OpenFor)
}

func ownOpenTime(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute, Backoff: engine.Backoff{Jitter: 1}})
	a.settle(a.admit(), engine.Failure, &engine.Detail{OpenFor: 10 * time.Minute}, false)
	t.checkEqual("open period", 10*time.Minute, t.inspect().OpenFor)
}

func ownOpenTimeHeld(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute, Backoff: engine.Backoff{Max: 5 * time.Minute}})
	a.settle(a.admit(), engine.Failure, &engine.Detail{OpenFor: 10 * time.Minute}, false)
	t.checkEqual("open period", 5*time.Minute, t.inspect().OpenFor)
}

func backoffLengthens(t *testEnv) {
	a, _ := t.pair(engine.Policy{
		ConsecutiveFailures: 1, OpenFor: time.Minute,
		Backoff: engine.Backoff{Multiplier: 2, Max: 3 * time.Minute},
	})
	a.fail(1)
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute} {
		s := t.inspect()
		t.checkEqual("open period", want, s.OpenFor)
		t.checkEqual("trips", i+1, s.Trips)
		a.act(engine.ActionHalfOpen)
		a.fail(1)
	}
}

func backoffForgets(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: shortTime, Backoff: engine.Backoff{Multiplier: 2}})
	a.fail(1)
	t.advance(shortTime)
	a.call(engine.Success)
	t.checkEqual("trips while closed", 1, t.inspect().Trips)
	t.advance(shortTime)
	a.fail(1)
	s := t.inspect()
	t.checkEqual("trips", 1, s.Trips)
	t.checkEqual("open period", shortTime, s.OpenFor)
}

func jitterShortens(t *testEnv) {
	p := engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour, Backoff: engine.Backoff{Jitter: 0.5}}
	a, _ := t.pair(p)
	seen := map[time.Duration]bool{}
	for range 8 {
		a.fail(1)
		d := t.inspect().OpenFor
		t.checkBetween("open period", 30*time.Minute-time.Millisecond, time.Hour, d)
		seen[d] = true
		a.act(engine.ActionReset)
	}
	if len(seen) == 1 {
		t.Fatalf("8 open periods with jitter are equal: %v", seen)
	}
}

func startOpen(t *testEnv) {
	a, b := t.pair(engine.Policy{OpenFor: time.Hour, Initial: engine.Initial{State: engine.StateOpen}})
	a.reject()
	b.reject()
	s := t.inspect()
	t.checkEqual("state", engine.StateOpen, s.State)
	t.checkEqual("trips", 1, s.Trips)
	t.checkEqual("cause", engine.CauseCreated, t.lastTransition().Cause)
}
