package engine_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

const day = 24 * time.Hour

// TestPolicy_invalid has each fault of each field, with the text a user reads.
func TestPolicy_invalid(t *testing.T) {
	calls := engine.Window{Calls: 10, FailureRate: 0.5} // a window that the cases below spoil
	with := func(change func(*engine.Window)) engine.Policy {
		w := calls
		change(&w)
		return engine.Policy{Window: w}
	}
	const days = "above 0 to 8784h0m0s (366 days)"
	for _, test := range []struct {
		policy engine.Policy
		want   string
	}{
		{engine.Policy{ConsecutiveFailures: -1}, "ConsecutiveFailures is -1, use 1 to 2147483647"},
		{engine.Policy{OpenFor: -1}, "OpenFor is -1ns, use " + days},
		{engine.Policy{OpenFor: 366*day + 1}, "OpenFor is 8784h0m0.000000001s, use " + days},
		{engine.Policy{MinReporters: -1}, "MinReporters is -1, use 1 to 16"},
		{engine.Policy{MinReporters: 17}, "MinReporters is 17, use 1 to 16"},
		{engine.Policy{IdleTTL: -time.Hour}, "IdleTTL is -1h0m0s, use " + days},
		{engine.Policy{IdleTTL: math.MaxInt64}, "IdleTTL is 2562047h47m16.854775807s, use " + days},

		{with(func(w *engine.Window) { w.Period = time.Minute }), "Window has both Calls and Period, use one of them"},
		{with(func(w *engine.Window) { w.Calls = -1 }), "Window.Calls is -1, use 1 to 10000"},
		{with(func(w *engine.Window) { w.Calls = 10_001 }), "Window.Calls is 10001, use 1 to 10000"},
		{with(func(w *engine.Window) { w.Calls, w.Period = 0, -time.Second }), "Window.Period is -1s, use " + days},
		{with(func(w *engine.Window) { w.Calls, w.Period = 0, 367*day }), "Window.Period is 8808h0m0s, use " + days},
		{with(func(w *engine.Window) { w.Calls = 0 }), "Window has a threshold but no size, set Calls or Period"},
		{with(func(w *engine.Window) { w.FailureRate = 0 }), "Window has a size but no threshold, set FailureRate, FailureCount or SlowCallRate"},
		{with(func(w *engine.Window) { w.FailureRate = -0.5 }), "Window.FailureRate is -0.5, use a share above 0 to 1"},
		{with(func(w *engine.Window) { w.FailureRate = math.NaN() }), "Window.FailureRate is NaN, use a share above 0 to 1"},
		{with(func(w *engine.Window) { w.FailureRate = 50 }), "Window.FailureRate is 50, use a share above 0 to 1 (for 50 percent write 0.5)"},
		{with(func(w *engine.Window) { w.FailureRate = math.Inf(1) }), "Window.FailureRate is +Inf, use a share above 0 to 1 (for +Inf percent write +Inf)"},
		{with(func(w *engine.Window) { w.FailureRate = 0.00004 }), "Window.FailureRate is 4e-05, the smallest is 0.0001"},
		{with(func(w *engine.Window) { w.FailureCount = -2 }), "Window.FailureCount is -2, use 1 to 2147483647"},
		{with(func(w *engine.Window) { w.FailureCount = 11 }), "Window.FailureCount is 11, above Calls (10) it never opens the circuit, use 10 or less"},
		{with(func(w *engine.Window) { w.SlowCallRate = 0.5 }), "Window.SlowCallRate needs SlowCallDuration, set the time that makes a call slow"},
		{with(func(w *engine.Window) { w.SlowCallRate, w.SlowCallDuration = 2, 1 }), "Window.SlowCallRate is 2, use a share above 0 to 1 (for 2 percent write 0.02)"},
		{with(func(w *engine.Window) { w.SlowCallDuration = time.Second }), "Window.SlowCallDuration has no effect without SlowCallRate, set both or neither"},
		{with(func(w *engine.Window) { w.SlowCallRate, w.SlowCallDuration = 0.5, -time.Second }), "Window.SlowCallDuration is -1s, use " + days},
		{with(func(w *engine.Window) { w.MinCalls = -1 }), "Window.MinCalls is -1, use 1 to 2147483647"},
		{with(func(w *engine.Window) { w.MinCalls = 11 }), "Window.MinCalls is 11, above Calls (10) no rate is ever judged, use 10 or less"},
		{engine.Policy{Window: engine.Window{MinCalls: 5}}, "Window.MinCalls needs a window, set Calls or Period"},

		{engine.Policy{Backoff: engine.Backoff{Multiplier: 0.5}}, "Backoff.Multiplier is 0.5, use 1 to 10"},
		{engine.Policy{Backoff: engine.Backoff{Multiplier: 10.5}}, "Backoff.Multiplier is 10.5, use 1 to 10"},
		{engine.Policy{Backoff: engine.Backoff{Multiplier: math.NaN()}}, "Backoff.Multiplier is NaN, use 1 to 10"},
		{engine.Policy{Backoff: engine.Backoff{Max: -time.Second}}, "Backoff.Max is -1s, use " + days},
		{engine.Policy{Backoff: engine.Backoff{Max: time.Second}}, "Backoff.Max is 1s, use OpenFor (1m0s) or more"},
		{engine.Policy{Backoff: engine.Backoff{Jitter: -1}}, "Backoff.Jitter is -1, use a share above 0 to 1"},
		{engine.Policy{Backoff: engine.Backoff{Jitter: 10}}, "Backoff.Jitter is 10, use a share above 0 to 1 (for 10 percent write 0.1)"},

		{engine.Policy{HalfOpen: engine.HalfOpen{Probes: -1}}, "HalfOpen.Probes is -1, use 1 to 1000"},
		{engine.Policy{HalfOpen: engine.HalfOpen{Probes: 1001}}, "HalfOpen.Probes is 1001, use 1 to 1000"},
		{engine.Policy{HalfOpen: engine.HalfOpen{Successes: -1}}, "HalfOpen.Successes is -1, use 1 to 1000"},
		{engine.Policy{HalfOpen: engine.HalfOpen{Probes: 2, Successes: 3}}, "HalfOpen.Successes is 3, above Probes (2) the circuit can never close, use 2 or less"},
		{engine.Policy{HalfOpen: engine.HalfOpen{AllowSlow: true}}, "HalfOpen.AllowSlow has no effect without Window.SlowCallRate, set both or neither"},
		{engine.Policy{Ramp: engine.Ramp{From: 0.5}}, "Ramp.From needs Over, set how long the ramp lasts"},
		{engine.Policy{HalfOpen: engine.HalfOpen{Lease: -time.Second}}, "HalfOpen.Lease is -1s, use " + days},
	} {
		err := test.policy.Validate()
		if want := "redbreaker: policy: " + test.want + ": invalid argument"; err == nil || err.Error() != want {
			t.Errorf("%+v:\n got %v\nwant %s", test.policy, err, want)
		}
		if !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%v is not ErrInvalid", err)
		}
	}
}

// TestPolicy_invalid_threshold: a threshold fits 32 bits; where int has 32, none
// exceeds them.
func TestPolicy_invalid_threshold(t *testing.T) {
	n := math.MaxInt32
	n++
	if n < 0 {
		t.Skip("skipped: int has 32 bits")
	}
	err := engine.Policy{ConsecutiveFailures: n}.Validate()
	want := "redbreaker: policy: ConsecutiveFailures is 2147483648, use 1 to 2147483647: invalid argument"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestPolicy_invalid_allAtOnce: an error names every fault.
func TestPolicy_invalid_allAtOnce(t *testing.T) {
	err := engine.Policy{
		OpenFor:  -time.Second,
		Window:   engine.Window{Calls: -5, FailureRate: 70},
		HalfOpen: engine.HalfOpen{Successes: 2000},
	}.Validate()
	var fields []string
	for line := range strings.Lines(err.Error()) {
		fields = append(fields, strings.Fields(line)[2])
	}
	want := []string{"Window.Calls", "OpenFor", "Window.FailureRate", "HalfOpen.Successes", "HalfOpen.Probes"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// TestPolicy_limits: the largest that is allowed is allowed.
func TestPolicy_limits(t *testing.T) {
	p := engine.Policy{
		ConsecutiveFailures: math.MaxInt32,
		Window: engine.Window{Calls: 10_000, FailureRate: 1, FailureCount: 10_000, SlowCallRate: 0.0001,
			SlowCallDuration: 366 * day, MinCalls: 10_000},
		OpenFor: 366 * day, Backoff: engine.Backoff{Multiplier: 10, Max: 366 * day, Jitter: 1},
		HalfOpen: engine.HalfOpen{Probes: 1000, Successes: 1000, Lease: 366 * day}, MinReporters: 16, IdleTTL: 366 * day,
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	p.Window.Calls, p.Window.Period = 0, 366*day
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}

// TestRules has the defaults, and where one follows from another field.
func TestRules(t *testing.T) {
	for _, test := range []struct {
		policy engine.Policy
		want   string // the text without its fingerprint
	}{
		{engine.Policy{}, "consecutive=5 window=none/0 count=0 rate=0 slow=0/0 min=0 open_for=60000 " +
			"backoff=10000/3600000/0 half_open=1/1/60000/0 initial=closed/auto ramp=0/0 reporters=1 idle=86400000"},
		// A rule of its own takes the default streak's place; durations are rounded up.
		{engine.Policy{Window: engine.Window{Period: 95*time.Second + 1, FailureRate: 0.33333}, OpenFor: time.Microsecond},
			"consecutive=0 window=time/95001 count=0 rate=3333 slow=0/0 min=10 open_for=1 " +
				"backoff=10000/3600000/0 half_open=1/1/30000/0 initial=closed/auto ramp=0/0 reporters=1 idle=86400000"},
		// MinCalls is not above Calls, Max not below OpenFor, Probes not below Successes.
		{engine.Policy{Window: engine.Window{Calls: 4, FailureCount: 2}, OpenFor: 2 * time.Hour, HalfOpen: engine.HalfOpen{Successes: 3}},
			"consecutive=0 window=count/4 count=2 rate=0 slow=0/0 min=4 open_for=7200000 " +
				"backoff=10000/7200000/0 half_open=3/3/7200000/0 initial=closed/auto ramp=0/0 reporters=1 idle=86400000"},
		{engine.Policy{ConsecutiveFailures: 2, Initial: engine.Initial{State: engine.StateOpen}, MinReporters: 3, HalfOpen: engine.HalfOpen{Probes: 4, Lease: time.Second},
			Backoff: engine.Backoff{Multiplier: 1.5, Max: time.Minute, Jitter: 0.25}, IdleTTL: time.Hour,
			Window: engine.Window{Calls: 100, SlowCallRate: 0.5, SlowCallDuration: time.Second, MinCalls: 20}},
			"consecutive=2 window=count/100 count=0 rate=0 slow=5000/1000 min=20 open_for=60000 " +
				"backoff=15000/60000/2500 half_open=4/1/1000/0 initial=open/auto ramp=0/0 reporters=3 idle=3600000"},
	} {
		rules, err := test.policy.Rules()
		if err != nil {
			t.Fatal(err)
		}
		fingerprint, body, _ := strings.Cut(rules.Text(), " ")
		if diff := cmp.Diff(test.want, body); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.policy, diff)
		}
		if fingerprint != rules.Fingerprint() || len(fingerprint) != 8 {
			t.Errorf("fingerprint %q of %q", rules.Fingerprint(), rules.Text())
		}
	}
}

// TestRules_policy: the policy of rules has the same rules, and different policies
// have different fingerprints.
func TestRules_policy(t *testing.T) {
	seen := map[string]engine.Policy{}
	for _, p := range twinPolicies {
		rules, err := p.Rules()
		if err != nil {
			t.Fatal(err)
		}
		again, err := rules.Policy().Rules()
		if err != nil || again.Text() != rules.Text() {
			t.Errorf("%+v: %q became %q, %v", p, rules.Text(), again.Text(), err)
		}
		if other, taken := seen[rules.Fingerprint()]; taken {
			t.Errorf("%+v and %+v have one fingerprint", p, other)
		}
		seen[rules.Fingerprint()] = p
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		0: 0, -time.Second: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, math.MaxInt64: 9223372036855,
	} {
		if got := engine.CeilMillis(d); got != want {
			t.Errorf("Millis(%v) = %d, want %d", d, got, want)
		}
	}
}

func TestCommand_Validate(t *testing.T) {
	for _, c := range []engine.Command{
		{Action: engine.ActionTrip, For: 366 * day, IfEpoch: -1},
		{Action: engine.ActionForceOpen, For: 1, IfEpoch: 1 << 52},
		{Action: engine.ActionShadow},
		{Action: engine.ActionRelease, Reason: strings.Repeat("long ", 100)},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	const actions = "use one of trip, half_open, reset, force_open, force_closed, shadow, release"
	for _, test := range []struct {
		command engine.Command
		want    string
	}{
		{engine.Command{}, "Action is none, " + actions},
		{engine.Command{Action: 8}, "Action is action(8), " + actions},
		{engine.Command{Action: engine.ActionTrip, For: -1}, "For is -1ns, use 0 to 8784h0m0s (366 days)"},
		{engine.Command{Action: engine.ActionTrip, For: 366*day + 1}, "For is 8784h0m0.000000001s, use 0 to 8784h0m0s (366 days)"},
		{engine.Command{Action: engine.ActionReset, For: 1}, "For has no meaning for reset, leave it 0"},
		{engine.Command{Action: engine.ActionHalfOpen, For: 1}, "For has no meaning for half_open, leave it 0"},
		{engine.Command{Action: engine.ActionRelease, For: 1}, "For has no meaning for release, leave it 0"},
		{engine.Command{Action: engine.ActionTrip, IfEpoch: -2}, "IfEpoch is -2, use an epoch that Inspect gave, 0 for any, or -1 for no record"},
		{engine.Command{Action: engine.ActionTrip, IfEpoch: 1<<52 + 1}, "IfEpoch is 4503599627370497, use an epoch that Inspect gave, 0 for any, or -1 for no record"},
	} {
		err := test.command.Validate()
		if want := "redbreaker: command: " + test.want + ": invalid argument"; err == nil || err.Error() != want {
			t.Errorf("%+v:\n got %v\nwant %s", test.command, err, want)
		}
		if !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%v is not ErrInvalid", err)
		}
	}
	err := engine.Command{For: -1, IfEpoch: -9}.Validate()
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d faults of 3: %v", n, err)
	}
}

func TestBatch_Validate(t *testing.T) {
	results := func(epoch, lease int64, runs ...engine.Run) engine.Batch {
		return engine.Batch{Results: []engine.Result{{Ticket: engine.Ticket{Epoch: epoch, Lease: lease}, Runs: runs}}}
	}
	one, good := engine.Run{Outcome: engine.Failure, N: 1}, engine.Run{Outcome: engine.Success, N: engine.MaxSuccesses}
	for _, b := range []engine.Batch{
		{}, {Admissions: engine.MaxBatch}, results(1, 0, one), results(1<<52, 1<<31, one),
		results(1, 0, engine.Run{Outcome: engine.SlowFailure, N: engine.MaxBatch}), results(1, 0, good, good, engine.Run{Outcome: engine.Failure, N: engine.MaxBatch}),
	} {
		if err := b.Validate(); err != nil {
			t.Errorf("%+v: %v", b, err)
		}
	}
	for want, b := range map[string]engine.Batch{
		"0 outcomes other than successes, 0 runs and -1 admissions":    {Admissions: -1},
		"0 outcomes other than successes, 0 runs and 10001 admissions": {Admissions: engine.MaxBatch + 1},
		"10001 outcomes other than successes, 3 runs and 0 admissions": results(1, 0, good, one, engine.Run{Outcome: engine.Failure, N: engine.MaxBatch}),
		"0 outcomes other than successes, 10001 runs and 0 admissions": results(1, 0, slices.Repeat([]engine.Run{good}, engine.MaxBatch+1)...),
		"a run of 1000000000 times success, use 1 to 999999999":        results(1, 0, engine.Run{Outcome: engine.Success, N: engine.MaxSuccesses + 1}),
		"a run of 10001 times ignored, use 1 to 10000":                 results(1, 0, engine.Run{Outcome: engine.Ignored, N: engine.MaxBatch + 1}),
		"a run of 1 times none":                                        results(1, 0, engine.Run{N: 1}),
		"a run of 1 times outcome(7)":                                  results(1, 0, engine.Run{Outcome: 7, N: 1}),
		"a run of 0 times success":                                     results(1, 0, engine.Run{Outcome: engine.Success}),
		"a result of epoch 0, lease 0 with 1 runs":                     results(0, 0, one),
		"a result of epoch 1, lease -1 with 1 runs":                    results(1, -1, one),
		"a result of epoch 1, lease 0 with 0 runs":                     results(1, 0),
		"an open time of -1ns, use 0 to 8784h0m0s":                     {Detail: engine.Detail{OpenFor: -1}},
		"an open time of 8784h0m0.000000001s, use 0":                   {Detail: engine.Detail{OpenFor: 366*day + 1}},
	} {
		err := b.Validate()
		if err == nil || !strings.Contains(err.Error(), "redbreaker: batch: "+want) || !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%+v:\n got %v\nwant %s", b, err, want)
		}
	}
}
