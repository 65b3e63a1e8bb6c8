package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/internal/scenario"
	"github.com/redbreaker/redbreaker/scripts"
)

// TestLua_leavesNothing: a transition removes the fields that it takes out of use.
// An operator who reads the hash is not misled, and inspections do not pay for a
// ring of 17 KB that no policy uses any more.
func TestLua_leavesNothing(t *testing.T) {
	rdb := redistest.Client(t)
	twin := &scenario.Lua{Name: "redis", Redis: rdb, Key: redistest.Namespace(t) + ":{a}"}
	var pure engine.Record
	var epoch, now int64 = 0, 1_000_000
	var rules engine.Rules
	step := func(b engine.Batch) engine.Reply {
		t.Helper()
		want := pure.Step(&rules, now, 0, b)
		got, err := scripts.DecodeStep(eval(t, twin, "step", now, scripts.StepArgs(&rules, 0, b)), &rules, b)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("reply, %v (-pure +lua):\n%s", err, diff)
		}
		epoch = got.Epoch
		return got
	}
	report := func(ticket engine.Ticket, runs ...engine.Run) {
		t.Helper()
		step(engine.Batch{Reporter: "web-1", Results: []engine.Result{{Ticket: ticket, Runs: runs}}})
	}
	control := func(c engine.Command) {
		t.Helper()
		_, want := pure.Control(&rules, now, 0, c)
		if _, err := scripts.DecodeControl(eval(t, twin, "control", now, scripts.ControlArgs(&rules, false, 0, c))); err != want {
			t.Fatalf("%v: %v, want %v", c.Action, err, want)
		}
		epoch = pure.Snapshot("", now).Epoch
	}
	use := func(p engine.Policy) {
		t.Helper()
		var err error
		if rules, err = p.Rules(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(after string) {
		t.Helper()
		var want []string
		for _, f := range pure.Fields() {
			want = append(want, f.Name)
		}
		got := rdb.HKeys(t.Context(), twin.Key).Val()
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fields after %s (-pure +lua):\n%s", after, diff)
		}
	}

	use(engine.Policy{Window: engine.Window{Calls: engine.MaxCalls, FailureCount: engine.MaxCalls}, MinReporters: 2})
	step(engine.Batch{Admissions: 1})
	check("the record was created")
	report(engine.Ticket{Epoch: epoch}, engine.Run{Outcome: engine.Success, N: 9000}, engine.Run{Outcome: engine.Failure, N: 2})
	check("9002 outcomes")
	control(engine.Command{Action: engine.ActionReset})
	check("a reset of a count window")
	report(engine.Ticket{Epoch: epoch}, engine.Run{Outcome: engine.Failure, N: 300})
	use(engine.Policy{ConsecutiveFailures: 1, HalfOpen: engine.HalfOpen{Probes: 2, Successes: 2}})
	report(engine.Ticket{Epoch: epoch}, engine.Run{Outcome: engine.Failure, N: 1})
	check("a policy without a window opened the circuit")
	now += 60_000
	r := step(engine.Batch{Admissions: 2})
	check("a round began")
	report(engine.Ticket{Epoch: epoch, Lease: r.FirstLease}, engine.Run{Outcome: engine.Success, N: 1})
	report(engine.Ticket{Epoch: epoch, Lease: r.FirstLease + 1}, engine.Run{Outcome: engine.Success, N: 1})
	check("the circuit recovered")
	control(engine.Command{Action: engine.ActionForceOpen, For: time.Second})
	check("forced open")
	now += 1000
	step(engine.Batch{})
	check("the mode ended")
	control(engine.Command{Action: engine.ActionHalfOpen})
	control(engine.Command{Action: engine.ActionShadow})
	check("half-open in shadow")
	control(engine.Command{Action: engine.ActionRelease})
	check("a release")
	use(engine.Policy{Window: engine.Window{Period: 10 * time.Second, FailureCount: 3}})
	for range 3 {
		report(engine.Ticket{Epoch: epoch}, engine.Run{Outcome: engine.Failure, N: 1})
		check("a failure in a time window")
		now += 1000
	}
	check("a time window opened the circuit")
	control(engine.Command{Action: engine.ActionShadow, For: time.Second})
	now += 1000
	control(engine.Command{Action: engine.ActionShadow})
	check("a mode ended and began in one step")
	if all := rdb.HGetAll(t.Context(), twin.Key).Val(); len(all) == 0 || slices.Contains(slicesOfValues(all), "") {
		t.Errorf("an empty field: %v", all)
	}
}

func slicesOfValues(m map[string]string) []string {
	var list []string
	for _, v := range m {
		list = append(list, v)
	}
	return list
}
