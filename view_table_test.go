//go:build go1.25

package redbreaker_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
)

var writeTable = flag.Bool("staleness.rewrite", false, "run the fleets of the table in README.md and docs/staleness.md and write it")

const (
	tableBegin = "<!-- fleets: begin -->\n"
	tableEnd   = "<!-- fleets: end -->"
	tableSeeds = 10
)

var tablePages = []string{"docs/staleness.md", "README.md"}

// outageFigures describe how a fleet met the death of its dependency.
type outageFigures struct {
	toTrip       time.Duration // from the death to the trip
	admitted     int           // calls after the death
	afterTrip    int           // of them
	lastAfter    time.Duration // the last of them, after the trip
	stepsHealthy float64       // a second, before the death
}

// TestFleet_table checks that the pages have a row for each fleet, and writes them with the
// flag. The figures are medians of simulated fleets, so they do not depend on a machine.
func TestFleet_table(t *testing.T) {
	written := ""
	if *writeTable {
		written = tableOfFleets(t)
	}
	for _, name := range tablePages {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, _ := strings.Cut(string(page), tableBegin)
		table, after, found := strings.Cut(rest, tableEnd)
		if !found {
			t.Fatalf("%s has no place for the table", name)
		}
		if *writeTable {
			table = written
			if err := os.WriteFile(name, []byte(before+tableBegin+table+tableEnd+after), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if rows := strings.Count(table, "\n"); rows != 2+2*4 {
			t.Errorf("the table of %s has %d lines, want 10; run go test . -run TestFleet_table -staleness.rewrite", name, rows)
		}
	}
}

func tableOfFleets(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("| processes | d | time to trip | admitted after the death | of these after the trip | the last of them | steps/s while healthy |\n|---|---|---|---|---|---|---|\n")
	for _, processes := range []int{10, 100} {
		for _, d := range []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
			f := medianOutage(t, processes, d)
			name, last := "strict", "-"
			if d > 0 {
				name = d.String()
			}
			if f.afterTrip > 0 {
				last = f.lastAfter.Round(time.Millisecond).String()
			}
			fmt.Fprintf(&out, "| %d | %s | %v | %d | %d | %s | %.0f |\n", processes, name, f.toTrip.Round(time.Millisecond), f.admitted, f.afterTrip, last, f.stepsHealthy)
		}
	}
	return out.String()
}

// medianOutage returns the median of each figure over several seeds.
func medianOutage(t *testing.T, processes int, d time.Duration) outageFigures {
	t.Helper()
	var all []outageFigures
	for seed := range uint64(tableSeeds) {
		synctest.Test(t, func(t *testing.T) { all = append(all, runOutage(t, processes, d, seed)) })
	}
	return outageFigures{
		toTrip:       medianOf(all, func(f outageFigures) time.Duration { return f.toTrip }),
		admitted:     medianOf(all, func(f outageFigures) int { return f.admitted }),
		afterTrip:    medianOf(all, func(f outageFigures) int { return f.afterTrip }),
		lastAfter:    medianOf(all, func(f outageFigures) time.Duration { return f.lastAfter }),
		stepsHealthy: medianOf(all, func(f outageFigures) float64 { return f.stepsHealthy }),
	}
}

func medianOf[F any, N int | float64 | time.Duration](all []F, figure func(F) N) N {
	var numbers []N
	for _, f := range all {
		numbers = append(numbers, figure(f))
	}
	slices.Sort(numbers)
	return numbers[len(numbers)/2]
}

// runOutage runs a fleet of which each process makes 20 calls a second, of 5 ms each.
// The dependency dies after 8 s. Five failures in a row open the circuit.
func runOutage(t *testing.T, processes int, d time.Duration, seed uint64) outageFigures {
	t.Helper()
	const healthy, measured = 8 * time.Second, 2 * time.Second
	f := &fleet{
		store: newSharedStore(time.Millisecond), rnd: rand.New(rand.NewPCG(seed, 4)), processes: processes, perSecond: 20, takes: 5 * time.Millisecond,
		staleness: d, policy: redbreaker.Policy{ConsecutiveFailures: 5, OpenFor: time.Minute},
		failing: func(_ int, since time.Duration) float64 {
			if since >= healthy {
				return 1
			}
			return 0
		},
	}
	f.store.swapFree = true
	death, steps := time.Now().Add(healthy), 0
	time.AfterFunc(healthy-measured, func() { f.store.takeSteps() })
	time.AfterFunc(healthy, func() { steps = f.store.takeSteps() })
	f.run(t, healthy+4*time.Second)
	trip := f.store.openedAt()
	if trip.IsZero() {
		t.Fatal("the circuit did not open")
	}
	figures := outageFigures{toTrip: trip.Sub(death), stepsHealthy: float64(steps) / measured.Seconds()}
	for _, a := range f.admitted {
		if a.at.After(death) {
			figures.admitted++
		}
		if a.at.After(trip) {
			figures.afterTrip++
			figures.lastAfter = max(figures.lastAfter, a.at.Sub(trip))
		}
	}
	return figures
}
