package storagetest

import (
	"github.com/redbreaker/redbreaker/engine"
)

var closing = []test{
	{"closed_handle", closedHandle},
	{"other_handles_live_on", otherHandles},
	{"closed_storage", closedStorage},
	{"storage_has_a_kind", kind},
}

func closedHandle(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ticket := a.admit()
	t.checkError("Close", nil, a.Close())
	t.checkError("Close again", nil, a.Close())
	t.checkStopped(a.Handle, ticket)
}

// checkStopped checks that a handle refuses every operation.
func (t *testEnv) checkStopped(h engine.Handle, ticket engine.Ticket) {
	t.Helper()
	_, err := h.Acquire(t.Context())
	t.checkError("Acquire", engine.ErrStopped, err)
	_, err = h.Report(t.Context(), ticket, engine.Failure, 0, nil)
	t.checkError("Report", engine.ErrStopped, err)
	_, err = h.Step(t.Context(), engine.Batch{Admissions: 1})
	t.checkError("Step", engine.ErrStopped, err)
	_, err = h.Control(t.Context(), engine.Command{Action: engine.ActionTrip})
	t.checkError("Control", engine.ErrStopped, err)
}

func otherHandles(t *testEnv) {
	first, _ := t.pair(threeFailures)
	second, other := t.pair(threeFailures)
	first.fail(1)
	t.checkError("Close", nil, first.Close())
	second.fail(1)
	other.fail(1)
	t.checkState(engine.StateOpen)
}

func closedStorage(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ticket := a.admit()
	t.checkError("Close", nil, t.A.Close())
	t.checkError("Close again", nil, t.A.Close())
	t.checkStopped(a.Handle, ticket)
	_, err := t.A.Bind(name, threeFailures, nil)
	t.checkError("Bind", engine.ErrStopped, err)
	_, err = t.A.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip})
	t.checkError("Control by name", engine.ErrStopped, err)
	_, err = t.A.Inspect(t.Context(), name)
	t.checkError("Inspect", engine.ErrStopped, err)
	t.checkError("Close of a handle", nil, a.Close())
}

func kind(t *testEnv) {
	if t.A.Kind() == "" || t.A.Kind() != t.B.Kind() {
		t.Fatalf("kinds %q and %q, want one name for logs and metrics", t.A.Kind(), t.B.Kind())
	}
}
