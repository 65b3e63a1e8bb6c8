package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var control = []test{
	{"trip_opens", tripOpens},
	{"trip_for_a_time", tripFor},
	{"trip_of_an_open_circuit_begins_a_new_period", tripOfOpen},
	{"release_in_auto_is_none", releaseInAuto},
	{"half_open_begins_a_round", halfOpenBegins},
	{"reset_forgets", resetForgets},
	{"by_handle_uses_the_handles_policy", byHandle},
	{"by_name_uses_the_records_policy", byName},
	{"by_name_without_a_record_uses_the_zero_policy", byNameAbsent},
	{"forced_mode_refuses_trip_and_half_open", forcedRefuses},
	{"another_epoch_is_a_conflict", epochConflict},
	{"only_if_absent", onlyIfAbsent},
	{"expired_mode_ends_first", expiredModeFirst},
	{"answers_with_the_record", answersRecord},
}

func tripOpens(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.act(engine.ActionTrip)
	b.reject()
	s := t.inspect()
	t.checkEqual("trips", 1, s.Trips)
	t.checkEqual("open period", time.Hour, s.OpenFor)
	t.checkEqual("cause", engine.CauseOperator, t.lastTransition().Cause)
}

// tripFor: an operator is not held to the policy's Max.
func tripFor(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionTrip, For: 48 * time.Hour})
	t.checkEqual("open period", 48*time.Hour, t.inspect().OpenFor)
}

func tripOfOpen(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(3)
	before := t.inspect()
	a.command(engine.Command{Action: engine.ActionTrip, For: 2 * time.Hour, Reason: "migration", Actor: "ops"})
	after := t.inspect()
	t.checkEqual("open for", 2*time.Hour, after.OpenFor)
	t.checkEqual("by", "ops", t.lastTransition().By)
	t.checkEqual("reason", "migration", t.lastTransition().Text)
	if after.Epoch == before.Epoch || len(after.Log) != len(before.Log)+1 {
		t.Errorf("a trip of an open circuit made no transition: %+v", after)
	}
}

func releaseInAuto(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(3)
	before := t.inspect()
	a.act(engine.ActionRelease)
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func halfOpenBegins(t *testEnv) {
	a, b := t.probing(2, 1)
	t.checkState(engine.StateHalfOpen)
	a.call(engine.Ignored)
	b.call(engine.Success)
	t.checkState(engine.StateClosed)
}

func resetForgets(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(3)
	a.act(engine.ActionReset)
	b.fail(2)
	s := t.inspect()
	t.checkEqual("state", engine.StateClosed, s.State)
	t.checkEqual("trips", 0, s.Trips)
	t.checkEqual("open period", time.Duration(0), s.OpenFor)
	t.checkEqual("streak", int64(2), s.Streak)
}

func byHandle(t *testEnv) {
	t.bind(t.A, name, threeFailures).admit()
	b := t.bind(t.B, name, engine.Policy{OpenFor: 2 * time.Hour})
	b.act(engine.ActionTrip)
	t.checkEqual("open period", 2*time.Hour, t.inspect().OpenFor)
}

func byName(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.admit()
	s, err := t.B.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip})
	t.checkError("Control", nil, err)
	t.checkEqual("open period", time.Hour, s.OpenFor)
	a.reject()
}

// byNameAbsent: the action itself makes the record.
func byNameAbsent(t *testEnv) {
	s, err := t.A.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip})
	t.checkError("Control", nil, err)
	t.checkEqual("open period", engine.DefaultOpenFor, s.OpenFor)
	s = t.inspect()
	t.checkEqual("transitions", 1, len(s.Log))
	t.checkEqual("cause", engine.CauseOperator, t.lastTransition().Cause)
	t.bind(t.B, name, threeFailures).reject()
}

func forcedRefuses(t *testEnv) {
	a, _ := t.pair(threeFailures)
	for _, mode := range []engine.Action{engine.ActionForceOpen, engine.ActionForceClosed} {
		a.act(mode)
		before := t.inspect()
		for _, action := range []engine.Action{engine.ActionTrip, engine.ActionHalfOpen} {
			_, err := a.Control(t.Context(), engine.Command{Action: action})
			t.checkError("Control", engine.ErrForced, err)
			_, err = t.B.Control(t.Context(), name, engine.Command{Action: action})
			t.checkError("Control by name", engine.ErrForced, err)
		}
		t.checkEqual("record", untimed(before), untimed(t.inspect()))
	}
}

func epochConflict(t *testEnv) {
	a, _ := t.pair(threeFailures)
	old := a.admit().Epoch
	_, err := t.B.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip, IfEpoch: old})
	t.checkError("Control of the epoch", nil, err)
	t.checkState(engine.StateOpen)
	before := t.inspect()
	for _, epoch := range []int64{old, -1} {
		_, err := a.Control(t.Context(), engine.Command{Action: engine.ActionReset, IfEpoch: epoch})
		t.checkError("Control", engine.ErrConflict, err)
		_, err = t.B.Control(t.Context(), name, engine.Command{Action: engine.ActionReset, IfEpoch: epoch})
		t.checkError("Control by name", engine.ErrConflict, err)
	}
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func onlyIfAbsent(t *testEnv) {
	a, _ := t.pair(threeFailures)
	_, err := a.Control(t.Context(), engine.Command{Action: engine.ActionTrip, IfEpoch: 1})
	t.checkError("Control of an epoch, without a record", engine.ErrConflict, err)
	t.checkEqual("exists", false, t.inspect().Exists)
	a.command(engine.Command{Action: engine.ActionTrip, IfEpoch: t.inspect().Epoch})
	t.checkState(engine.StateOpen)
}

func expiredModeFirst(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionForceClosed, For: shortTime})
	t.advance(shortTime)
	a.act(engine.ActionTrip)
	t.checkState(engine.StateOpen)
	log := t.inspect().Log
	t.checkEqual("cause before the last", engine.CauseModeEnded, log[len(log)-2].Cause)
}

func answersRecord(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(2)
	for _, action := range []engine.Action{engine.ActionShadow, engine.ActionTrip, engine.ActionHalfOpen, engine.ActionForceOpen} {
		answer := a.act(action)
		t.checkEqual("answer to "+action.String(), untimed(t.inspect()), untimed(answer))
	}
}
