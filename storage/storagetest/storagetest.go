package storagetest

import (
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Harness is an empty data set with two clients, and the means to act on it. A and
// B are required; every other field is optional, and tests that need a missing one
// are skipped. A function that cannot do its work fails the test itself.
type Harness struct {
	// A and B are two clients of the data set, as two processes would have. They may
	// be the same value if a second client is not possible. The suite closes them.
	A, B engine.Storage

	// Advance advances the storage's clock by d. Nil: the suite sleeps for some
	// hundredths of a second where time must pass, and skips tests of exact
	// instants.
	Advance func(d time.Duration)

	// Lose removes a breaker's record, as a flush or an eviction does.
	Lose func(name string)

	// Corrupt sets a field of a breaker's record, such as head or round, to text.
	Corrupt func(name, field, text string)

	// Reporters is true if A and B report under two names and Policy.MinReporters
	// has an effect.
	Reporters bool

	// Expires is true if idle records are removed after Policy.IdleTTL.
	Expires bool
}

// test is one test of the suite.
type test struct {
	name string
	run  func(*testEnv)
}

// areas is the suite by subject.
var areas = []struct {
	name  string
	tests []test
}{
	{"admission", admission},
	{"counting", counting},
	{"windows", windows},
	{"open", open},
	{"probes", probes},
	{"fencing", fencing},
	{"modes", modes},
	{"control", control},
	{"inspect", inspect},
	{"log", logs},
	{"names", names},
	{"batches", batches},
	{"arguments", arguments},
	{"contexts", contexts},
	{"events", events},
	{"status", statuses},
	{"closing", closing},
	{"concurrency", concurrency},
	{"healing", healing},
	{"reporters", reporters},
	{"standing", standings},
	{"expiry", expiry},
}

// Run runs the suite, each test as a subtest named area/test. open is called once
// for each test, with that test's t, and returns an empty data set that no other
// test uses.
func Run(t *testing.T, open func(t testing.TB) Harness) {
	for _, area := range areas {
		t.Run(area.name, func(t *testing.T) {
			for _, test := range area.tests {
				t.Run(test.name, func(t *testing.T) { runTest(t, open, test) })
			}
		})
	}
}

// runTest runs one test on a new data set.
func runTest(t testing.TB, open func(t testing.TB) Harness, test test) {
	e := &testEnv{TB: t, Harness: open(t)}
	defer e.close()
	test.run(e)
}
