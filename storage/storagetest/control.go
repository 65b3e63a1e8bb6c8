package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var control = []test{
	{"trip_opens", tripOpens},
	{"trip_for_a_time", tripFor},
	{"trip_of_an_open_circuit_is_none", tripOfOpen},
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

func tripOpens(t *env) {
	a, b := t.pair(three)
	a.act(engine.ActionTrip)
	b.reject()
	s := t.inspect()
	t.equal("trips", 1, s.Trips)
	t.equal("open period", time.Hour, s.OpenFor)
	t.equal("cause", engine.CauseOperator, t.last().Cause)
}

// tripFor: an operator is not held to the policy's Max.
func tripFor(t *env) {
	a, _ := t.pair(three)
	a.command(engine.Command{Action: engine.ActionTrip, For: 48 * time.Hour})
	t.equal("open period", 48*time.Hour, t.inspect().OpenFor)
}

func tripOfOpen(t *env) {
	a, _ := t.pair(three)
	a.fail(3)
	before := t.inspect()
	a.command(engine.Command{Action: engine.ActionTrip, For: 2 * time.Hour})
	a.act(engine.ActionRelease) // of no mode
	t.equal("record", untimed(before), untimed(t.inspect()))
}

func halfOpenBegins(t *env) {
	a, b := t.probing(2, 1)
	t.state(engine.StateHalfOpen)
	a.call(engine.Ignored)
	b.call(engine.Success)
	t.state(engine.StateClosed)
}

func resetForgets(t *env) {
	a, b := t.pair(three)
	a.fail(3)
	a.act(engine.ActionReset)
	b.fail(2)
	s := t.inspect()
	t.equal("state", engine.StateClosed, s.State)
	t.equal("trips", 0, s.Trips)
	t.equal("open period", time.Duration(0), s.OpenFor)
	t.equal("streak", int64(2), s.Streak)
}

func byHandle(t *env) {
	t.bind(t.A, name, three).admit()
	b := t.bind(t.B, name, engine.Policy{OpenFor: 2 * time.Hour})
	b.act(engine.ActionTrip)
	t.equal("open period", 2*time.Hour, t.inspect().OpenFor)
}

func byName(t *env) {
	a, _ := t.pair(three)
	a.admit()
	s, err := t.B.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip})
	t.is("Control", nil, err)
	t.equal("open period", time.Hour, s.OpenFor)
	a.reject()
}

// byNameAbsent: the action itself makes the record.
func byNameAbsent(t *env) {
	s, err := t.A.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip})
	t.is("Control", nil, err)
	t.equal("open period", engine.DefaultOpenFor, s.OpenFor)
	s = t.inspect()
	t.equal("transitions", 1, len(s.Log))
	t.equal("cause", engine.CauseOperator, t.last().Cause)
	t.bind(t.B, name, three).reject()
}

func forcedRefuses(t *env) {
	a, _ := t.pair(three)
	for _, mode := range []engine.Action{engine.ActionForceOpen, engine.ActionForceClosed} {
		a.act(mode)
		before := t.inspect()
		for _, action := range []engine.Action{engine.ActionTrip, engine.ActionHalfOpen} {
			_, err := a.Control(t.Context(), engine.Command{Action: action})
			t.is("Control", engine.ErrForced, err)
			_, err = t.B.Control(t.Context(), name, engine.Command{Action: action})
			t.is("Control by name", engine.ErrForced, err)
		}
		t.equal("record", untimed(before), untimed(t.inspect()))
	}
}

func epochConflict(t *env) {
	a, _ := t.pair(three)
	old := a.admit().Epoch
	_, err := t.B.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip, IfEpoch: old})
	t.is("Control of the epoch", nil, err)
	t.state(engine.StateOpen)
	before := t.inspect()
	for _, epoch := range []int64{old, -1} {
		_, err := a.Control(t.Context(), engine.Command{Action: engine.ActionReset, IfEpoch: epoch})
		t.is("Control", engine.ErrConflict, err)
		_, err = t.B.Control(t.Context(), name, engine.Command{Action: engine.ActionReset, IfEpoch: epoch})
		t.is("Control by name", engine.ErrConflict, err)
	}
	t.equal("record", untimed(before), untimed(t.inspect()))
}

func onlyIfAbsent(t *env) {
	a, _ := t.pair(three)
	_, err := a.Control(t.Context(), engine.Command{Action: engine.ActionTrip, IfEpoch: 1})
	t.is("Control of an epoch, without a record", engine.ErrConflict, err)
	t.equal("exists", false, t.inspect().Exists)
	a.command(engine.Command{Action: engine.ActionTrip, IfEpoch: t.inspect().Epoch})
	t.state(engine.StateOpen)
}

func expiredModeFirst(t *env) {
	a, _ := t.pair(three)
	a.command(engine.Command{Action: engine.ActionForceClosed, For: brief})
	t.pass(brief)
	a.act(engine.ActionTrip)
	t.state(engine.StateOpen)
	log := t.inspect().Log
	t.equal("cause before the last", engine.CauseModeEnded, log[len(log)-2].Cause)
}

func answersRecord(t *env) {
	a, _ := t.pair(three)
	a.fail(2)
	for _, action := range []engine.Action{engine.ActionShadow, engine.ActionTrip, engine.ActionHalfOpen, engine.ActionForceOpen} {
		answer := a.act(action)
		t.equal("answer to "+action.String(), untimed(t.inspect()), untimed(answer))
	}
}
