package engine_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/engine"
)

// outlookWorld is a record and an outlook of one of its reporters, who alone works on
// it from the standing on.
type outlookWorld struct {
	rules  *engine.Rules
	record engine.Record
	now    int64
	epoch  int64
}

var outlookOutcomes = []engine.Outcome{engine.Success, engine.Failure, engine.Failure, engine.SlowSuccess, engine.SlowFailure, engine.Ignored}

// report runs one run as a step and returns its reply.
func (w *outlookWorld) report(by string, run engine.Run, asks bool) engine.Reply {
	b := engine.Batch{Reporter: by, AskStanding: asks}
	if run.N > 0 {
		b.Results = []engine.Result{{Ticket: engine.Ticket{Epoch: w.epoch}, Runs: []engine.Run{run}}}
	}
	r := w.record.Step(w.rules, w.now, 1, b)
	w.epoch = r.Epoch
	return r
}

func drawRun(t *rapid.T) engine.Run {
	n := int64(1)
	if rapid.Bool().Draw(t, "long") {
		n = rapid.Int64Range(1, 40).Draw(t, "n")
	}
	return engine.Run{Outcome: rapid.SampledFrom(outlookOutcomes).Draw(t, "outcome"), N: n}
}

// TestOutlook compares an outlook with the machine itself: while one reporter works
// alone, the outlook foresees each opening, and without a count window it foresees
// nothing else but what a turn of a bucket would make come true.
func TestOutlook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(twinPolicies).Draw(t, "policy")
		p.Initial, p.Ramp = engine.Initial{}, engine.Ramp{}
		rules, err := p.Rules()
		if err != nil {
			t.Fatal(err)
		}
		w := &outlookWorld{rules: &rules, now: start}
		for range rapid.IntRange(0, 12).Draw(t, "steps before") {
			w.report(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "reporter"), drawRun(t), false)
			w.now += rapid.SampledFrom([]int64{0, 0, 1, 999, 3000, 9500}).Draw(t, "ms")
		}
		s := w.report("a", engine.Run{}, true).Standing
		if !s.Known {
			return // open, or half-open
		}
		l := rules.Outlook(&s)
		turns := int64(0)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			if p.Window.Period > 0 && turns == 0 && rapid.IntRange(0, 5).Draw(t, "turn") == 0 {
				w.now += s.TurnMS
				turns++
			}
			run := drawRun(t)
			foreseen := l.Add(run)
			opened := w.report("a", run, false).State != engine.StateClosed
			if opened && !foreseen {
				t.Fatalf("%v opened the circuit and was not foreseen from %+v", run, s)
			}
			if opened {
				return
			}
			if foreseen {
				if p.Window.Calls == 0 && (p.Window.Period == 0 || s.Leaving == (engine.WindowSums{})) && s.Other.Turns != 1 {
					t.Fatalf("%v was to open the circuit and did not, from %+v", run, s)
				}
				return
			}
		}
	})
}

func ExampleOutlook() {
	policy := engine.Policy{ConsecutiveFailures: 3}
	rules, err := policy.Rules()
	if err != nil {
		fmt.Println(err)
		return
	}
	l := rules.Outlook(&engine.Standing{Known: true, Streak: 1, Seq: 1})
	fmt.Println(l.Add(engine.Run{Outcome: engine.Failure, N: 1}))
	fmt.Println(l.Add(engine.Run{Outcome: engine.Failure, N: 1}))
	// Output:
	// false
	// true
}

// TestOutlook_unknown takes each bad outcome for one that opens the circuit, and no
// other.
func TestOutlook_unknown(t *testing.T) {
	rules, err := engine.Policy{Window: engine.Window{Period: time.Minute, FailureCount: 100}}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	l := rules.Outlook(&engine.Standing{})
	for o := engine.Success; o <= engine.TripNow; o++ {
		want := o != engine.Success && o != engine.Ignored
		if got := l.Add(engine.Run{Outcome: o, N: 1}); got != want {
			t.Errorf("%v: %t, want %t", o, got, want)
		}
	}
}
