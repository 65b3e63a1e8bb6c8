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

func inspectAbsent(t *env) {
	for range 2 {
		t.equal("snapshot", engine.Snapshot{Name: name, Epoch: -1}, t.inspect())
	}
	a, _ := t.pair(three)
	a.admit()
	t.equal("cause", engine.CauseCreated, t.last().Cause)
}

func inspectWritesNothing(t *env) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: brief, HalfOpen: engine.HalfOpen{Lease: brief}})
	a.fail(3)
	t.pass(brief)
	t.equal("overdue, state", engine.StateOpen, t.inspect().State)
	a.admit()
	t.pass(brief)
	before := t.inspect()
	t.equal("overdue, outstanding", 0, before.Probes.Outstanding)
	t.equal("overdue, lapsed", int64(0), before.Probes.Lapsed)
	t.equal("record", untimed(before), untimed(t.inspect()))
}

func inspectPolicy(t *env) {
	a, _ := t.pair(three)
	a.admit()
	s := t.inspect()
	rules, err := three.Rules()
	t.is("Rules", nil, err)
	want := rules.Policy()
	t.equal("policy", &want, s.Policy)
	t.equal("fingerprint", rules.Fingerprint(), s.Fingerprint)
}

func inspectSame(t *env) {
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: time.Hour, Window: engine.Window{Calls: 10, FailureCount: 9}})
	a.call(engine.Failure, engine.Success)
	b.fail(2)
	s, err := t.A.Inspect(t.Context(), name)
	t.is("Inspect", nil, err)
	t.equal("record", untimed(s), untimed(t.inspect()))
	t.equal("streak, calls, failures", [3]int64{2, 4, 3}, [3]int64{s.Streak, s.Calls, s.Failures})
}

func inspectTimes(t *env) {
	t.exact()
	a, _ := t.pair(three)
	a.fail(3)
	t.pass(20 * time.Minute)
	s := t.inspect()
	t.equal("Age", 20*time.Minute, s.Age)
	t.equal("RetryAfter", 40*time.Minute, s.RetryAfter)
	t.equal("Ago", 20*time.Minute, t.last().Ago)
}
