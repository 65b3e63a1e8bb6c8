package engine_test

import (
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// snapshotCosts are records, and the most allocations that reading one and describing it
// may take. A list of a large fleet does so for each breaker.
func snapshotCosts(t testing.TB) map[string]struct {
	fields []engine.Field
	now    int64
	most   float64
} {
	type cost = struct {
		fields []engine.Field
		now    int64
		most   float64
	}
	all := map[string]cost{}
	add := func(name string, most float64, r engine.Record, now int64) {
		all[name] = cost{r.Fields(), now, most}
	}
	window := engine.Policy{Window: engine.Window{Period: 10 * time.Second, FailureRate: 0.5}}
	outcomes := []engine.Outcome{engine.Success, engine.Failure, engine.Success}
	r, now := driven(t, engine.Policy{}, 0, engine.Failure)
	add("closed", 12, r, now)
	r, now = driven(t, window, 0, outcomes...)
	add("window", 14, r, now)
	rules := mustRules(t, window)
	for range 20 {
		if _, err := r.Control(rules, now, 3, engine.Command{Action: engine.ActionTrip, Actor: "ops", Reason: "a reason"}); err != nil {
			t.Fatal(err)
		}
	}
	add("full log", 30, r, now)
	return all
}

func TestSnapshot_allocations(t *testing.T) {
	for name, c := range snapshotCosts(t) {
		n := testing.AllocsPerRun(100, func() {
			r, err := engine.ParseRecord(c.fields)
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Snapshot("payments", c.now)
		})
		if n > c.most {
			t.Errorf("%s: %g allocations, want at most %g", name, n, c.most)
		}
	}
}

// BenchmarkSnapshot reads a record and describes it, as a list does for each breaker.
func BenchmarkSnapshot(b *testing.B) {
	for name, c := range snapshotCosts(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := engine.ParseRecord(c.fields)
				if err != nil {
					b.Fatal(err)
				}
				_ = r.Snapshot("payments", c.now)
			}
		})
	}
}
