package doctor

import (
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// TestFindSkew lets a process report to a record that one with another policy made.
func TestFindSkew(t *testing.T) {
	window := engine.Window{Period: time.Minute, FailureRate: 0.9}
	slow := engine.Window{Period: time.Minute, SlowCallRate: 0.9, SlowCallDuration: time.Second, FailureRate: 0.9}
	for name, c := range map[string]struct {
		owner, other engine.Policy
		outcomes     []engine.Outcome
		want         string
	}{
		"equal":                       {engine.Policy{Window: window}, engine.Policy{Window: window}, []engine.Outcome{engine.Failure, engine.Success}, ""},
		"equal without a window":      {engine.Policy{}, engine.Policy{}, []engine.Outcome{engine.Failure}, ""},
		"other window":                {engine.Policy{Window: window}, engine.Policy{Window: engine.Window{Calls: 20, FailureRate: 0.9}}, []engine.Outcome{engine.Success}, "windows"},
		"window beside none":          {engine.Policy{}, engine.Policy{Window: window}, []engine.Outcome{engine.Failure}, "windows"},
		"none beside a window":        {engine.Policy{Window: window}, engine.Policy{}, []engine.Outcome{engine.Failure}, "windows"},
		"a success without a trace":   {engine.Policy{Window: window}, engine.Policy{}, []engine.Outcome{engine.Success}, ""},
		"reporters":                   {engine.Policy{}, engine.Policy{MinReporters: 2}, []engine.Outcome{engine.Failure}, "MinReporters"},
		"reporters of both":           {engine.Policy{MinReporters: 3}, engine.Policy{MinReporters: 3}, []engine.Outcome{engine.Failure}, ""},
		"slow calls":                  {engine.Policy{Window: window}, engine.Policy{Window: slow}, []engine.Outcome{engine.SlowSuccess}, "slow calls"},
		"slow calls of both":          {engine.Policy{Window: slow}, engine.Policy{Window: slow}, []engine.Outcome{engine.SlowSuccess}, ""},
		"more failures in a row":      {engine.Policy{ConsecutiveFailures: 2}, engine.Policy{ConsecutiveFailures: 9}, []engine.Outcome{engine.Failure, engine.Failure}, "thresholds"},
		"fewer failures in a row":     {engine.Policy{ConsecutiveFailures: 3}, engine.Policy{ConsecutiveFailures: 9}, []engine.Outcome{engine.Failure, engine.Failure}, ""},
		"more failures in the window": {engine.Policy{Window: engine.Window{Period: time.Minute, FailureCount: 2}}, engine.Policy{Window: engine.Window{Period: time.Minute, FailureCount: 5}}, []engine.Outcome{engine.Failure, engine.Success, engine.Failure}, "thresholds"},
		"opened by another policy":    {engine.Policy{ConsecutiveFailures: 5}, engine.Policy{ConsecutiveFailures: 1}, []engine.Outcome{engine.Failure}, ""},
		"another time to stay open":   {engine.Policy{OpenFor: time.Hour}, engine.Policy{}, []engine.Outcome{engine.Failure}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			const now = 1_795_502_820_000
			var r engine.Record
			epoch := r.Step(rulesOf(t, c.owner), now, 0, engine.Batch{Admissions: 1}).Epoch
			for _, o := range c.outcomes {
				r.Step(rulesOf(t, c.other), now+1, 0, engine.Batch{Reporter: "web-1", Results: []engine.Result{
					{Ticket: engine.Ticket{Epoch: epoch}, Runs: []engine.Run{{Outcome: o, N: 1}}},
				}})
			}
			fields := []any{nil, nil, nil}
			for _, f := range r.Fields() {
				for i, name := range []string{"tally", "policy", "rep"} {
					if f.Name == name {
						fields[i] = f.Value
					}
				}
			}
			if got := findSkew(fields); got != c.want {
				t.Errorf("%q, want %q; %q", got, c.want, fields)
			}
		})
	}
}
