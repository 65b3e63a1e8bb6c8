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
	{"ignored_gives_the_slot_back", ignoredGivesBack},
	{"doubled_result_is_stale", doubledResult},
	{"foreign_lease_is_stale", foreignLease},
	{"slow_success_is_a_failure_where_slow_calls_count", slowProbe},
	{"step_grants_a_row_of_leases", grantRow},
}

// probing is a pair of clients in a round of n probes, m of which close it.
func (t *env) probing(n, m int) (a, b *breaker) {
	t.Helper()
	a, b = t.pair(engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Probes: n, Successes: m}})
	a.act(engine.ActionHalfOpen)
	return a, b
}

func atMostProbes(t *env) {
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
		t.equal("reason", engine.ReasonProbing, e.Reason)
		t.equal("state", engine.StateHalfOpen, e.State)
		t.between("RetryAfter", 0, time.Hour, e.RetryAfter())
	}
	round := t.inspect().Probes
	t.equal("round", &engine.ProbeRound{Probes: 3, Successes: 1, Lease: time.Hour, Granted: 3, Outstanding: 3}, round)
}

func firstSuccessCloses(t *env) {
	a, b := t.probing(0, 0)
	a.call(engine.Success)
	b.admit()
	t.state(engine.StateClosed)
	t.equal("cause", engine.CauseRecovered, t.last().Cause)
}

func successesClose(t *env) {
	a, b := t.probing(3, 2)
	a.call(engine.Success)
	t.state(engine.StateHalfOpen)
	b.call(engine.Failure)
	t.state(engine.StateHalfOpen)
	b.call(engine.Success)
	t.state(engine.StateClosed)
	t.equal("tally", "succeeded=2 failed=1 lapsed=0", t.last().Tally)
}

func failuresReopen(t *env) {
	a, b := t.probing(3, 2)
	a.call(engine.Failure)
	t.state(engine.StateHalfOpen)
	b.call(engine.Failure)
	t.state(engine.StateOpen)
	t.equal("cause", engine.CauseProbeFailed, t.last().Cause)
	a.reject()
}

func leaseRunsOut(t *env) {
	a, b := t.pair(engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Lease: brief}})
	a.act(engine.ActionHalfOpen)
	held := a.admit()
	t.pass(brief)
	next := b.admit()
	if next.Lease == held.Lease {
		t.Fatalf("lease %d was granted twice", held.Lease)
	}
	t.equal("lapsed", int64(1), t.inspect().Probes.Lapsed)
	a.stale(held, engine.Success)
	t.state(engine.StateHalfOpen)
}

func leaseEndsExactly(t *env) {
	t.exact()
	a, b := t.pair(engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Probes: 2, Successes: 2, Lease: 10 * time.Second}})
	a.act(engine.ActionHalfOpen)
	inTime, late := a.admit(), a.admit()
	t.pass(10*time.Second - time.Millisecond)
	t.almostOver(b.rejection())
	a.report(inTime, engine.Success)
	t.pass(time.Millisecond)
	a.stale(late, engine.Success)
	b.admit()
}

func ignoredGivesBack(t *env) {
	a, b := t.probing(1, 1)
	held := a.admit()
	b.reject()
	a.report(held, engine.Ignored)
	t.state(engine.StateHalfOpen)
	if next := b.admit(); next.Lease == held.Lease {
		t.Fatalf("lease %d was granted twice", held.Lease)
	}
}

func doubledResult(t *env) {
	a, b := t.probing(3, 3)
	probe := a.admit()
	a.report(probe, engine.Success)
	a.stale(probe, engine.Success)
	b.stale(probe, engine.Success)
	t.equal("succeeded", int64(1), t.inspect().Probes.Succeeded)
}

func foreignLease(t *env) {
	a, b := t.probing(2, 1)
	probe := a.admit()
	for _, foreign := range []engine.Ticket{
		{Epoch: probe.Epoch, Lease: probe.Lease + 7},
		{Epoch: probe.Epoch + 1, Lease: probe.Lease},
		{Epoch: probe.Epoch}, // a call that was admitted, but not as a probe
	} {
		b.stale(foreign, engine.Success)
		b.stale(foreign, engine.Failure)
	}
	t.state(engine.StateHalfOpen)
	a.report(probe, engine.Success)
}

func slowProbe(t *env) {
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
		t.state(judge.want)
	}
}

func grantRow(t *env) {
	a, b := t.probing(5, 1)
	r := a.step(engine.Batch{Admissions: 3})
	t.equal("granted, first lease", [2]int64{3, 1}, [2]int64{r.Granted, r.FirstLease})
	r = b.step(engine.Batch{Admissions: 3})
	t.equal("granted, first lease", [2]int64{2, 4}, [2]int64{r.Granted, r.FirstLease})
	r = b.step(engine.Batch{Admissions: 3})
	t.equal("granted", int64(0), r.Granted)
}
