package cas_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// name is the breaker of most tests.
const name = "dep"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// goroutineT is a T for the goroutines that a test starts: what would be fatal ends
// only the goroutine. FailNow of a testing.T may be called by the test's own alone.
type goroutineT struct{ testing.TB }

func inGoroutine(t testing.TB) testing.TB { return goroutineT{t} }

func (t goroutineT) FailNow() {
	t.Fail()
	runtime.Goexit()
}

func (t goroutineT) Fatal(args ...any) {
	t.Helper()
	t.Error(args...)
	runtime.Goexit()
}

func (t goroutineT) Fatalf(format string, args ...any) {
	t.Helper()
	t.Errorf(format, args...)
	runtime.Goexit()
}

// acquire returns the ticket of a call that must be admitted.
func acquire(t testing.TB, h engine.Handle) engine.Ticket {
	t.Helper()
	ticket, err := h.Acquire(ctx)
	must(t, err)
	return ticket
}

// report reports an outcome that must count.
func report(t testing.TB, h engine.Handle, ticket engine.Ticket, o engine.Outcome) {
	t.Helper()
	if stale, err := h.Report(ctx, ticket, o, 0, nil); stale || err != nil {
		t.Fatalf("report of %v: stale %v, %v", o, stale, err)
	}
}

// wantClass wants a storage error of a class, which names operation and breaker.
func wantClass(t testing.TB, err error, class engine.Class, op string) {
	t.Helper()
	var e *engine.StorageError
	if !errors.As(err, &e) {
		t.Fatalf("%s: got %T %v, want a storage error (%v)", op, err, err, class)
	}
	if e.Class != class || e.Op != op || e.Name != name || e.Err == nil {
		t.Errorf("got %v, want class %q, operation %s of %q", e, class, op, name)
	}
}
