package storagetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var batches = []test{
	{"equal_one_by_one", batchEqualsOneByOne},
	{"equal_one_by_one_at_the_turn_of_a_window", batchAtTurn},
	{"outcomes_after_a_trip_are_stale", afterTripStale},
	{"results_come_before_admissions", resultsFirst},
	{"results_of_several_tickets", severalTickets},
	{"admissions_while_closed", manyAdmissions},
	{"reply_describes_the_breaker", replyDescribes},
	{"largest_allowed", largestBatch},
}

func batchEqualsOneByOne(t *testEnv) {
	p := engine.Policy{
		ConsecutiveFailures: 6, OpenFor: time.Hour,
		Window: engine.Window{Calls: 20, FailureRate: 0.7, SlowCallRate: 0.6, SlowCallDuration: time.Second, MinCalls: 12},
	}
	tripped := 0
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 0))
		whole := t.bind(t.A, fmt.Sprintf("whole-%d", seed), p)
		single := t.bind(t.B, fmt.Sprintf("single-%d", seed), p)
		batch, ticket := results(whole.admit()), single.admit()
		applied := int64(0)
		for range 12 {
			run := engine.Run{Outcome: engine.Success + engine.Outcome(random.IntN(5)), N: 1 + random.Int64N(4)}
			batch.Results[0].Runs = append(batch.Results[0].Runs, run)
			for range run.N {
				applied += single.step(results(ticket, engine.Run{Outcome: run.Outcome, N: 1})).Applied
			}
		}
		t.checkEqual("applied", applied, whole.step(batch).Applied)
		want := history(t.inspectName(fmt.Sprintf("single-%d", seed)))
		t.checkEqual("record", want, history(t.inspectName(fmt.Sprintf("whole-%d", seed))))
		if want[0] == "open" {
			tripped++
		}
	}
	if tripped == 0 || tripped == 12 {
		t.Fatalf("%d of 12 sequences trip, which proves little", tripped)
	}
}

// batchAtTurn: two policies share a record. A run of the second one fills the first
// one's window, which then gives way within the run.
func batchAtTurn(t *testEnv) {
	t.needsAdvance()
	first := engine.Policy{OpenFor: time.Hour, Window: engine.Window{Calls: 3, FailureCount: 3}}
	second := engine.Policy{OpenFor: time.Hour, Window: engine.Window{Calls: 2, FailureCount: 2}}
	run := func(name string, n int64, times int) ([]string, int64) {
		t.bind(t.A, name, first).call(engine.Success)
		t.advance(time.Minute)
		b := t.bind(t.B, name, second)
		ticket, applied := b.admit(), int64(0)
		for range times {
			applied += b.step(results(ticket, engine.Run{Outcome: engine.Failure, N: n})).Applied
		}
		return history(t.inspectName(name)), applied
	}
	want, wantApplied := run("single", 1, 1000)
	got, applied := run("whole", 1000, 1)
	t.checkEqual("record", want, got)
	t.checkEqual("applied", wantApplied, applied)
	t.checkEqual("outcomes until the circuit opens", int64(4), applied)
}

// history lists the properties that two records of the same outcomes share.
func history(s engine.Snapshot) []string {
	h := []string{s.State.String(), fmt.Sprint(s.Streak, s.Calls, s.Failures, s.Slow, s.Trips)}
	for _, l := range s.Log {
		h = append(h, l.String())
	}
	return h
}

func afterTripStale(t *testEnv) {
	a, _ := t.pair(threeFailures)
	r := a.step(results(a.admit(), engine.Run{Outcome: engine.Failure, N: 5}, engine.Run{Outcome: engine.Success, N: 2}))
	t.checkEqual("applied, stale", [2]int64{3, 4}, [2]int64{r.Applied, r.Stale})
	t.checkEqual("cause", engine.CauseConsecutive, r.Transition.Cause)
	t.checkState(engine.StateOpen)
}

func resultsFirst(t *testEnv) {
	a, _ := t.pair(threeFailures)
	b := results(a.admit(), engine.Run{Outcome: engine.Failure, N: 3})
	b.Admissions = 2
	r := a.step(b)
	t.checkEqual("granted", int64(0), r.Granted)
	t.checkEqual("state", engine.StateOpen, r.State)

	a.act(engine.ActionHalfOpen)
	b = results(a.admit(), engine.Run{Outcome: engine.Success, N: 1})
	b.Admissions = 2
	r = a.step(b)
	t.checkEqual("granted, first lease", [2]int64{2, 0}, [2]int64{r.Granted, r.FirstLease})
	t.checkEqual("state", engine.StateClosed, r.State)
}

func severalTickets(t *testEnv) {
	a, b := t.probing(4, 4)
	first, second := a.admit(), b.admit()
	r := a.step(engine.Batch{Results: []engine.Result{
		{Ticket: first, Runs: []engine.Run{{Outcome: engine.Success, N: 1}}},
		{Ticket: engine.Ticket{Epoch: first.Epoch + 1}, Runs: []engine.Run{{Outcome: engine.Failure, N: 2}}},
		{Ticket: second, Runs: []engine.Run{{Outcome: engine.Ignored, N: 1}}},
		{Ticket: second, Runs: []engine.Run{{Outcome: engine.Failure, N: 1}}},
	}})
	t.checkEqual("applied, stale", [2]int64{2, 3}, [2]int64{r.Applied, r.Stale})
	round := t.inspect().Probes
	t.checkEqual("succeeded, failed", [2]int64{1, 0}, [2]int64{round.Succeeded, round.Failed})
}

func manyAdmissions(t *testEnv) {
	a, _ := t.pair(threeFailures)
	r := a.step(engine.Batch{Admissions: 100})
	t.checkEqual("granted, first lease", [2]int64{100, 0}, [2]int64{r.Granted, r.FirstLease})
	t.checkEqual("admits without tickets", false, r.AdmitsUncounted())
	a.act(engine.ActionForceClosed)
	r = a.step(engine.Batch{Admissions: 100})
	t.checkEqual("granted", int64(0), r.Granted)
	t.checkEqual("admits without tickets", true, r.AdmitsUncounted())
}

func replyDescribes(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(3)
	r := a.step(engine.Batch{Admissions: 1})
	s := t.inspect()
	t.checkEqual("state", s.State, r.State)
	t.checkEqual("mode", s.Mode, r.Mode)
	t.checkEqual("epoch", s.Epoch, r.Epoch)
	t.checkEqual("policy", s.Fingerprint, r.Policy)
	t.checkBetween("left", 0, time.Hour, time.Duration(r.LeftMS)*time.Millisecond)
}

func largestBatch(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: engine.MaxBatch + 1, Window: engine.Window{Calls: engine.MaxCalls, FailureCount: engine.MaxCalls}})
	b := results(a.admit(), engine.Run{Outcome: engine.Failure, N: engine.MaxBatch - 1}, engine.Run{Outcome: engine.Success, N: 1})
	b.Admissions = engine.MaxBatch
	r := a.step(b)
	t.checkEqual("applied, granted", [2]int64{engine.MaxBatch, engine.MaxBatch}, [2]int64{r.Applied, r.Granted})
	s := t.inspect()
	t.checkEqual("calls, failures", [2]int64{engine.MaxBatch, engine.MaxBatch - 1}, [2]int64{s.Calls, s.Failures})
}
