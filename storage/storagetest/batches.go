package storagetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var batches = []test{
	{"equal_one_by_one", batchEqualsOneByOne},
	{"what_follows_a_trip_is_stale", afterTripStale},
	{"results_come_before_admissions", resultsFirst},
	{"results_of_several_tickets", severalTickets},
	{"admissions_while_closed", manyAdmissions},
	{"reply_tells_where_the_breaker_stands", replyTells},
	{"as_large_as_may_be", largestBatch},
}

func batchEqualsOneByOne(t *env) {
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
		t.equal("applied", applied, whole.step(batch).Applied)
		want := history(t.inspectName(fmt.Sprintf("single-%d", seed)))
		t.equal("record", want, history(t.inspectName(fmt.Sprintf("whole-%d", seed))))
		if want[0] == "open" {
			tripped++
		}
	}
	if tripped == 0 || tripped == 12 {
		t.Fatalf("%d of 12 sequences trip, which proves little", tripped)
	}
}

// history is what two records of the same outcomes have in common.
func history(s engine.Snapshot) []string {
	h := []string{s.State.String(), fmt.Sprint(s.Streak, s.Calls, s.Failures, s.Slow, s.Trips)}
	for _, l := range s.Log {
		h = append(h, l.String())
	}
	return h
}

func afterTripStale(t *env) {
	a, _ := t.pair(three)
	r := a.step(results(a.admit(), engine.Run{Outcome: engine.Failure, N: 5}, engine.Run{Outcome: engine.Success, N: 2}))
	t.equal("applied, stale", [2]int64{3, 4}, [2]int64{r.Applied, r.Stale})
	t.equal("cause", engine.CauseConsecutive, r.Transition.Cause)
	t.state(engine.StateOpen)
}

func resultsFirst(t *env) {
	a, _ := t.pair(three)
	b := results(a.admit(), engine.Run{Outcome: engine.Failure, N: 3})
	b.Admissions = 2
	r := a.step(b)
	t.equal("granted", int64(0), r.Granted)
	t.equal("state", engine.StateOpen, r.State)

	a.act(engine.ActionHalfOpen)
	b = results(a.admit(), engine.Run{Outcome: engine.Success, N: 1})
	b.Admissions = 2
	r = a.step(b)
	t.equal("granted, first lease", [2]int64{2, 0}, [2]int64{r.Granted, r.FirstLease})
	t.equal("state", engine.StateClosed, r.State)
}

func severalTickets(t *env) {
	a, b := t.probing(4, 4)
	first, second := a.admit(), b.admit()
	r := a.step(engine.Batch{Results: []engine.Result{
		{Ticket: first, Runs: []engine.Run{{Outcome: engine.Success, N: 1}}},
		{Ticket: engine.Ticket{Epoch: first.Epoch + 1}, Runs: []engine.Run{{Outcome: engine.Failure, N: 2}}},
		{Ticket: second, Runs: []engine.Run{{Outcome: engine.Ignored, N: 1}}},
		{Ticket: second, Runs: []engine.Run{{Outcome: engine.Failure, N: 1}}},
	}})
	t.equal("applied, stale", [2]int64{2, 3}, [2]int64{r.Applied, r.Stale})
	round := t.inspect().Probes
	t.equal("succeeded, failed", [2]int64{1, 0}, [2]int64{round.Succeeded, round.Failed})
}

func manyAdmissions(t *env) {
	a, _ := t.pair(three)
	r := a.step(engine.Batch{Admissions: 100})
	t.equal("granted, first lease", [2]int64{100, 0}, [2]int64{r.Granted, r.FirstLease})
	t.equal("admits without tickets", false, r.AdmitsUncounted())
	a.act(engine.ActionForceClosed)
	r = a.step(engine.Batch{Admissions: 100})
	t.equal("granted", int64(0), r.Granted)
	t.equal("admits without tickets", true, r.AdmitsUncounted())
}

func replyTells(t *env) {
	a, _ := t.pair(three)
	a.fail(3)
	r := a.step(engine.Batch{Admissions: 1})
	s := t.inspect()
	t.equal("state", s.State, r.State)
	t.equal("mode", s.Mode, r.Mode)
	t.equal("epoch", s.Epoch, r.Epoch)
	t.equal("policy", s.Fingerprint, r.Policy)
	t.between("left", 0, time.Hour, time.Duration(r.LeftMS)*time.Millisecond)
}

func largestBatch(t *env) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: engine.MaxBatch + 1, Window: engine.Window{Calls: engine.MaxCalls, FailureCount: engine.MaxCalls}})
	b := results(a.admit(), engine.Run{Outcome: engine.Failure, N: engine.MaxBatch - 1}, engine.Run{Outcome: engine.Success, N: 1})
	b.Admissions = engine.MaxBatch
	r := a.step(b)
	t.equal("applied, granted", [2]int64{engine.MaxBatch, engine.MaxBatch}, [2]int64{r.Applied, r.Granted})
	s := t.inspect()
	t.equal("calls, failures", [2]int64{engine.MaxBatch, engine.MaxBatch - 1}, [2]int64{s.Calls, s.Failures})
}
