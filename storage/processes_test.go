package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// These tests run processes of their own against one real server. What they
// assert is in answers and in the server's record, never in how long it took.

// Five failures anywhere: the next call is rejected everywhere.
func TestProcesses_failuresAnywhereRejectEverywhere(t *testing.T) {
	addr, ns := redistest.Addr(t), redistest.Namespace(t)
	children := startChildren(t, 6, addr, ns, engine.Policy{OpenFor: time.Hour})
	for i, c := range children[:5] {
		if got := c.ask("call"); got != "admitted" {
			t.Errorf("call %d: %s", i+1, got)
		}
		if got := c.ask("fail"); got != "stale false, <nil>" {
			t.Errorf("report %d: %s", i+1, got)
		}
	}
	for i, c := range children {
		if got := c.ask("call"); got != "rejected: open" {
			t.Errorf("process %d after five failures: %s", i, got)
		}
	}
	if got := record(t, ns); got.State != engine.StateOpen || got.Log[1].By != "web-4" {
		t.Errorf("the record: %v, log %v", got.State, got.Log)
	}
}

// Every failure is counted once, however many report at the same time: the sum
// of all replies equals the count in the record.
func TestProcesses_everyFailureCounts(t *testing.T) {
	const processes, goroutines, each = 8, 256, 4
	addr, ns := redistest.Addr(t), redistest.Namespace(t)
	children := startChildren(t, processes, addr, ns, neverOpens)
	for _, c := range children {
		c.tell("fails %d %d", goroutines, each)
	}
	for i, c := range children {
		if got, want := c.answer(), fmt.Sprint(goroutines*each); got != want {
			t.Errorf("process %d: %s failures were counted, want %s", i, got, want)
		}
	}
	if got, want := record(t, ns).Streak, int64(processes*goroutines*each); got != want {
		t.Errorf("the record counts %d failures, want %d", got, want)
	}
}

// F41: of a thousand callers in eight processes that wait for the end of the open
// period, exactly as many pass as there are probes.
func TestProcesses_herdAtHalfOpen(t *testing.T) {
	const processes, each, probes = 8, 125, 3
	addr, ns := redistest.Addr(t), redistest.Namespace(t)
	policy := engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Probes: probes, Successes: 2, Lease: time.Hour}}
	children := startChildren(t, processes, addr, ns, policy)
	for _, c := range children {
		if got := c.ask("call"); got != "admitted" { // all are there
			t.Fatal(got)
		}
	}
	s, h := member(t, ns, policy)
	command(t, h, engine.Command{Action: engine.ActionTrip, For: 300 * time.Millisecond})
	for _, c := range children {
		c.tell("herd %d", each)
	}
	total := map[string]int{}
	for _, c := range children {
		tally := map[string]int{}
		must(t, json.Unmarshal([]byte(c.answer()), &tally))
		for what, n := range tally {
			total[what] += n
		}
	}
	if total["admitted"] != probes || total["rejected: probing"] != processes*each-probes {
		t.Errorf("%v, want %d admitted and the others rejected: probing", total, probes)
	}
	if got := inspect(t, s); got.State != engine.StateHalfOpen || got.Probes.Granted != probes {
		t.Errorf("the record: %v, %+v", got.State, got.Probes)
	}
}

// F37: a probe whose holder was killed delays the next one by its lease and no
// more.
func TestProcesses_probeHolderKilled(t *testing.T) {
	// On a busy machine the next probe's lease may end too, before the test has looked.
	lease := 300 * time.Millisecond
	for !replaceKilledHolder(t, lease) {
		if lease *= 2; lease > time.Minute {
			t.Fatalf("a lease of %v is too short for one call", lease/2)
		}
	}
}

// replaceKilledHolder kills the holder of a probe and makes the next one. It returns
// false if the lease of that ended meanwhile.
func replaceKilledHolder(t *testing.T, lease time.Duration) bool {
	t.Helper()
	addr, ns := redistest.Addr(t), redistest.Namespace(t)
	policy := engine.Policy{OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Lease: lease}}
	s, h := member(t, ns, policy)
	command(t, h, engine.Command{Action: engine.ActionTrip, For: time.Millisecond})
	holder := startChildren(t, 1, addr, ns, policy)[0]
	if got := holder.ask("patient"); got != "admitted" {
		t.Fatal(got)
	}
	holder.kill()

	// A caller that waits for as long as its rejections say is admitted soon, and no
	// rejection said more than the lease.
	var next engine.Ticket
	for rejections := 0; ; rejections++ {
		var err error
		next, err = h.Acquire(ctx)
		if err == nil {
			break
		}
		var rejected *engine.RejectedError
		if !errors.As(err, &rejected) || rejected.Reason != engine.ReasonProbing || rejected.RetryAfter() > lease || rejections > 5 {
			t.Fatalf("rejection %d: %v", rejections+1, err)
		}
		time.Sleep(rejected.RetryAfter())
	}
	got := inspect(t, s)
	if got.Age < lease {
		t.Errorf("the next probe came %v after the first, whose lease is %v", got.Age, lease)
	}
	report(t, h, next, engine.Success)
	if closed := inspect(t, s); closed.State != engine.StateClosed {
		t.Errorf("after the next probe's success: %v", closed.State)
	}
	if got.Age >= 2*lease {
		return false
	}
	if got.State != engine.StateHalfOpen || got.Probes.Granted != 2 || got.Probes.Lapsed != 1 {
		t.Errorf("the record: %v, %+v", got.State, got.Probes)
	}
	return true
}

// F39: a result of an earlier epoch changes nothing, whatever the state is now.
func TestProcesses_lateResult(t *testing.T) {
	addr, ns := redistest.Addr(t), redistest.Namespace(t)
	_, h := member(t, ns, opensAtOnce)
	late := startChildren(t, 1, addr, ns, opensAtOnce)[0]
	for what, to := range map[string][]engine.Command{
		"open":                 {{Action: engine.ActionTrip}},
		"half-open":            {{Action: engine.ActionHalfOpen}},
		"closed again":         {{Action: engine.ActionTrip}, {Action: engine.ActionReset}},
		"forced":               {{Action: engine.ActionForceClosed}},
		"shadow, closed again": {{Action: engine.ActionShadow}, {Action: engine.ActionTrip}, {Action: engine.ActionReset}},
	} {
		command(t, h, engine.Command{Action: engine.ActionRelease})
		command(t, h, engine.Command{Action: engine.ActionReset})
		if got := late.ask("call"); got != "admitted" {
			t.Fatalf("%s: %s", what, got)
		}
		for _, c := range to {
			command(t, h, c)
		}
		rdb := redistest.Client(t)
		before := content(t, rdb, ns+":{"+name+"}")
		for _, verb := range []string{"fail", "succeed"} {
			if got := late.ask(verb); got != "stale true, <nil>" {
				t.Errorf("%s: a late %s: %s", what, verb, got)
			}
		}
		wantSame(t, rdb, ns+":{"+name+"}", before)
	}
}

// ---- helpers ----

// member is this process's own storage and handle of the children's fleet.
func member(t *testing.T, ns string, p engine.Policy) (*storage.Redis, engine.Handle) {
	t.Helper()
	s := newStorage(t, redistest.Client(t), storage.WithNamespace(ns))
	h, _ := bind(t, s, p)
	return s, h
}

func record(t *testing.T, ns string) engine.Snapshot {
	t.Helper()
	s, _ := member(t, ns, engine.Policy{})
	return inspect(t, s)
}
