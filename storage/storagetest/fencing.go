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

func lateAfterTrip(t *env) {
	a, b := t.pair(three)
	late := b.admit()
	a.fail(3)
	before := t.inspect()
	b.stale(late, engine.Success)
	b.stale(late, engine.Failure)
	t.equal("record", untimed(before), untimed(t.inspect()))
}

func lateAfterRecovery(t *env) {
	a, b := t.pair(three)
	late := b.admit()
	a.fail(3)
	a.act(engine.ActionHalfOpen)
	a.call(engine.Success)
	for range 3 {
		b.stale(late, engine.Failure)
	}
	t.state(engine.StateClosed)
	t.equal("streak", int64(0), t.inspect().Streak)
}

func probeOfEarlierRound(t *env) {
	a, b := t.probing(2, 2)
	late := b.admit()
	a.call(engine.Failure)
	a.act(engine.ActionHalfOpen)
	a.admit()
	b.stale(late, engine.Success)
	b.stale(late, engine.Failure)
	t.equal("outstanding", 1, t.inspect().Probes.Outstanding)
	t.state(engine.StateHalfOpen)
}

func lateAfterCommand(t *env) {
	for _, action := range []engine.Action{
		engine.ActionReset, engine.ActionShadow, engine.ActionRelease, engine.ActionForceClosed, engine.ActionForceOpen,
	} {
		a, b := t.pair(three)
		a.act(engine.ActionShadow) // which each of the actions changes
		late := b.admit()
		a.act(action)
		b.stale(late, engine.Failure)
		t.equal("streak", int64(0), t.inspect().Streak)
	}
}

func lateAfterLoss(t *env) {
	t.needs("Lose", t.Lose != nil)
	a, b := t.pair(three)
	late := b.admit()
	t.Lose(name)
	t.nextEpochs()
	a.admit()
	b.stale(late, engine.Failure)
	t.equal("streak", int64(0), t.inspect().Streak)
}

func epochsChange(t *env) {
	a, b := t.pair(three)
	a.fail(3)
	for _, action := range []engine.Action{
		engine.ActionHalfOpen, engine.ActionReset, engine.ActionReset, engine.ActionShadow,
		engine.ActionForceOpen, engine.ActionForceClosed, engine.ActionRelease,
	} {
		b.act(action)
	}
	last := int64(0)
	log := t.inspect().Log
	t.equal("transitions", 9, len(log))
	for _, l := range log {
		if l.Epoch <= last {
			t.Fatalf("epoch %d follows %d in the log: %v", l.Epoch, last, log)
		}
		last = l.Epoch
	}
	t.equal("epoch", last, t.inspect().Epoch)
}
