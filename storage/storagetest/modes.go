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
	{"shadow_begins_the_round_anew", shadowRound},
	{"mode_ends_by_itself", modeEnds},
	{"mode_ends_at_its_instant", modeEndsExactly},
	{"mode_tells_who_and_why", modeTells},
	{"reset_keeps_the_mode", resetKeepsMode},
	{"release_forgets", releaseForgets},
}

func forcedOpen(t *env) {
	a, b := t.pair(three)
	a.act(engine.ActionForceOpen)
	for _, c := range []*breaker{a, b} {
		e := c.rejection()
		t.equal("reason", engine.ReasonForced, e.Reason)
		t.equal("mode", engine.ModeForcedOpen, e.Mode)
		t.equal("RetryAfter", time.Duration(0), e.RetryAfter())
	}
}

func forcedOpenFor(t *env) {
	a, b := t.pair(three)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: time.Hour})
	t.between("RetryAfter", 0, time.Hour, b.rejection().RetryAfter())
	t.between("ModeFor", 0, time.Hour, t.inspect().ModeFor)
}

func forcedClosed(t *env) {
	a, b := t.pair(three)
	a.fail(3)
	a.act(engine.ActionForceClosed)
	for range 5 {
		t.equal("ticket", engine.Ticket{}, b.admit())
		b.call(engine.Failure)
	}
	s := t.inspect()
	t.equal("state", engine.StateClosed, s.State)
	t.equal("streak", int64(0), s.Streak)
}

func shadow(t *env) {
	a, b := t.pair(three)
	a.act(engine.ActionShadow)
	a.fail(3)
	s := t.inspect()
	t.equal("state", engine.StateOpen, s.State)
	t.equal("mode", engine.ModeShadow, s.Mode)
	t.equal("ticket while open beneath", engine.Ticket{}, b.admit())
	a.act(engine.ActionHalfOpen)
	probe := b.admit()
	t.equal("ticket beside the probe", engine.Ticket{}, a.admit())
	b.report(probe, engine.Success)
	t.state(engine.StateClosed)
}

func shadowKeeps(t *env) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, OpenFor: brief})
	a.fail(3)
	a.act(engine.ActionShadow)
	s := t.inspect()
	t.equal("state", engine.StateOpen, s.State)
	t.equal("open period", brief, s.OpenFor)
	t.pass(brief)
	if probe := a.admit(); probe.Lease == 0 {
		t.Fatalf("ticket %+v, want a probe's", probe)
	}
}

func shadowRound(t *env) {
	a, b := t.probing(2, 2)
	late := a.admit()
	a.call(engine.Success)
	a.act(engine.ActionShadow)
	a.stale(late, engine.Success)
	want := &engine.ProbeRound{Probes: 2, Successes: 2, Lease: time.Hour}
	t.equal("round", want, t.inspect().Probes)
	b.call(engine.Success, engine.Success)
	t.state(engine.StateClosed)
}

func modeEnds(t *env) {
	a, b := t.pair(three)
	a.fail(2)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: brief})
	t.pass(brief)
	b.admit()
	s := t.inspect()
	t.equal("mode", engine.ModeAuto, s.Mode)
	t.equal("streak", int64(0), s.Streak)
	t.equal("cause", engine.CauseModeEnded, t.last().Cause)
}

func modeEndsExactly(t *env) {
	t.exact()
	a, b := t.pair(three)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: 10 * time.Second})
	t.pass(10*time.Second - time.Millisecond)
	t.almostOver(b.rejection())
	t.pass(time.Millisecond)
	b.admit()
}

func modeTells(t *env) {
	a, _ := t.pair(three)
	a.command(engine.Command{Action: engine.ActionForceClosed, Reason: "load test", Actor: "ops"})
	s := t.inspect()
	t.equal("reason", "load test", s.ModeReason)
	t.equal("by", "ops", s.ModeBy)
	t.equal("ModeFor", time.Duration(0), s.ModeFor)
	last := t.last()
	t.equal("to", engine.ModeForcedClosed, last.ToMode)
	t.equal("cause", engine.CauseOperator, last.Cause)
	t.equal("text", "load test", last.Text)
	t.equal("by", "ops", last.By)
}

func resetKeepsMode(t *env) {
	a, _ := t.pair(three)
	a.command(engine.Command{Action: engine.ActionShadow, For: time.Hour})
	a.fail(3)
	a.act(engine.ActionReset)
	s := t.inspect()
	t.equal("state", engine.StateClosed, s.State)
	t.equal("mode", engine.ModeShadow, s.Mode)
	t.between("ModeFor", 0, time.Hour, s.ModeFor)
}

func releaseForgets(t *env) {
	a, b := t.pair(three)
	a.act(engine.ActionShadow)
	a.fail(3)
	a.act(engine.ActionRelease)
	s := t.inspect()
	t.equal("state", engine.StateClosed, s.State)
	t.equal("mode", engine.ModeAuto, s.Mode)
	t.equal("trips", 0, s.Trips)
	b.admit()
}
