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

func idleForgotten(t *env) {
	t.needs("Expires", t.Expires)
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, IdleTTL: brief})
	a.fail(1)
	t.pass(brief)
	t.equal("exists", false, t.inspect().Exists)
	b.admit()
	s := t.inspect()
	t.equal("transitions", 1, len(s.Log))
	t.equal("streak", int64(0), s.Streak)
}

func reportsKeep(t *env) {
	t.needs("Expires", t.Expires)
	t.exact()
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 100, IdleTTL: 10 * time.Second})
	for range 5 {
		a.fail(1)
		t.pass(8 * time.Second)
	}
	t.equal("streak", int64(5), t.inspect().Streak)
	t.pass(2 * time.Second)
	t.equal("exists", false, t.inspect().Exists)
}

func admissionsDoNotKeep(t *env) {
	t.needs("Expires", t.Expires)
	t.exact()
	a, _ := t.pair(engine.Policy{IdleTTL: 10 * time.Second})
	for range 2 {
		a.admit()
		t.pass(5 * time.Second)
	}
	t.equal("exists", false, t.inspect().Exists)
}

func openRemembered(t *env) {
	t.needs("Expires", t.Expires)
	t.exact()
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour, IdleTTL: time.Second})
	a.fail(1)
	t.pass(time.Hour)
	if probe := a.admit(); probe.Lease == 0 {
		t.Fatalf("ticket %+v, want a probe's", probe)
	}
}

func modeRemembered(t *env) {
	t.needs("Expires", t.Expires)
	a, b := t.pair(engine.Policy{IdleTTL: brief})
	a.act(engine.ActionForceOpen)
	t.pass(2 * brief)
	t.equal("reason", engine.ReasonForced, b.rejection().Reason)
}
