package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var modes = []test{
	{"forced_open_rejects", forcedOpen},
	{"forced_open_with_an_end_says_when", forcedOpenFor},
	{"forced_closed_admits_and_counts_nothing", forcedClosed},
	{"shadow_admits_and_the_machine_runs_on", shadow},
	{"shadow_keeps_state_and_times", shadowKeeps},
	{"shadow_begins_a_new_round", shadowRound},
	{"shadow_of_an_absent_record_has_an_age", shadowAbsent},
	{"mode_ends_by_itself", modeEnds},
	{"mode_ends_at_its_instant", modeEndsExactly},
	{"ended_mode_is_shown_as_auto", endedModeShown},
	{"refused_command_teaches_no_ended_mode", endedModeRefused},
	{"mode_has_actor_and_reason", modeActorReason},
	{"reset_keeps_the_mode", resetKeepsMode},
	{"release_forgets", releaseForgets},
}

func forcedOpen(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.act(engine.ActionForceOpen)
	for _, c := range []*breaker{a, b} {
		e := c.rejection()
		t.checkEqual("reason", engine.ReasonForced, e.Reason)
		t.checkEqual("mode", engine.ModeForcedOpen, e.Mode)
		t.checkEqual("RetryAfter", time.Duration(0), e.RetryAfter())
	}
}

func forcedOpenFor(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: time.Hour})
	t.checkBetween("RetryAfter", 0, time.Hour, b.rejection().RetryAfter())
	t.checkBetween("ModeFor", 0, time.Hour, t.inspect().ModeFor)
}

func forcedClosed(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(3)
	a.act(engine.ActionForceClosed)
	for range 5 {
		t.checkEqual("ticket", engine.Ticket{}, b.admit())
		b.call(engine.Failure)
	}
	s := t.inspect()
	t.checkEqual("state", engine.StateClosed, s.State)
	t.checkEqual("streak", int64(0), s.Streak)
}

func shadow(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.act(engine.ActionShadow)
	a.fail(3)
	s := t.inspect()
	t.checkEqual("state", engine.StateOpen, s.State)
	t.checkEqual("mode", engine.ModeShadow, s.Mode)
	t.checkEqual("ticket while the state is open", engine.Ticket{}, b.admit())
	a.act(engine.ActionHalfOpen)
	probe := b.admit()
	t.checkEqual("ticket beside the probe", engine.Ticket{}, a.admit())
	b.report(probe, engine.Success)
	t.checkState(engine.StateClosed)
}

func shadowKeeps(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: shortTime})
	a.fail(3)
	a.act(engine.ActionShadow)
	s := t.inspect()
	t.checkEqual("state", engine.StateOpen, s.State)
	t.checkEqual("open period", shortTime, s.OpenFor)
	t.advance(shortTime)
	if probe := a.admit(); probe.Lease == 0 {
		t.Fatalf("ticket %+v, want a probe's", probe)
	}
}

func shadowRound(t *testEnv) {
	a, b := t.probing(2, 2)
	late := a.admit()
	a.call(engine.Success)
	a.act(engine.ActionShadow)
	a.reportStale(late, engine.Success)
	want := &engine.ProbeRound{Probes: 2, Successes: 2, Lease: time.Hour}
	t.checkEqual("round", want, t.inspect().Probes)
	b.call(engine.Success, engine.Success)
	t.checkState(engine.StateClosed)
}

// shadowAbsent: shadow keeps the times of a state, and the state of a record that it
// creates begins with the record.
func shadowAbsent(t *testEnv) {
	s, err := t.A.Control(t.Context(), name, engine.Command{Action: engine.ActionShadow})
	t.checkError("Control", nil, err)
	t.checkBetween("Age", -1, time.Hour, s.Age)
	t.checkBetween("Age of an inspection", -1, time.Hour, t.inspect().Age)
}

func modeEnds(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(2)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: shortTime})
	t.advance(shortTime)
	b.admit()
	s := t.inspect()
	t.checkEqual("mode", engine.ModeAuto, s.Mode)
	t.checkEqual("streak", int64(0), s.Streak)
	t.checkEqual("cause", engine.CauseModeEnded, t.lastTransition().Cause)
}

// endedModeShown: until a step ends it, a mode whose time is over is shown as what
// the step will leave.
func endedModeShown(t *testEnv) {
	for _, action := range []engine.Action{engine.ActionForceOpen, engine.ActionForceClosed, engine.ActionShadow} {
		a, _ := t.pair(threeFailures)
		a.command(engine.Command{Action: action, For: shortTime, Reason: "deploy", Actor: "ops"})
		t.advance(shortTime)
		s := t.inspect()
		t.checkEqual("state", engine.StateClosed, s.State)
		t.checkEqual("mode", engine.ModeAuto, s.Mode)
		t.checkEqual("ModeFor, reason, actor", []any{time.Duration(0), "", ""}, []any{s.ModeFor, s.ModeReason, s.ModeBy})
		if s.Age > time.Hour {
			t.Fatalf("Age is %v, want the time since the mode ended", s.Age)
		}
		t.checkEqual("epoch", t.lastTransition().Epoch, s.Epoch)
	}
}

// endedModeRefused: a command that is refused returns the record, and its handle
// remembers it.
func endedModeRefused(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: shortTime})
	t.advance(shortTime)
	s, err := b.Control(t.Context(), engine.Command{Action: engine.ActionReset, IfEpoch: 1})
	t.checkError("Control", engine.ErrConflict, err)
	t.checkEqual("mode", engine.ModeAuto, s.Mode)
	status := b.Status()
	t.checkEqual("mode of the status", engine.ModeAuto, status.Mode)
	t.checkEqual("RetryAfter of the status", time.Duration(0), status.RetryAfter)
}

func modeEndsExactly(t *testEnv) {
	t.needsAdvance()
	a, b := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: 10 * time.Second})
	t.advance(10*time.Second - time.Millisecond)
	t.checkAlmostOver(b.rejection())
	t.advance(time.Millisecond)
	b.admit()
}

func modeActorReason(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionForceClosed, Reason: "load test", Actor: "ops"})
	s := t.inspect()
	t.checkEqual("reason", "load test", s.ModeReason)
	t.checkEqual("by", "ops", s.ModeBy)
	t.checkEqual("ModeFor", time.Duration(0), s.ModeFor)
	last := t.lastTransition()
	t.checkEqual("to", engine.ModeForcedClosed, last.ToMode)
	t.checkEqual("cause", engine.CauseOperator, last.Cause)
	t.checkEqual("text", "load test", last.Text)
	t.checkEqual("by", "ops", last.By)
}

func resetKeepsMode(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionShadow, For: time.Hour})
	a.fail(3)
	a.act(engine.ActionReset)
	s := t.inspect()
	t.checkEqual("state", engine.StateClosed, s.State)
	t.checkEqual("mode", engine.ModeShadow, s.Mode)
	t.checkBetween("ModeFor", 0, time.Hour, s.ModeFor)
}

func releaseForgets(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.act(engine.ActionShadow)
	a.fail(3)
	a.act(engine.ActionRelease)
	s := t.inspect()
	t.checkEqual("state", engine.StateClosed, s.State)
	t.checkEqual("mode", engine.ModeAuto, s.Mode)
	t.checkEqual("trips", 0, s.Trips)
	b.admit()
}
