package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var standings = []test{
	{"only_if_asked", standingIfAsked},
	{"is_that_of_the_fleet", standingOfTheFleet},
	{"window_is_as_of_now", standingOfNow},
	{"foresees_the_trip", standingForeseesTrip},
	{"leaves_the_reporter_out", standingOfOthers},
	{"observer_sees_each_step", observesSteps},
	{"observer_sees_commands", observesCommands},
}

// standing asks for the standing, in a step that does nothing else. A storage that
// gives none is sound: breakers then take it as unknown.
func (b *breaker) standing() engine.Standing {
	b.t.Helper()
	r := b.step(engine.Batch{AskStanding: true})
	b.t.needs("standing: replies do not carry it", r.Standing.Known)
	return r.Standing
}

func standingIfAsked(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ticket := a.admit()
	_ = a.standing()
	t.checkEqual("standing of a step that did not ask", engine.Standing{}, a.step(engine.Batch{Admissions: 1}).Standing)
	b := results(ticket, engine.Run{Outcome: engine.Failure, N: 2})
	b.AskStanding = true
	t.checkEqual("streak after two failures", int64(2), a.step(b).Standing.Streak)
	b = results(ticket, engine.Run{Outcome: engine.Failure, N: 1})
	b.AskStanding = true
	t.checkEqual("standing of an open circuit", engine.Standing{}, a.step(b).Standing)
}

func standingOfTheFleet(t *testEnv) {
	a, b := t.pair(engine.Policy{Window: engine.Window{Calls: 4, FailureRate: 1}})
	a.call(engine.Failure, engine.Success, engine.Failure)
	_ = b.standing()
	t.checkEqual("window", engine.WindowSums{Calls: 3, Failures: 2}, b.standing().Window)
	b.call(engine.Success, engine.Success)
	t.checkEqual("window that dropped a failure", engine.WindowSums{Calls: 4, Failures: 1}, a.standing().Window)
	t.checkEqual("streak", int64(0), a.standing().Streak)
}

func standingOfNow(t *testEnv) {
	t.needsAdvance()
	a, b := t.pair(engine.Policy{Window: engine.Window{Period: 10 * time.Second, FailureRate: 1}})
	a.call(engine.Success, engine.Failure)
	s := b.standing()
	t.checkEqual("window", engine.WindowSums{Calls: 2, Failures: 1}, s.Window)
	t.checkBetween("time to the turn of the bucket", 0, time.Second, time.Duration(s.TurnMS)*time.Millisecond)
	t.advance(time.Duration(s.TurnMS)*time.Millisecond + 8*time.Second)
	s = b.standing()
	t.checkEqual("what leaves with the next turn", engine.WindowSums{Calls: 2, Failures: 1}, s.Leaving)
	t.advance(time.Duration(s.TurnMS) * time.Millisecond)
	t.checkEqual("window that moved on without an outcome", engine.WindowSums{}, b.standing().Window)
}

// standingForeseesTrip takes a lone client to the trip, in steps that no other client
// disturbs, and wants the outlook to foresee it.
func standingForeseesTrip(t *testEnv) {
	for name, p := range map[string]engine.Policy{
		"streak": threeFailures,
		"rate":   {Window: engine.Window{Period: time.Hour, FailureRate: 0.5, MinCalls: 5}},
		"slow":   {Window: engine.Window{Period: time.Hour, SlowCallRate: 0.6, SlowCallDuration: time.Second, MinCalls: 3}},
		"count":  {Window: engine.Window{Calls: 8, FailureRate: 0.5}},
	} {
		a := t.bind(t.A, name, p)
		rules, err := p.Rules()
		if err != nil {
			t.Fatal(err)
		}
		a.call(engine.Success)
		s := a.standing()
		l := rules.Outlook(&s)
		for i := 0; ; i++ {
			o := []engine.Outcome{engine.SlowFailure, engine.SlowFailure, engine.Success}[i%3]
			if p.ConsecutiveFailures > 0 {
				o = engine.Failure
			}
			foreseen := l.Add(engine.Run{Outcome: o, N: 1})
			ticket := a.admit()
			_, err := a.Report(t.Context(), ticket, o, 0, nil)
			if err != nil {
				t.Fatalf("Report: %v", err)
			}
			if opened := t.inspectName(name).State == engine.StateOpen; opened != foreseen {
				t.Fatalf("%s: outcome %d opened the circuit: %t, foreseen: %t", name, i+1, opened, foreseen)
			}
			if foreseen {
				break
			}
		}
	}
}

func standingOfOthers(t *testEnv) {
	t.needs("Reporters", t.Reporters)
	p := threeFailures
	p.MinReporters = 2
	a, b := t.pair(p)
	a.fail(1)
	t.checkEqual("the other reporter of the one that failed", engine.OtherReporter{}, a.standing().Other)
	t.checkEqual("the other reporter of the one that did not", engine.OtherReporter{Seq: 1}, b.standing().Other)
}

// observed binds the breaker and observes it; the test is skipped if handles cannot be.
func (t *testEnv) observed() (b *breaker, seen *[]engine.Observation) {
	t.Helper()
	b = t.bind(t.A, name, threeFailures)
	observable, can := b.Handle.(engine.Observable)
	t.needs("observable handles, so WithMaxStaleness has no effect", can)
	seen = &[]engine.Observation{}
	observable.Observe(func(o engine.Observation) { *seen = append(*seen, o) })
	return b, seen
}

func observesSteps(t *testEnv) {
	b, seen := t.observed()
	before := b.Now()
	ticket := b.admit()
	after := b.Now()
	b.report(ticket, engine.Failure)
	b.step(engine.Batch{})
	if len(*seen) != 3 {
		t.Fatalf("%d observations of an admission, a report and a step", len(*seen))
	}
	for i, o := range *seen {
		if o.Reply == nil || o.Batch == nil || o.Epoch != 0 {
			t.Fatalf("observation %d of a step: %+v", i+1, o)
		}
		t.checkEqual("epoch", ticket.Epoch, o.Reply.Epoch)
		t.checkEqual("is the standing known", true, o.Reply.Standing.Known)
	}
	t.checkEqual("streaks", [3]int64{0, 1, 1}, [3]int64{(*seen)[0].Reply.Standing.Streak, (*seen)[1].Reply.Standing.Streak, (*seen)[2].Reply.Standing.Streak})
	t.checkEqual("admissions, outcomes", [2]int64{1, 1}, [2]int64{(*seen)[0].Batch.Admissions, (*seen)[1].Batch.Outcomes()})
	asked := (*seen)[0].AskedNS
	if asked < before || asked > after || (*seen)[1].AskedNS < after || (*seen)[2].AskedNS < (*seen)[1].AskedNS {
		t.Fatalf("asked at %d, between %d and %d; then at %d and %d", asked, before, after, (*seen)[1].AskedNS, (*seen)[2].AskedNS)
	}
	b.Handle.(engine.Observable).Observe(nil)
	b.admit()
	t.checkEqual("observations after the end", 3, len(*seen))
}

func observesCommands(t *testEnv) {
	b, seen := t.observed()
	b.admit()
	for _, c := range []engine.Command{{Action: engine.ActionTrip}, {Action: engine.ActionReset, IfEpoch: 7}} {
		before := len(*seen)
		_, err := b.Control(t.Context(), c)
		if c.IfEpoch == 0 && err != nil {
			t.Fatalf("Control: %v", err)
		}
		if len(*seen) != before+1 || (*seen)[before] != (engine.Observation{}) {
			t.Fatalf("%v was observed as %+v, want one empty observation", c.Action, (*seen)[before:])
		}
	}
}
