package storagetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// name is the breaker that most tests use.
const name = "payments"

// shortTime is a time that tests let pass, see [testEnv.advance].
const shortTime = 30 * time.Millisecond

// threeFailures opens after three failures, for longer than any test.
var threeFailures = engine.Policy{ConsecutiveFailures: 3, OpenFor: time.Hour}

// testEnv is the test's data set with helpers that end the test on failure.
type testEnv struct {
	testing.TB
	Harness
}

func (t *testEnv) close() {
	t.Helper()
	if err := errors.Join(t.A.Close(), t.B.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// needs skips the test if the harness lacks a capability.
func (t *testEnv) needs(capability string, has bool) {
	t.Helper()
	if !has {
		t.Skipf("storagetest: skipped: the harness has no %s", capability)
	}
}

// needsAdvance skips the test unless the harness controls the time.
func (t *testEnv) needsAdvance() {
	t.Helper()
	t.needs("Advance, so it cannot reach an exact instant", t.Advance != nil)
}

// advance lets at least d of the storage's time pass.
func (t *testEnv) advance(d time.Duration) {
	if t.Advance != nil {
		t.Advance(d)
		return
	}
	time.Sleep(d + 2*time.Millisecond) // a clock may tick in whole milliseconds
}

// checkEqual compares a value with the wanted one.
func (t *testEnv) checkEqual(what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// checkError checks that an error matches the wanted one.
func (t *testEnv) checkError(what string, want, got error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: error %v, want %v", what, got, want)
	}
}

// checkBetween checks that a duration lies above lo, and at most at hi.
func (t *testEnv) checkBetween(what string, lo, hi, got time.Duration) {
	t.Helper()
	if got <= lo || got > hi {
		t.Fatalf("%s: %v, want above %v to %v", what, got, lo, hi)
	}
}

// advancePastEpoch lets time pass until a new record cannot have an earlier epoch:
// within the same millisecond it repeats one with a chance of 1 in 1024.
func (t *testEnv) advancePastEpoch() { t.advance(time.Millisecond) }

// checkAlmostOver checks a rejection of which at most 1 ms was left on the storage's
// clock. On the process's clock it may be over by now.
func (t *testEnv) checkAlmostOver(e *engine.RejectedError) {
	t.Helper()
	t.checkBetween("RetryAfter", -1, time.Millisecond, e.RetryAfter())
}

// inspect reads the record of the test's breaker, through B.
func (t *testEnv) inspect() engine.Snapshot {
	t.Helper()
	return t.inspectName(name)
}

func (t *testEnv) inspectName(name string) engine.Snapshot {
	t.Helper()
	s, err := t.B.Inspect(t.Context(), name)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return s
}

// checkState checks the breaker's state.
func (t *testEnv) checkState(want engine.State) {
	t.Helper()
	t.checkEqual("state", want, t.inspect().State)
}

// lastTransition returns the newest transition of the breaker.
func (t *testEnv) lastTransition() engine.Transition {
	t.Helper()
	log := t.inspect().Log
	if len(log) == 0 {
		t.Fatal("the log is empty")
	}
	return log[len(log)-1]
}

// atOnce runs f in n goroutines that start at the same time.
func atOnce(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			f(i)
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// untimed returns the snapshot without the durations that shrink or grow with time.
func untimed(s engine.Snapshot) engine.Snapshot {
	s.Age, s.RetryAfter, s.ModeFor = 0, 0, 0
	log := make([]engine.Transition, len(s.Log))
	for i, l := range s.Log {
		l.Ago = 0
		log[i] = l
	}
	s.Log = log
	return s
}
