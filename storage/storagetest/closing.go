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

func closedHandle(t *env) {
	a, _ := t.pair(three)
	ticket := a.admit()
	t.is("Close", nil, a.Close())
	t.is("Close again", nil, a.Close())
	t.stopped(a.Handle, ticket)
}

// stopped checks that nothing goes through a handle any more.
func (t *env) stopped(h engine.Handle, ticket engine.Ticket) {
	t.Helper()
	_, err := h.Acquire(t.Context())
	t.is("Acquire", engine.ErrStopped, err)
	_, err = h.Report(t.Context(), ticket, engine.Failure, 0, nil)
	t.is("Report", engine.ErrStopped, err)
	_, err = h.Step(t.Context(), engine.Batch{Admissions: 1})
	t.is("Step", engine.ErrStopped, err)
	_, err = h.Control(t.Context(), engine.Command{Action: engine.ActionTrip})
	t.is("Control", engine.ErrStopped, err)
}

func otherHandles(t *env) {
	first, _ := t.pair(three)
	second, other := t.pair(three)
	first.fail(1)
	t.is("Close", nil, first.Close())
	second.fail(1)
	other.fail(1)
	t.state(engine.StateOpen)
}

func closedStorage(t *env) {
	a, _ := t.pair(three)
	ticket := a.admit()
	t.is("Close", nil, t.A.Close())
	t.is("Close again", nil, t.A.Close())
	t.stopped(a.Handle, ticket)
	_, err := t.A.Bind(name, three, nil)
	t.is("Bind", engine.ErrStopped, err)
	_, err = t.A.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip})
	t.is("Control by name", engine.ErrStopped, err)
	_, err = t.A.Inspect(t.Context(), name)
	t.is("Inspect", engine.ErrStopped, err)
	t.is("Close of a handle", nil, a.Close())
}

func kind(t *env) {
	if t.A.Kind() == "" || t.A.Kind() != t.B.Kind() {
		t.Fatalf("kinds %q and %q, want one name for logs and metrics", t.A.Kind(), t.B.Kind())
	}
}
