package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var statuses = []test{
	{"never_heard", neverHeard},
	{"tells_what_was_last_heard", lastHeard},
	{"tells_of_a_mode", statusOfMode},
	{"does_not_fail", statusAfterClose},
}

func neverHeard(t *env) {
	a, _ := t.pair(three)
	s := a.Status()
	if s.Age >= 0 {
		t.Fatalf("Age is %v before anything was heard, want a negative one", s.Age)
	}
	t.equal("state", engine.StateClosed, s.State)
	t.equal("exists after Status", false, t.inspect().Exists)
}

func lastHeard(t *env) {
	a, _ := t.pair(three)
	a.fail(3)
	a.reject()
	s := a.Status()
	t.equal("state", engine.StateOpen, s.State)
	t.equal("degraded", false, s.Degraded)
	t.between("RetryAfter", 0, time.Hour, s.RetryAfter)
	if s.Age < 0 || s.Age > time.Hour {
		t.Fatalf("Age is %v just after a call", s.Age)
	}
	a.act(engine.ActionReset)
	s = a.Status()
	t.equal("state after a reset", engine.StateClosed, s.State)
	t.equal("RetryAfter after a reset", time.Duration(0), s.RetryAfter)
}

func statusOfMode(t *env) {
	a, _ := t.pair(three)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: time.Hour})
	a.reject()
	s := a.Status()
	t.equal("mode", engine.ModeForcedOpen, s.Mode)
	t.between("RetryAfter", 0, time.Hour, s.RetryAfter)
	a.act(engine.ActionShadow)
	a.fail(3)
	s = a.Status()
	t.equal("state beneath shadow", engine.StateOpen, s.State)
	t.equal("RetryAfter where calls are admitted", time.Duration(0), s.RetryAfter)
}

func statusAfterClose(t *env) {
	a, _ := t.pair(three)
	a.fail(3)
	t.is("Close", nil, a.Close())
	t.is("Close of the storage", nil, t.A.Close())
	t.equal("state", engine.StateOpen, a.Status().State)
}
