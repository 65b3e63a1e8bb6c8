package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var counting = []test{
	{"success_ends_the_streak", successEndsStreak},
	{"both_clients_count_together", clientsCountTogether},
	{"slow_success_ends_the_streak", slowSuccessEndsStreak},
	{"slow_failure_is_a_failure", slowFailureIsFailure},
	{"ignored_counts_nothing", ignoredCountsNothing},
	{"uncounted_ticket_counts_nothing", uncountedTicket},
	{"ticket_is_settled_by_the_other_client", settledByOther},
	{"time_of_the_end_may_be_given", timeGiven},
	{"reporting_policy_judges", reportingPolicyJudges},
	{"transition_names_its_cause", transitionNamesCause},
}

func successEndsStreak(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.call(engine.Failure, engine.Failure, engine.Success, engine.Failure, engine.Failure)
	t.checkEqual("streak", int64(2), t.inspect().Streak)
	t.checkState(engine.StateClosed)
	a.call(engine.Failure)
	t.checkState(engine.StateOpen)
}

func clientsCountTogether(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.call(engine.Failure)
	b.call(engine.Failure)
	t.checkEqual("streak", int64(2), t.inspect().Streak)
	a.call(engine.Failure)
	t.checkState(engine.StateOpen)
}

func slowSuccessEndsStreak(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.call(engine.Failure, engine.Failure, engine.SlowSuccess)
	t.checkEqual("streak", int64(0), t.inspect().Streak)
}

func slowFailureIsFailure(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.call(engine.SlowFailure, engine.Failure, engine.SlowFailure)
	t.checkState(engine.StateOpen)
}

func ignoredCountsNothing(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, Window: engine.Window{Calls: 10, FailureCount: 10}})
	a.call(engine.Failure)
	before := t.inspect()
	a.call(engine.Ignored)
	a.step(results(a.admit(), engine.Run{Outcome: engine.Ignored, N: 3}))
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func uncountedTicket(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.admit()
	before := t.inspect()
	for range 5 {
		a.report(engine.Ticket{}, engine.Failure)
	}
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func settledByOther(t *testEnv) {
	a, b := t.pair(threeFailures)
	b.report(a.admit(), engine.Failure)
	t.checkEqual("streak", int64(1), t.inspect().Streak)
}

func timeGiven(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ticket := a.admit()
	at := a.Now()
	if at <= 0 {
		t.Fatalf("Now is %d, want above 0", at)
	}
	stale, err := a.Report(t.Context(), ticket, engine.Failure, at, nil)
	if stale || err != nil {
		t.Fatalf("Report: stale %v, error %v", stale, err)
	}
	if later := a.Now(); later < at {
		t.Fatalf("Now went back from %d to %d", at, later)
	}
	t.checkEqual("streak", int64(1), t.inspect().Streak)
}

// reportingPolicyJudges: a fleet in the middle of a rollout has two policies.
func reportingPolicyJudges(t *testEnv) {
	patient := t.bind(t.A, name, engine.Policy{ConsecutiveFailures: 10, OpenFor: time.Hour})
	strict := t.bind(t.B, name, engine.Policy{ConsecutiveFailures: 4, OpenFor: 2 * time.Hour})
	patient.fail(5)
	t.checkState(engine.StateClosed)
	strict.fail(1)
	t.checkState(engine.StateOpen)
	t.checkEqual("open period", 2*time.Hour, t.inspect().OpenFor)
}

func transitionNamesCause(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(2)
	a.settle(a.admit(), engine.Failure, &engine.Detail{Text: "*net.OpError"}, false)
	last := t.lastTransition()
	t.checkEqual("from", engine.StateClosed, last.From)
	t.checkEqual("to", engine.StateOpen, last.To)
	t.checkEqual("name", name, last.Name)
	t.checkEqual("tally", "streak=3 calls=0 failures=0 slow=0", last.Tally)
	t.checkEqual("text", "*net.OpError", last.Text)
	s := t.inspect()
	t.checkEqual("streak after the transition", int64(0), s.Streak)
	t.checkEqual("epoch", s.Epoch, last.Epoch)
}
