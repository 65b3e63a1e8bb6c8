package peers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/internal/redistest"
)

// trips are the kinds of calls, each after a number of the five failures that open the
// circuit and after a wait.
var trips = []struct {
	call    string
	before  int
	openFor time.Duration
	fails   bool
}{
	{call: "success"},
	{call: "failure", fails: true},
	{call: "trip", before: 4, fails: true},
	{call: "rejected", before: 5, fails: true},
	{call: "probe", before: 5, openFor: 20 * time.Millisecond},
}

// BenchmarkTrips counts the round trips to Redis of one call, by its kind. The counts
// are the same in every run.
func BenchmarkTrips(b *testing.B) {
	addr := redistest.Addr(b)
	for _, breaker := range sharers[:2] {
		for _, t := range trips {
			b.Run(fmt.Sprintf("breaker=%s/call=%s", breaker.name, t.call), func(b *testing.B) {
				f := &fleet{b: b, addr: addr, name: redistest.Namespace(b), failures: 5, openFor: openFor}
				if t.openFor > 0 {
					f.openFor = t.openFor
				}
				breaker.join(f, 1)
				one := f.callers[0]
				for range t.before {
					_ = one.fail()
				}
				time.Sleep(2 * t.openFor)
				f.trips.Store(0)
				f.once(one, t.fails, t.call == "rejected")
			})
		}
	}
}

// once makes the counted call.
func (f *fleet) once(one protected, fails, rejected bool) {
	call := one.succeed
	if fails {
		call = one.fail
	}
	if err := call(); rejected != (err != nil && !errors.Is(err, errDown)) {
		f.b.Fatalf("%v, rejected is to be %v", err, rejected)
	}
	f.b.ReportMetric(0, "ns/op") // the time of several calls means nothing
	f.b.ReportMetric(float64(f.trips.Load()), "round-trips/call")
}
