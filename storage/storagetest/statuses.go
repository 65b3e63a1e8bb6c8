package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var statuses = []test{
	{"before_the_first_call", statusBeforeCalls},
	{"is_the_last_known_state", statusLastKnown},
	{"of_a_mode", statusOfMode},
	{"after_close", statusAfterClose},
}

func statusBeforeCalls(t *testEnv) {
	a, _ := t.pair(threeFailures)
	s := a.Status()
	if s.Age >= 0 {
		t.Fatalf("Age is %v before the first call, want a negative one", s.Age)
	}
	t.checkEqual("state", engine.StateClosed, s.State)
	t.checkEqual("exists after Status", false, t.inspect().Exists)
}

func statusLastKnown(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(3)
	a.reject()
	s := a.Status()
	t.checkEqual("state", engine.StateOpen, s.State)
	t.checkEqual("degraded", false, s.Degraded)
	t.checkBetween("RetryAfter", 0, time.Hour, s.RetryAfter)
	if s.Age < 0 || s.Age > time.Hour {
		t.Fatalf("Age is %v just after a call", s.Age)
	}
	a.act(engine.ActionReset)
	s = a.Status()
	t.checkEqual("state after a reset", engine.StateClosed, s.State)
	t.checkEqual("RetryAfter after a reset", time.Duration(0), s.RetryAfter)
}

func statusOfMode(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: time.Hour})
	a.reject()
	s := a.Status()
	t.checkEqual("mode", engine.ModeForcedOpen, s.Mode)
	t.checkBetween("RetryAfter", 0, time.Hour, s.RetryAfter)
	a.act(engine.ActionShadow)
	a.fail(3)
	s = a.Status()
	t.checkEqual("state in shadow", engine.StateOpen, s.State)
	t.checkEqual("RetryAfter if calls are admitted", time.Duration(0), s.RetryAfter)
}

func statusAfterClose(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(3)
	t.checkError("Close", nil, a.Close())
	t.checkError("Close of the storage", nil, t.A.Close())
	t.checkEqual("state", engine.StateOpen, a.Status().State)
}
