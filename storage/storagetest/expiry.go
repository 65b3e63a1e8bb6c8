package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var expiry = []test{
	{"idle_record_is_forgotten", idleForgotten},
	{"reports_keep_a_record", reportsKeep},
	{"admissions_do_not", admissionsDoNotKeep},
	{"open_period_is_remembered", openRemembered},
	{"mode_without_end_is_remembered", modeRemembered},
}

func idleForgotten(t *testEnv) {
	t.needs("Expires", t.Expires)
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, IdleTTL: shortTime})
	a.fail(1)
	t.advance(shortTime)
	t.checkEqual("exists", false, t.inspect().Exists)
	b.admit()
	s := t.inspect()
	t.checkEqual("transitions", 1, len(s.Log))
	t.checkEqual("streak", int64(0), s.Streak)
}

func reportsKeep(t *testEnv) {
	t.needs("Expires", t.Expires)
	t.needsAdvance()
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 100, IdleTTL: 10 * time.Second})
	for range 5 {
		a.fail(1)
		t.advance(8 * time.Second)
	}
	t.checkEqual("streak", int64(5), t.inspect().Streak)
	t.advance(2 * time.Second)
	t.checkEqual("exists", false, t.inspect().Exists)
}

func admissionsDoNotKeep(t *testEnv) {
	t.needs("Expires", t.Expires)
	t.needsAdvance()
	a, _ := t.pair(engine.Policy{IdleTTL: 10 * time.Second})
	for range 2 {
		a.admit()
		t.advance(5 * time.Second)
	}
	t.checkEqual("exists", false, t.inspect().Exists)
}

func openRemembered(t *testEnv) {
	t.needs("Expires", t.Expires)
	t.needsAdvance()
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour, IdleTTL: time.Second})
	a.fail(1)
	t.advance(time.Hour)
	if probe := a.admit(); probe.Lease == 0 {
		t.Fatalf("ticket %+v, want a probe's", probe)
	}
}

func modeRemembered(t *testEnv) {
	t.needs("Expires", t.Expires)
	a, b := t.pair(engine.Policy{IdleTTL: shortTime})
	a.act(engine.ActionForceOpen)
	t.advance(2 * shortTime)
	t.checkEqual("reason", engine.ReasonForced, b.rejection().Reason)
}
