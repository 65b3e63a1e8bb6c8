package storagetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// name is the breaker of most tests.
const name = "payments"

// brief is a time that tests wait for, see [env.pass].
const brief = 30 * time.Millisecond

// three opens after three failures, for longer than any test.
var three = engine.Policy{ConsecutiveFailures: 3, OpenFor: time.Hour}

// env is what a test works with.
type env struct {
	testing.TB
	Harness
}

func (t *env) close() {
	t.Helper()
	if err := errors.Join(t.A.Close(), t.B.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// needs skips the test if the harness lacks a capability.
func (t *env) needs(capability string, has bool) {
	t.Helper()
	if !has {
		t.Skipf("storagetest: skipped: the harness has no %s", capability)
	}
}

// exact skips the test unless time stands still between its steps.
func (t *env) exact() {
	t.Helper()
	t.needs("Advance, so an exact instant cannot be looked at", t.Advance != nil)
}

// pass lets at least d of the storage's time go by.
func (t *env) pass(d time.Duration) {
	if t.Advance != nil {
		t.Advance(d)
		return
	}
	time.Sleep(d + 2*time.Millisecond) // a clock may tick in whole milliseconds
}

// equal compares with what is wanted.
func (t *env) equal(what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// is checks an error by its kind.
func (t *env) is(what string, want, got error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: error %v, want %v", what, got, want)
	}
}

// between checks that a duration lies above lo, and at most at hi.
func (t *env) between(what string, lo, hi, got time.Duration) {
	t.Helper()
	if got <= lo || got > hi {
		t.Fatalf("%s: %v, want above %v to %v", what, got, lo, hi)
	}
}

// nextEpochs lets time go by until an epoch cannot be one that was before: within
// a millisecond a record that has forgotten its own may repeat it, by a chance of
// 1 in 1024.
func (t *env) nextEpochs() { t.pass(time.Millisecond) }

// almostOver checks a rejection of which a millisecond is left on the storage's
// clock. It runs out on the process's own, and may have by now.
func (t *env) almostOver(e *engine.RejectedError) {
	t.Helper()
	t.between("RetryAfter", -1, time.Millisecond, e.RetryAfter())
}

// inspect reads the record of the test's breaker, through B.
func (t *env) inspect() engine.Snapshot {
	t.Helper()
	return t.inspectName(name)
}

func (t *env) inspectName(name string) engine.Snapshot {
	t.Helper()
	s, err := t.B.Inspect(t.Context(), name)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return s
}

// state checks where the breaker stands.
func (t *env) state(want engine.State) {
	t.Helper()
	t.equal("state", want, t.inspect().State)
}

// last is the newest transition of the breaker.
func (t *env) last() engine.Transition {
	t.Helper()
	log := t.inspect().Log
	if len(log) == 0 {
		t.Fatal("the log is empty")
	}
	return log[len(log)-1]
}

// atOnce runs f n times at the same time.
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

// untimed is a snapshot without what changes as time goes by.
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
