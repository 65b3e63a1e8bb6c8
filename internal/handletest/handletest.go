// Package handletest has what the tests of all storages do with a handle: calls that
// must be admitted, reports that must count, and the storage errors they want.
package handletest

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
)

// Name is the breaker of most tests.
const Name = "dep"

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// goroutineT is a T for the goroutines that a test starts: what would be fatal ends
// only the goroutine. FailNow of a testing.T may be called by the test's own alone.
type goroutineT struct{ testing.TB }

// InGoroutine returns a T for a goroutine that the test has started.
func InGoroutine(t testing.TB) testing.TB { return goroutineT{t} }

// FailNow ends the goroutine.
func (t goroutineT) FailNow() {
	t.Fail()
	runtime.Goexit()
}

// Fatal ends the goroutine.
func (t goroutineT) Fatal(args ...any) {
	t.Helper()
	t.Error(args...)
	runtime.Goexit()
}

// Fatalf ends the goroutine.
func (t goroutineT) Fatalf(format string, args ...any) {
	t.Helper()
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Acquire returns the ticket of a call that must be admitted.
func Acquire(t testing.TB, h engine.Handle) engine.Ticket {
	t.Helper()
	ticket, err := h.Acquire(context.Background())
	Must(t, err)
	return ticket
}

// Report reports how a call ended; the result must count.
func Report(t testing.TB, h engine.Handle, ticket engine.Ticket, o engine.Outcome) {
	t.Helper()
	if stale, err := h.Report(context.Background(), ticket, o, 0, nil); stale || err != nil {
		t.Fatalf("report of %v: stale %v, %v", o, stale, err)
	}
}

// ClassOf returns the class of a storage error, 0 for any other.
func ClassOf(err error) engine.Class {
	var e *engine.StorageError
	if errors.As(err, &e) {
		return e.Class
	}
	return 0
}

// WantClass wants a storage error of a class, which names operation and breaker.
func WantClass(t testing.TB, err error, class engine.Class, op string) *engine.StorageError {
	t.Helper()
	var e *engine.StorageError
	if !errors.As(err, &e) {
		t.Fatalf("%s: got %T %v, want a storage error (%v)", op, err, err, class)
	}
	want := Name
	if op == "ping" {
		want = ""
	}
	if e.Class != class || e.Op != op || e.Name != want || e.Err == nil {
		t.Errorf("got %v, want class %q, operation %s of %q", e, class, op, want)
	}
	return e
}
