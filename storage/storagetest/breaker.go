package storagetest

import (
	"context"
	"errors"
	"sync"

	"github.com/redbreaker/redbreaker/engine"
)

// breaker is a handle whose methods end the test if they fail. Goroutines other than
// the test's use the embedded Handle.
type breaker struct {
	engine.Handle
	t      *testEnv
	events *journal
}

// pair binds the test's breaker through both clients.
func (t *testEnv) pair(p engine.Policy) (a, b *breaker) {
	t.Helper()
	return t.bind(t.A, name, p), t.bind(t.B, name, p)
}

func (t *testEnv) bind(s engine.Storage, name string, p engine.Policy) *breaker {
	t.Helper()
	events := &journal{}
	h, err := s.Bind(name, p, events.add)
	if err != nil {
		t.Fatalf("Bind: %v", err)
	}
	return &breaker{h, t, events}
}

// admit makes a call that must be admitted and returns its ticket.
func (b *breaker) admit() engine.Ticket {
	b.t.Helper()
	t, err := b.Acquire(b.t.Context())
	if err != nil {
		b.t.Fatalf("Acquire: %v, want an admission", err)
	}
	return t
}

// reject makes a call that must be rejected.
func (b *breaker) reject() {
	b.t.Helper()
	_ = b.rejection()
}

// rejection makes a call that must be rejected and returns its error.
func (b *breaker) rejection() *engine.RejectedError {
	b.t.Helper()
	t, err := b.Acquire(b.t.Context())
	var rejected *engine.RejectedError
	if !errors.As(err, &rejected) {
		b.t.Fatalf("Acquire: %+v and error %v (%T), want a *RejectedError", t, err, err)
	}
	return rejected
}

// report reports an outcome that must count.
func (b *breaker) report(t engine.Ticket, o engine.Outcome) {
	b.t.Helper()
	b.settle(t, o, nil, false)
}

// reportStale reports an outcome that must no longer count.
func (b *breaker) reportStale(t engine.Ticket, o engine.Outcome) {
	b.t.Helper()
	b.settle(t, o, nil, true)
}

func (b *breaker) settle(t engine.Ticket, o engine.Outcome, d *engine.Detail, wantStale bool) {
	b.t.Helper()
	stale, err := b.Report(b.t.Context(), t, o, 0, d)
	if err != nil {
		b.t.Fatalf("Report: %v", err)
	}
	if stale != wantStale {
		b.t.Fatalf("Report of %v for %+v: stale is %v, want %v", o, t, stale, wantStale)
	}
}

// call makes calls with these outcomes, one after the other.
func (b *breaker) call(outcomes ...engine.Outcome) {
	b.t.Helper()
	for _, o := range outcomes {
		b.report(b.admit(), o)
	}
}

// fail makes n calls that fail.
func (b *breaker) fail(n int) {
	b.t.Helper()
	for range n {
		b.call(engine.Failure)
	}
}

// step runs a batch.
func (b *breaker) step(batch engine.Batch) engine.Reply {
	b.t.Helper()
	r, err := b.Step(b.t.Context(), batch)
	if err != nil {
		b.t.Fatalf("Step: %v", err)
	}
	return r
}

// command applies a command that must succeed.
func (b *breaker) command(c engine.Command) engine.Snapshot {
	b.t.Helper()
	s, err := b.Control(b.t.Context(), c)
	if err != nil {
		b.t.Fatalf("Control: %v: %v", c.Action, err)
	}
	return s
}

// act applies an action.
func (b *breaker) act(a engine.Action) engine.Snapshot {
	b.t.Helper()
	return b.command(engine.Command{Action: a})
}

// results returns a batch with the outcomes of one ticket.
func results(t engine.Ticket, runs ...engine.Run) engine.Batch {
	return engine.Batch{Results: []engine.Result{{Ticket: t, Runs: runs}}}
}

// cancelled returns a context that is already done.
func (t *testEnv) cancelled() context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// journal collects the events of a handle.
type journal struct {
	mu   sync.Mutex
	list []engine.Event
}

func (j *journal) add(e engine.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, e)
}

// take returns the events since it was last called.
func (j *journal) take() []engine.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := j.list
	j.list = nil
	return list
}

// causes returns the events in short form: kind, and cause of a transition.
func (j *journal) causes() []string {
	var short []string
	for _, e := range j.take() {
		s := e.Kind.String()
		if e.Transition.Cause != "" {
			s += " " + string(e.Transition.Cause)
		}
		short = append(short, s)
	}
	return short
}
