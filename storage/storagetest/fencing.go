package storagetest

import (
	"github.com/redbreaker/redbreaker/engine"
)

var fencing = []test{
	{"late_result_after_a_trip", lateAfterTrip},
	{"late_result_after_a_recovery", lateAfterRecovery},
	{"probe_of_an_earlier_round", probeOfEarlierRound},
	{"late_result_after_a_command", lateAfterCommand},
	{"late_result_after_a_loss", lateAfterLoss},
	{"every_transition_changes_the_epoch", epochsChange},
}

func lateAfterTrip(t *testEnv) {
	a, b := t.pair(threeFailures)
	late := b.admit()
	a.fail(3)
	before := t.inspect()
	b.reportStale(late, engine.Success)
	b.reportStale(late, engine.Failure)
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func lateAfterRecovery(t *testEnv) {
	a, b := t.pair(threeFailures)
	late := b.admit()
	a.fail(3)
	a.act(engine.ActionHalfOpen)
	a.call(engine.Success)
	for range 3 {
		b.reportStale(late, engine.Failure)
	}
	t.checkState(engine.StateClosed)
	t.checkEqual("streak", int64(0), t.inspect().Streak)
}

func probeOfEarlierRound(t *testEnv) {
	a, b := t.probing(2, 2)
	late := b.admit()
	a.call(engine.Failure)
	a.act(engine.ActionHalfOpen)
	a.admit()
	b.reportStale(late, engine.Success)
	b.reportStale(late, engine.Failure)
	t.checkEqual("outstanding", 1, t.inspect().Probes.Outstanding)
	t.checkState(engine.StateHalfOpen)
}

func lateAfterCommand(t *testEnv) {
	for _, action := range []engine.Action{
		engine.ActionReset, engine.ActionShadow, engine.ActionRelease, engine.ActionForceClosed, engine.ActionForceOpen,
	} {
		a, b := t.pair(threeFailures)
		a.act(engine.ActionShadow) // which each of the actions changes
		late := b.admit()
		a.act(action)
		b.reportStale(late, engine.Failure)
		t.checkEqual("streak", int64(0), t.inspect().Streak)
	}
}

func lateAfterLoss(t *testEnv) {
	t.needs("Lose", t.Lose != nil)
	a, b := t.pair(threeFailures)
	late := b.admit()
	t.Lose(name)
	t.advancePastEpoch()
	a.admit()
	b.reportStale(late, engine.Failure)
	t.checkEqual("streak", int64(0), t.inspect().Streak)
}

func epochsChange(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(3)
	for _, action := range []engine.Action{
		engine.ActionHalfOpen, engine.ActionReset, engine.ActionReset, engine.ActionShadow,
		engine.ActionForceOpen, engine.ActionForceClosed, engine.ActionRelease,
	} {
		b.act(action)
	}
	last := int64(0)
	log := t.inspect().Log
	t.checkEqual("transitions", 9, len(log))
	for _, l := range log {
		if l.Epoch <= last {
			t.Fatalf("epoch %d follows %d in the log: %v", l.Epoch, last, log)
		}
		last = l.Epoch
	}
	t.checkEqual("epoch", last, t.inspect().Epoch)
}
