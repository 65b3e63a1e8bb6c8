//go:build go1.25

package redbreaker_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
)

var biasSeeds = flag.Int("bias", 2, "seeds of each fleet that TestFleet_falseTrips runs, in each mode")

// A dependency that fails less often than the threshold must not open the circuit more
// often than in strict mode. What a process holds back must not bias what the fleet
// judges: not at the first calls, nor where a window is full, nor for one sick process.
func TestFleet_falseTrips(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: it counts, and under the race detector TestFleet_staleness runs the same code")
	}
	rate := func(w redbreaker.Window) redbreaker.Policy {
		return redbreaker.Policy{Window: w, OpenFor: 5 * time.Second}
	}
	share := func(p float64) func(int, time.Duration) float64 {
		return func(int, time.Duration) float64 { return p }
	}
	ten := 10 * time.Second
	for name, f := range map[string]*fleet{
		"fresh, a tenth fails":    {policy: rate(redbreaker.Window{Period: ten, FailureRate: 0.5}), processes: 100, failing: share(0.1)},
		"fresh, a fifth fails":    {policy: rate(redbreaker.Window{Period: ten, FailureRate: 0.5}), processes: 100, failing: share(0.2)},
		"count window":            {policy: rate(redbreaker.Window{Calls: 100, FailureRate: 0.5}), processes: 100, failing: share(0.2)},
		"many calls are required": {policy: rate(redbreaker.Window{Period: ten, FailureRate: 0.5, MinCalls: 100}), processes: 100, failing: share(0.4)},
		"one sick process": {policy: rate(redbreaker.Window{Period: ten, FailureRate: 0.5}), processes: 10, failing: func(process int, _ time.Duration) float64 {
			if process == 0 {
				return 1
			}
			return 0
		}},
		"traffic begins again": {policy: rate(redbreaker.Window{Period: ten, FailureRate: 0.5}), processes: 100, failing: share(0.2), pauses: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.perSecond = 2
			inStrict, inView := f.countTrips(t, 0), f.countTrips(t, time.Second)
			t.Logf("opened in %d of %d fleets, in strict mode in %d", inView, *biasSeeds, inStrict)
			if inView > inStrict+1 { // of 20 fleets, two more come by chance in less than one test of 20
				t.Errorf("opened in %d of %d fleets, in strict mode in %d", inView, *biasSeeds, inStrict)
			}
		})
	}
}

// countTrips runs the fleet with several seeds and returns in how many the circuit opened.
func (f *fleet) countTrips(t *testing.T, staleness time.Duration) (tripped int) {
	t.Helper()
	for seed := range *biasSeeds {
		synctest.Test(t, func(t *testing.T) {
			one := &fleet{
				store: newSharedStore(0), rnd: rand.New(rand.NewPCG(uint64(seed), 3)), policy: f.policy, staleness: staleness,
				processes: f.processes, perSecond: f.perSecond, failing: f.failing, pauses: f.pauses,
			}
			one.run(t, 10*time.Second)
			if !one.store.openedAt().IsZero() {
				tripped++
			}
		})
	}
	return tripped
}
