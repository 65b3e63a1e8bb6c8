package explain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/engine"
)

// start is the time of the storage's clock at which each record begins.
const start = 1_000_000_000

// bench is a record that a test drives through the machine.
type bench struct {
	t     testing.TB
	r     engine.Record
	rules engine.Rules
	now   int64
}

func newBench(t testing.TB, p engine.Policy) *bench {
	t.Helper()
	rules, err := p.Rules()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, rules: rules, now: start}
	b.r.Step(&b.rules, b.now, 0, engine.Batch{})
	return b
}

// after lets time pass.
func (b *bench) after(d time.Duration) *bench {
	b.now += d.Milliseconds()
	return b
}

// report reports outcomes of the present epoch.
func (b *bench) report(by, text string, outcomes ...engine.Outcome) *bench {
	for _, o := range outcomes {
		epoch := b.r.Snapshot("x", b.now).Epoch
		b.r.Step(&b.rules, b.now, 0, engine.Batch{
			Reporter: by, Detail: engine.Detail{Text: text},
			Results: []engine.Result{{Ticket: engine.Ticket{Epoch: epoch}, Runs: []engine.Run{{Outcome: o, N: 1}}}},
		})
	}
	return b
}

func (b *bench) admit(n int64) engine.Reply {
	return b.r.Step(&b.rules, b.now, 0, engine.Batch{Admissions: n})
}

// probe makes a call that is a probe and reports its outcome.
func (b *bench) probe(o engine.Outcome) *bench {
	b.t.Helper()
	reply := b.admit(1)
	if reply.FirstLease == 0 {
		b.t.Fatal("no probe was admitted")
	}
	b.r.Step(&b.rules, b.now, 0, engine.Batch{Reporter: "web-3", Results: []engine.Result{{
		Ticket: engine.Ticket{Epoch: reply.Epoch, Lease: reply.FirstLease}, Runs: []engine.Run{{Outcome: o, N: 1}},
	}}})
	return b
}

func (b *bench) command(c engine.Command) *bench {
	b.t.Helper()
	if _, err := b.r.Control(&b.rules, b.now, 0, c); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// repeat returns n equal outcomes.
func repeat(o engine.Outcome, n int) []engine.Outcome {
	all := make([]engine.Outcome, n)
	for i := range all {
		all[i] = o
	}
	return all
}

func TestText(t *testing.T) {
	rate := engine.Policy{Window: engine.Window{Period: time.Minute, FailureRate: 0.5}}
	streak := engine.Policy{ConsecutiveFailures: 3, OpenFor: 90 * time.Second, Backoff: engine.Backoff{Multiplier: 2}}
	both := engine.Policy{
		ConsecutiveFailures: 5, MinReporters: 2,
		Window: engine.Window{Calls: 20, FailureCount: 8, SlowCallRate: 0.255, SlowCallDuration: time.Second, MinCalls: 10},
	}
	round := engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute, HalfOpen: engine.HalfOpen{Probes: 3, Successes: 2, Lease: 10 * time.Second}}
	ramp := engine.Policy{ConsecutiveFailures: 1, Ramp: engine.Ramp{Over: time.Minute, From: 0.25}}
	shadow := engine.Command{Action: engine.ActionShadow, Actor: "ann@desk", Reason: "rollout"}
	for _, tt := range []struct {
		name string
		b    *bench
		want string
	}{
		{"one failure from a rate", newBench(t, rate).after(3*time.Minute).report("web-1", "", repeat(engine.Success, 5)...).report("web-1", "", repeat(engine.Failure, 4)...),
			`"x" has been closed for 3m0s: all calls are admitted.
It opens at 50 % failures of at least 10 calls within 1m0s; now 4 of 9 failed (44.4 %).
1 more failure opens it.
`},
		{"no call yet", newBench(t, streak),
			`"x" has been closed for 0s: all calls are admitted.
It opens at 3 failures in a row; now 0 in a row.
3 more failures in a row open it.
`},
		{"several rules and reporters", newBench(t, both).report("web-1", "", engine.Success, engine.SlowSuccess, engine.Failure, engine.Failure),
			`"x" has been closed for 0s: all calls are admitted.
It opens at 5 failures in a row, or at 8 failures among the last 20, or at 25.5 % slow calls (1s or longer) of at least 10 calls among the last 20; now 2 in a row, 2 of 4 failed (50.0 %), 1 of 4 were slow (25.0 %).
They must come from at least 2 reporters; lately web-1.
3 more failures in a row open it. 6 more slow calls in a row open it.
`},
		{"out of reach", newBench(t, engine.Policy{ConsecutiveFailures: 5000}),
			`"x" has been closed for 0s: all calls are admitted.
It opens at 5000 failures in a row; now 0 in a row.
More than 1000 further failures would be needed, or none opens it.
`},
		{"open", newBench(t, streak).report("web-2", "*net.OpError", repeat(engine.Failure, 3)...).after(18800 * time.Millisecond),
			`"x" has been open for 18.8s: calls are rejected.
It opened because 3 calls in a row failed; the last report was of web-2: *net.OpError.
It opened for 1m30s; the first call in 1m11.2s or later is a probe.
`},
		{"open by rate", newBench(t, rate).report("web-1", "", repeat(engine.Failure, 10)...),
			`"x" has been open for 0s: calls are rejected.
It opened because 10 of 10 calls failed (100.0 %); the last report was of web-1.
It opened for 1m0s; the first call in 1m0s or later is a probe.
`},
		{"open again and over", newBench(t, streak).report("web-2", "", repeat(engine.Failure, 3)...).after(90 * time.Second).probe(engine.Failure).after(time.Hour),
			`"x" has been open for 1h0m0s: calls are rejected.
It opened because 1 probe failed; the last report was of web-3.
It opened for 3m0s, and for the 2. time in a row; that is over, and the next call is a probe.
`},
		{"open by command", newBench(t, streak).command(engine.Command{Action: engine.ActionTrip, For: time.Hour, Actor: "ann@desk", Reason: "drill"}),
			`"x" has been open for 0s: calls are rejected.
It opened by a command of ann@desk (drill).
It opened for 1h0m0s; the first call in 1h0m0s or later is a probe.
`},
		{"open from the beginning", newBench(t, engine.Policy{Initial: engine.Initial{State: engine.StateOpen}}),
			`"x" has been open for 0s: calls are rejected.
It opened because its policy begins so.
It opened for 1m0s; the first call in 1m0s or later is a probe.
`},
		{"open in shadow", newBench(t, streak).report("web-2", "", repeat(engine.Failure, 3)...).command(shadow),
			`"x" is in shadow by ann@desk (rollout): all calls are admitted and counted, until it is released. Without the shadow:
"x" has been open for 0s: calls are rejected.
It opened because 3 calls in a row failed; the last report was of web-2.
It opened for 1m30s; the first call in 1m30s or later is a probe.
`},
		{"half-open", newBench(t, round).report("web-1", "", engine.Failure).after(time.Minute).probe(engine.Success).after(5 * time.Second),
			`"x" has been half-open for 5s: a few calls are admitted as probes, the others are rejected.
Of at most 3 probes, 1 succeeded, 0 failed, and 0 are in flight.
1 more success closes it; 2 more failed probes open it again.
`},
		{"forced open", newBench(t, streak).command(engine.Command{Action: engine.ActionForceOpen, For: time.Hour, Actor: "ann", Reason: "broken\x1b[2J"}).after(time.Minute),
			`"x" is forced open by ann ("broken\x1b[2J"): all calls are rejected, for 59m0s more.
After it the circuit is closed and counts from zero.
`},
		{"forced closed", newBench(t, streak).command(engine.Command{Action: engine.ActionForceClosed}),
			`"x" is forced closed: all calls are admitted, and none is counted, until it is released.
After it the circuit is closed and counts from zero.
`},
		{"ramp", newBench(t, ramp).report("web-1", "", engine.Failure).after(time.Minute).probe(engine.Success).after(20 * time.Second),
			`"x" has been closed for 20s and ramps up: it admits 50 % of the calls now, and all in 40s.
It opens at 1 failure in a row; now 0 in a row.
1 more failure opens it.
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.b.r.Snapshot("x", tt.b.now)
			if diff := cmp.Diff(tt.want, Text(&s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a damaged record no longer holds is named.
func TestText_damaged(t *testing.T) {
	s := engine.Snapshot{Name: strings.Repeat("n", 1<<20) + "\x1b", Exists: true, Unreadable: []string{"policy", "tally"}}
	want := `"` + strings.Repeat("n", 64) + `"... has been closed for 0s: all calls are admitted.
Its policy cannot be read, so it is not known when it opens.
Damaged fields: policy, tally. The next step that needs one of them begins the record again.
`
	if diff := cmp.Diff(want, Text(&s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestText_probesTakeAllSlots(t *testing.T) {
	b := newBench(t, engine.Policy{HalfOpen: engine.HalfOpen{Lease: 10 * time.Second}}).command(engine.Command{Action: engine.ActionHalfOpen})
	b.admit(1)
	b.after(12 * time.Second).admit(1)
	s := b.after(time.Second).r.Snapshot("x", b.now)
	want := "Of at most 1 probe, 0 succeeded, 0 failed, and 1 is in flight. 1 outlived their lease of 10s. No slot is free; try again in 9s.\n"
	if got := Text(&s); !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
}

// The numbers of a round are those of the machine: so many further results end it, and one
// less does not.
func TestRound_property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(rt, "probes")
		m := rapid.IntRange(1, n).Draw(rt, "successes")
		b := newBench(t, engine.Policy{HalfOpen: engine.HalfOpen{Probes: n, Successes: m}}).command(engine.Command{Action: engine.ActionHalfOpen})
		for _, failed := range rapid.SliceOfN(rapid.Bool(), 0, n).Draw(rt, "results") {
			if b.r.Snapshot("x", b.now).State != engine.StateHalfOpen {
				break
			}
			b.probe(map[bool]engine.Outcome{false: engine.Success, true: engine.Failure}[failed])
		}
		s := b.r.Snapshot("x", b.now)
		if s.State != engine.StateHalfOpen {
			return
		}
		for outcome, end := range map[engine.Outcome]engine.State{engine.Success: engine.StateClosed, engine.Failure: engine.StateOpen} {
			left := SuccessesLeft(s.Probes)
			if outcome == engine.Failure {
				left = FailedProbesLeft(s.Probes)
			}
			c := *b
			var err error
			if c.r, err = engine.ParseRecord(b.r.Fields()); err != nil {
				rt.Fatal(err)
			}
			for k := int64(1); k <= left; k++ {
				if c.probe(outcome); (c.r.Snapshot("x", c.now).State == end) != (k == left) {
					rt.Fatal(fmt.Sprintf("after %d of %d results (%d): %v", k, left, outcome, c.r.Snapshot("x", c.now).State))
				}
			}
		}
	})
}
