package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// forecastPolicy draws a policy whose rules meet within some dozens of outcomes.
func forecastPolicy(t *rapid.T) Policy {
	count := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(t, name) }
	share := rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.75, 1})
	p := Policy{ConsecutiveFailures: count("consecutive", 0, 8), MinReporters: count("reporters", 0, 3)}
	w := Window{FailureRate: share.Draw(t, "rate"), FailureCount: count("count", 0, 6), SlowCallRate: share.Draw(t, "slow")}
	if w == (Window{}) {
		return p
	}
	if rapid.Bool().Draw(t, "timed") {
		w.Period, w.MinCalls = 10*time.Second, count("min", 0, 20)
	} else {
		w.Calls = count("calls", 6, 20)
		w.MinCalls = count("min", 0, w.Calls)
	}
	if w.SlowCallRate > 0 {
		w.SlowCallDuration = time.Second
	}
	p.Window = w
	return p
}

// reread returns a copy of a record by way of its text.
func reread(t *rapid.T, r *Record) Record {
	c, err := ParseRecord(r.Fields())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// report1 reports one outcome of the present epoch.
func report1(r *Record, p *Rules, now int64, by string, o Outcome) State {
	return r.Step(p, now, 0, Batch{Reporter: by, Results: []Result{{Ticket{Epoch: r.epoch}, []Run{{o, 1}}}}}).State
}

// The number of further failures that a snapshot names opens the circuit, and one less does
// not, whatever the policy and the outcomes before.
func TestForecast_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := forecastPolicy(t).Rules()
		if err != nil {
			t.Fatal(err)
		}
		outcomes := []Outcome{Success, Success, Failure, Ignored}
		if p.SlowRate > 0 {
			outcomes = append(outcomes, SlowSuccess, SlowFailure)
		}
		now := int64(1_000_000_000)
		var r Record
		r.Step(&p, now, 0, Batch{})
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			now += rapid.Int64Range(-300, 1500).Draw(t, "later")
			if rapid.IntRange(0, 9).Draw(t, "command") == 0 {
				a := rapid.SampledFrom([]Action{ActionHalfOpen, ActionShadow, ActionReset, ActionRelease}).Draw(t, "action")
				c := Command{Action: a}
				if a == ActionShadow {
					c.For = time.Second
				}
				if _, err := r.Control(&p, now, 0, c); err != nil {
					t.Fatal(err)
				}
				r.Step(&p, now, 0, Batch{Admissions: 1})
			}
			by := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "by")
			report1(&r, &p, now, by, rapid.SampledFrom(outcomes).Draw(t, "outcome"))
		}
		now -= rapid.Int64Range(0, 300).Draw(t, "back") // the clock of another server, say
		before := r.Fields()
		s := r.Snapshot("x", now)
		if diff := cmp.Diff(before, r.Fields()); diff != "" {
			t.Fatalf("the snapshot changed the record (-before +after):\n%s", diff)
		}
		if s.State != StateClosed {
			if s.FailuresLeft != 0 || s.SlowLeft != 0 {
				t.Fatalf("%v with %d and %d left", s.State, s.FailuresLeft, s.SlowLeft)
			}
			return
		}
		checkForecast(t, &r, &p, now, Failure, s.FailuresLeft)
		if p.SlowRate > 0 {
			checkForecast(t, &r, &p, now, SlowSuccess, s.SlowLeft)
		}
	})
}

func checkForecast(t *rapid.T, r *Record, p *Rules, now int64, o Outcome, left int64) {
	c := reread(t, r)
	for n := int64(1); n <= maxForecast; n++ {
		switch open := report1(&c, p, now, fmt.Sprintf("new-%d", n), o) == StateOpen; {
		case open && n == left:
			return
		case open:
			t.Fatalf("%d outcomes (%d) open the circuit, the forecast is %d; policy %s, fields %v", n, o, left, p.Text(), r.Fields())
		}
	}
	if left != 0 {
		t.Fatalf("the forecast is %d, but %d outcomes (%d) do not open the circuit", left, maxForecast, o)
	}
}

// A mode that is over is judged as the next step leaves it.
func TestForecast_modes(t *testing.T) {
	p, err := Policy{ConsecutiveFailures: 3}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		action Action
		later  int64
		want   int64
	}{
		{ActionReset, 0, 3},
		{ActionShadow, 0, 3},
		{ActionForceOpen, 0, 0},
		{ActionForceClosed, 999, 0},
		{ActionForceClosed, 1000, 3},
		{ActionTrip, 0, 0},
		{ActionHalfOpen, 0, 0},
	} {
		c := Command{Action: tt.action}
		if tt.later > 0 {
			c.For = time.Second
		}
		var r Record
		if _, err := r.Control(&p, 1_000_000, 0, c); err != nil {
			t.Fatal(err)
		}
		if got := r.Snapshot("x", 1_000_000+tt.later).FailuresLeft; got != tt.want {
			t.Errorf("%v, %d ms later: %d failures left, want %d", tt.action, tt.later, got, tt.want)
		}
	}
}
