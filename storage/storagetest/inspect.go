package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var inspect = []test{
	{"absent", inspectAbsent},
	{"writes_nothing", inspectWritesNothing},
	{"shows_the_policy_after_defaults", inspectPolicy},
	{"is_the_same_for_both_clients", inspectSame},
	{"shows_times", inspectTimes},
}

func inspectAbsent(t *testEnv) {
	for range 2 {
		t.checkEqual("snapshot", engine.Snapshot{Name: name, Epoch: -1}, t.inspect())
	}
	a, _ := t.pair(threeFailures)
	a.admit()
	t.checkEqual("cause", engine.CauseCreated, t.lastTransition().Cause)
}

func inspectWritesNothing(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: shortTime, HalfOpen: engine.HalfOpen{Lease: shortTime}})
	a.fail(3)
	t.advance(shortTime)
	t.checkEqual("overdue, state", engine.StateOpen, t.inspect().State)
	a.admit()
	t.advance(shortTime)
	before := t.inspect()
	t.checkEqual("overdue, outstanding", 0, before.Probes.Outstanding)
	t.checkEqual("overdue, lapsed", int64(0), before.Probes.Lapsed)
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func inspectPolicy(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.admit()
	s := t.inspect()
	rules, err := threeFailures.Rules()
	t.checkError("Rules", nil, err)
	want := rules.Policy()
	t.checkEqual("policy", &want, s.Policy)
	t.checkEqual("fingerprint", rules.Fingerprint(), s.Fingerprint)
}

func inspectSame(t *testEnv) {
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: time.Hour, Window: engine.Window{Calls: 10, FailureCount: 9}})
	a.call(engine.Failure, engine.Success)
	b.fail(2)
	s, err := t.A.Inspect(t.Context(), name)
	t.checkError("Inspect", nil, err)
	t.checkEqual("record", untimed(s), untimed(t.inspect()))
	t.checkEqual("streak, calls, failures", [3]int64{2, 4, 3}, [3]int64{s.Streak, s.Calls, s.Failures})
}

func inspectTimes(t *testEnv) {
	t.needsAdvance()
	a, _ := t.pair(threeFailures)
	a.fail(3)
	t.advance(20 * time.Minute)
	s := t.inspect()
	t.checkEqual("Age", 20*time.Minute, s.Age)
	t.checkEqual("RetryAfter", 40*time.Minute, s.RetryAfter)
	t.checkEqual("Ago", 20*time.Minute, t.lastTransition().Ago)
}
