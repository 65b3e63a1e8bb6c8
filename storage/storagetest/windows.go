package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var windows = []test{
	{"failure_count", failureCount},
	{"failure_rate_holds_at_its_threshold", failureRate},
	{"min_calls_gates_the_rates_alone", minCallsGates},
	{"success_is_not_judged", successNotJudged},
	{"slow_call_rate", slowCallRate},
	{"slow_failure_counts_as_both", slowFailureIsBoth},
	{"count_window_slides", countWindowSlides},
	{"count_window_of_many_fields", largeCountWindow},
	{"time_window_slides", timeWindowSlides},
	{"time_window_has_ten_buckets", tenBuckets},
	{"time_window_is_inspected_as_of_now", inspectedWindow},
	{"another_shape_waits_for_its_turn", shapeWaits},
	{"transition_empties_the_window", transitionEmpties},
}

func windowed(w engine.Window) engine.Policy {
	return engine.Policy{Window: w, OpenFor: time.Hour}
}

func failureCount(t *testEnv) {
	for _, w := range []engine.Window{{Calls: 10, FailureCount: 3}, {Period: time.Hour, FailureCount: 3}} {
		a := t.bind(t.A, name, windowed(w))
		a.act(engine.ActionReset)
		a.call(engine.Failure, engine.Success, engine.Failure, engine.Success)
		t.checkState(engine.StateClosed)
		a.call(engine.Failure)
		t.checkState(engine.StateOpen)
		t.checkEqual("cause", engine.CauseFailureCount, t.lastTransition().Cause)
		t.checkEqual("tally", "streak=1 calls=5 failures=3 slow=0", t.lastTransition().Tally)
	}
}

func failureRate(t *testEnv) {
	a, b := t.pair(windowed(engine.Window{Calls: 10, FailureRate: 0.5, MinCalls: 4}))
	a.call(engine.Success, engine.Failure)
	b.call(engine.Success)
	t.checkState(engine.StateClosed)
	b.call(engine.Failure)
	t.checkState(engine.StateOpen)
	t.checkEqual("cause", engine.CauseFailureRate, t.lastTransition().Cause)
}

func minCallsGates(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Period: time.Hour, FailureRate: 0.5, FailureCount: 4, MinCalls: 10}))
	a.fail(3)
	t.checkState(engine.StateClosed)
	a.fail(1)
	t.checkState(engine.StateOpen)
	t.checkEqual("cause", engine.CauseFailureCount, t.lastTransition().Cause)
}

func successNotJudged(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Calls: 10, FailureRate: 0.5, MinCalls: 4}))
	a.call(engine.Failure, engine.Failure, engine.Success, engine.Success, engine.Ignored)
	t.checkState(engine.StateClosed)
	a.call(engine.Failure)
	t.checkState(engine.StateOpen)
}

func slowCallRate(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Calls: 10, SlowCallRate: 0.5, SlowCallDuration: time.Second, MinCalls: 4}))
	a.call(engine.Success, engine.SlowSuccess, engine.Failure, engine.SlowSuccess)
	t.checkState(engine.StateOpen)
	t.checkEqual("cause", engine.CauseSlowRate, t.lastTransition().Cause)
}

func slowFailureIsBoth(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Calls: 10, FailureCount: 9, SlowCallRate: 1, SlowCallDuration: time.Second}))
	a.call(engine.Success, engine.SlowFailure)
	s := t.inspect()
	t.checkEqual("calls, failures, slow", [3]int64{2, 1, 1}, [3]int64{s.Calls, s.Failures, s.Slow})
}

func countWindowSlides(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Calls: 3, FailureCount: 2}))
	a.call(engine.Failure, engine.Success, engine.Success, engine.Failure)
	s := t.inspect()
	t.checkEqual("calls, failures", [2]int64{3, 1}, [2]int64{s.Calls, s.Failures})
	t.checkState(engine.StateClosed)
	a.call(engine.Failure)
	t.checkState(engine.StateOpen)
}

func largeCountWindow(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Calls: 1000, FailureCount: 1000}))
	b := results(a.admit(),
		engine.Run{Outcome: engine.Failure, N: 300},
		engine.Run{Outcome: engine.Success, N: 500},
		engine.Run{Outcome: engine.SlowFailure, N: 350})
	t.checkEqual("applied", int64(1150), a.step(b).Applied)
	s := t.inspect()
	t.checkEqual("calls, failures, slow", [3]int64{1000, 500, 350}, [3]int64{s.Calls, s.Failures, s.Slow})
}

func timeWindowSlides(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Period: shortTime, FailureCount: 2}))
	a.fail(1)
	t.advance(2 * shortTime)
	a.fail(1)
	// Not by the count: where time is real, the second may have left the window too.
	t.checkEqual("state", engine.StateClosed, t.inspect().State)
}

// inspectedWindow: an inspection shows the window that ends now, though nothing was
// counted since an older one.
func inspectedWindow(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Period: shortTime, FailureCount: 100}))
	a.fail(2)
	t.advance(2 * shortTime)
	s := t.inspect()
	t.checkEqual("calls, failures", [2]int64{0, 0}, [2]int64{s.Calls, s.Failures})
	t.checkEqual("streak", int64(2), s.Streak)
}

// tenBuckets: a window is now's bucket and the nine before it.
func tenBuckets(t *testEnv) {
	t.needsAdvance()
	a, _ := t.pair(windowed(engine.Window{Period: 10 * time.Second, FailureCount: 100}))
	failures := func() int64 {
		a.fail(1)
		return t.inspect().Failures
	}
	t.checkEqual("failures", int64(1), failures())
	t.advance(9 * time.Second)
	t.checkEqual("failures of an inspection, the first nine buckets away", int64(1), t.inspect().Failures)
	t.checkEqual("failures, the first nine buckets away", int64(2), failures())
	t.advance(time.Second)
	t.checkEqual("failures, the first ten buckets away", int64(2), failures())
}

func shapeWaits(t *testEnv) {
	a := t.bind(t.A, name, windowed(engine.Window{Calls: 10, FailureCount: 4}))
	b := t.bind(t.B, name, windowed(engine.Window{Period: time.Hour, FailureCount: 2}))
	a.fail(1)
	b.fail(2)
	s := t.inspect()
	t.checkEqual("calls, failures", [2]int64{3, 3}, [2]int64{s.Calls, s.Failures})
	t.checkState(engine.StateClosed)
	a.fail(1)
	t.checkState(engine.StateOpen)
}

func transitionEmpties(t *testEnv) {
	a, _ := t.pair(windowed(engine.Window{Calls: 10, FailureCount: 3}))
	a.fail(2)
	a.act(engine.ActionReset)
	s := t.inspect()
	t.checkEqual("streak, calls, failures", [3]int64{}, [3]int64{s.Streak, s.Calls, s.Failures})
	a.fail(2)
	t.checkState(engine.StateClosed)
}
