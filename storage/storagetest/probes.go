package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var probes = []test{
	{"at_most_n_across_both_clients", atMostProbes},
	{"first_success_closes_by_default", firstSuccessCloses},
	{"m_successes_close", successesClose},
	{"more_than_n_minus_m_failures_reopen", failuresReopen},
	{"lease_that_ran_out_frees_the_slot", leaseRunsOut},
	{"lease_ends_at_its_instant", leaseEndsExactly},
	{"retry_after_grows_with_the_round", probeHint},
	{"ignored_gives_the_slot_back", ignoredGivesBack},
	{"doubled_result_is_stale", doubledResult},
	{"foreign_lease_is_stale", foreignLease},
	{"slow_success_is_a_failure_where_slow_calls_count", slowProbe},
	{"step_grants_a_row_of_leases", grantRow},
}

// probing is a pair of clients in a round of n probes, m of which close it.
func (t *testEnv) probing(n, m int) (a, b *breaker) {
	t.Helper()
	a, b = t.pair(engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Probes: n, Successes: m}})
	a.act(engine.ActionHalfOpen)
	return a, b
}

func atMostProbes(t *testEnv) {
	a, b := t.probing(3, 1)
	leases := map[int64]bool{}
	for _, c := range []*breaker{a, b, a} {
		leases[c.admit().Lease] = true
	}
	if len(leases) != 3 || leases[0] {
		t.Fatalf("leases %v, want three different ones", leases)
	}
	for _, c := range []*breaker{a, b} {
		e := c.rejection()
		t.checkEqual("reason", engine.ReasonProbing, e.Reason)
		t.checkEqual("state", engine.StateHalfOpen, e.State)
		t.checkBetween("RetryAfter", 0, time.Hour, e.RetryAfter())
	}
	round := t.inspect().Probes
	t.checkEqual("round", &engine.ProbeRound{Probes: 3, Successes: 1, Lease: time.Hour, Granted: 3, Outstanding: 3}, round)
}

func firstSuccessCloses(t *testEnv) {
	a, b := t.probing(0, 0)
	a.call(engine.Success)
	b.admit()
	t.checkState(engine.StateClosed)
	t.checkEqual("cause", engine.CauseRecovered, t.lastTransition().Cause)
}

func successesClose(t *testEnv) {
	a, b := t.probing(3, 2)
	a.call(engine.Success)
	t.checkState(engine.StateHalfOpen)
	b.call(engine.Failure)
	t.checkState(engine.StateHalfOpen)
	b.call(engine.Success)
	t.checkState(engine.StateClosed)
	t.checkEqual("tally", "succeeded=2 failed=1 lapsed=0", t.lastTransition().Tally)
}

func failuresReopen(t *testEnv) {
	a, b := t.probing(3, 2)
	a.call(engine.Failure)
	t.checkState(engine.StateHalfOpen)
	b.call(engine.Failure)
	t.checkState(engine.StateOpen)
	t.checkEqual("cause", engine.CauseProbeFailed, t.lastTransition().Cause)
	a.reject()
}

func leaseRunsOut(t *testEnv) {
	a, b := t.pair(engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Lease: shortTime}})
	a.act(engine.ActionHalfOpen)
	held := a.admit()
	t.advance(shortTime)
	next := b.admit()
	if next.Lease == held.Lease {
		t.Fatalf("lease %d was granted twice", held.Lease)
	}
	t.checkEqual("lapsed", int64(1), t.inspect().Probes.Lapsed)
	t.checkEqual("late", 1, t.inspect().Probes.Late)
	a.report(held, engine.Success)
	t.checkState(engine.StateClosed)
	b.reportStale(next, engine.Success)
}

func leaseEndsExactly(t *testEnv) {
	t.needsAdvance()
	a, b := t.pair(engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Probes: 2, Successes: 2, Lease: 10 * time.Second}})
	a.act(engine.ActionHalfOpen)
	inTime, late := a.admit(), a.admit()
	t.advance(10*time.Second - time.Millisecond)
	t.checkAlmostOver(b.rejection())
	a.report(inTime, engine.Success)
	t.advance(time.Millisecond)
	b.admit()
	a.report(late, engine.Success)
	t.checkState(engine.StateClosed)
}

// probeHint: a caller need not wait for a whole lease after a quick recovery.
func probeHint(t *testEnv) {
	t.needsAdvance()
	a, b := t.probing(1, 1)
	a.admit()
	for _, test := range []struct{ passed, want time.Duration }{
		{0, 100 * time.Millisecond},
		{100 * time.Millisecond, 100 * time.Millisecond},
		{400 * time.Millisecond, 500 * time.Millisecond},
		{time.Hour - 501*time.Millisecond, time.Millisecond},
	} {
		t.advance(test.passed)
		t.checkEqual("RetryAfter", test.want, t.inspect().RetryAfter)
		r := b.step(engine.Batch{Admissions: 1})
		t.checkEqual("hint of a rejection", test.want, time.Duration(r.LeftMS)*time.Millisecond)
	}
}

func ignoredGivesBack(t *testEnv) {
	a, b := t.probing(1, 1)
	held := a.admit()
	b.reject()
	a.report(held, engine.Ignored)
	t.checkState(engine.StateHalfOpen)
	if next := b.admit(); next.Lease == held.Lease {
		t.Fatalf("lease %d was granted twice", held.Lease)
	}
}

func doubledResult(t *testEnv) {
	a, b := t.probing(3, 3)
	probe := a.admit()
	a.report(probe, engine.Success)
	a.reportStale(probe, engine.Success)
	b.reportStale(probe, engine.Success)
	t.checkEqual("succeeded", int64(1), t.inspect().Probes.Succeeded)
}

func foreignLease(t *testEnv) {
	a, b := t.probing(2, 1)
	probe := a.admit()
	for _, foreign := range []engine.Ticket{
		{Epoch: probe.Epoch, Lease: probe.Lease + 7},
		{Epoch: probe.Epoch + 1, Lease: probe.Lease},
		{Epoch: probe.Epoch}, // a call that was admitted, but not as a probe
	} {
		b.reportStale(foreign, engine.Success)
		b.reportStale(foreign, engine.Failure)
	}
	t.checkState(engine.StateHalfOpen)
	a.report(probe, engine.Success)
}

func slowProbe(t *testEnv) {
	for _, judge := range []struct {
		window engine.Window
		want   engine.State
	}{
		{engine.Window{Calls: 10, FailureCount: 5}, engine.StateClosed},
		{engine.Window{Calls: 10, SlowCallRate: 0.5, SlowCallDuration: time.Second}, engine.StateOpen},
	} {
		a := t.bind(t.A, name, windowed(judge.window))
		a.act(engine.ActionHalfOpen)
		a.call(engine.SlowSuccess)
		t.checkState(judge.want)
	}
}

func grantRow(t *testEnv) {
	a, b := t.probing(5, 1)
	r := a.step(engine.Batch{Admissions: 3})
	t.checkEqual("granted, first lease", [2]int64{3, 1}, [2]int64{r.Granted, r.FirstLease})
	r = b.step(engine.Batch{Admissions: 3})
	t.checkEqual("granted, first lease", [2]int64{2, 4}, [2]int64{r.Granted, r.FirstLease})
	r = b.step(engine.Batch{Admissions: 3})
	t.checkEqual("granted", int64(0), r.Granted)
}
