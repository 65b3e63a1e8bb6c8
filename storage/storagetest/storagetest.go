package storagetest

import (
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Harness is an empty data set, two clients of it, and what can be done to it.
// Its functions fail the test themselves if they cannot do their work.
type Harness struct {
	// A and B are two clients of the data set, as two processes would have them;
	// one and the same where a second is not possible. The suite closes them.
	A, B engine.Storage

	// Advance moves the storage's time on. Nil: the suite waits where it must,
	// and leaves out what needs an exact instant.
	Advance func(d time.Duration)

	// Lose removes a breaker's record, as a flush or an eviction does. Nil: not
	// possible.
	Lose func(name string)

	// Corrupt puts text into a field of a breaker's record, such as head or
	// round. Nil: not possible.
	Corrupt func(name, field, text string)

	// Reporters tells that A and B report under two names, and that
	// Policy.MinReporters is obeyed.
	Reporters bool

	// Expires tells that idle records are forgotten after Policy.IdleTTL.
	Expires bool
}

// test is one test of the suite.
type test struct {
	name string
	run  func(*env)
}

// areas are the suite: what a storage must do, by subject.
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
	{"expiry", expiry},
}

// Run runs the suite. open is called once for each test, with that test's t, and
// gives it an empty data set of its own.
func Run(t *testing.T, open func(t testing.TB) Harness) {
	for _, area := range areas {
		t.Run(area.name, func(t *testing.T) {
			for _, test := range area.tests {
				t.Run(test.name, func(t *testing.T) { conduct(t, open, test) })
			}
		})
	}
}

// conduct runs one test on a new data set.
func conduct(t testing.TB, open func(t testing.TB) Harness, test test) {
	e := &env{TB: t, Harness: open(t)}
	defer e.close()
	test.run(e)
}
