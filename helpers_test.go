package redbreaker_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

var errDown = errors.New("dependency is down")

var ctx = context.Background()

// opensAtOnce is a policy under which one failure opens the circuit for a minute.
var opensAtOnce = redbreaker.Policy{ConsecutiveFailures: 1}

// seeds returns how many simulated fleets a test runs: n, but few under the race detector,
// which takes nine times as long and finds the same races in each fleet.
func seeds(n, few int) int {
	if raceEnabled {
		return few
	}
	return n
}

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errDown }

// clock moves only by advance.
type clock struct{ now atomic.Int64 }

func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }
func (c *clock) read() time.Duration     { return time.Duration(c.now.Load()) }

// newClocked makes a memory engine on a clock that shows one second.
func newClocked() (*engine.Memory, *clock) {
	c := &clock{}
	c.advance(time.Second)
	return engine.NewMemory(engine.WithClock(c.read)), c
}

func newBreaker(t *testing.T, p redbreaker.Policy, opts ...redbreaker.Option) *redbreaker.Breaker {
	t.Helper()
	b, err := redbreaker.New("dep", p, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(b.Stop)
	return b
}

func inspect(t *testing.T, b *redbreaker.Breaker) redbreaker.Snapshot {
	t.Helper()
	s, err := b.Inspect(ctx)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return s
}

func control(t *testing.T, b *redbreaker.Breaker, c redbreaker.Command) {
	t.Helper()
	if _, err := b.Control(ctx, c); err != nil {
		t.Fatalf("Control(%v): %v", c.Action, err)
	}
}

// acquire fails the test if the call is rejected.
func acquire(t *testing.T, b *redbreaker.Breaker) *redbreaker.Permit {
	t.Helper()
	p, err := b.Acquire(ctx)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	return &p
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error is %v, want %v", got, want)
	}
}

// wantText compares an error with its text, one line for each fault.
func wantText(t *testing.T, got error, want ...string) {
	t.Helper()
	text := ""
	if got != nil {
		text = got.Error()
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), text); diff != "" {
		t.Errorf("error text (-want +got):\n%s", diff)
	}
}

func wantState(t *testing.T, b *redbreaker.Breaker, want redbreaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("state is %v, want %v", got, want)
	}
}

func wantRejected(t *testing.T, err error, reason redbreaker.Reason) *redbreaker.RejectedError {
	t.Helper()
	var r *redbreaker.RejectedError
	if !errors.As(err, &r) {
		t.Fatalf("error is %v, want a rejection", err)
	}
	if r.Reason != reason || !errors.Is(err, redbreaker.ErrRejected) {
		t.Fatalf("rejected for %q, want %q", r.Reason, reason)
	}
	return r
}

// next waits for a value from a hook. The long timeout only ends a test that fails.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("the hook was not called")
		panic("unreachable")
	}
}

// report is one call of Handle.Report.
type report struct {
	Outcome redbreaker.Outcome
	At      int64
	Detail  engine.Detail
}

// fake is a storage over a memory engine. It fails where the test asks for it, and
// records reports. It is not an *engine.Memory, so that breakers use the fallback.
type fake struct {
	*engine.Memory
	clock *clock

	mu      sync.Mutex
	errs    map[string]error // by operation
	reports []report
	sinks   map[string]func(redbreaker.Event)
	age     time.Duration // of what the handles know
	closed  []string      // names of the handles closed
	reads   int           // of the clock
}

func newFake() *fake {
	m, c := newClocked()
	return &fake{Memory: m, clock: c, errs: map[string]error{}, sinks: map[string]func(redbreaker.Event){}}
}

// breaks makes an operation fail, until err is nil.
func (f *fake) breaks(op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs[op] = err
}

func (f *fake) err(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs[op]
}

func (f *fake) reported() []report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reports
}

func (f *fake) closedHandles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// raise sends an event as a step would.
func (f *fake) raise(name string, e redbreaker.Event) {
	f.mu.Lock()
	sink := f.sinks[name]
	f.mu.Unlock()
	e.Name, e.Transition.Name = name, name
	sink(e)
}

func (f *fake) Kind() string               { return "fake" }
func (f *fake) Ping(context.Context) error { return f.err("ping") }

func (f *fake) Inspect(ctx context.Context, name string) (redbreaker.Snapshot, error) {
	if err := f.err("inspect"); err != nil {
		return redbreaker.Snapshot{}, err
	}
	return f.Memory.Inspect(ctx, name)
}

func (f *fake) Bind(name string, p redbreaker.Policy, sink func(redbreaker.Event)) (engine.Handle, error) {
	if err := f.err("bind"); err != nil {
		return nil, err
	}
	h, err := f.Memory.Bind(name, p, sink)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sinks[name] = sink
	return &fakeHandle{h, f, name}, err
}

type fakeHandle struct {
	engine.Handle
	f    *fake
	name string
}

func (h *fakeHandle) Acquire(ctx context.Context) (redbreaker.Ticket, error) {
	if err := h.f.err("acquire"); err != nil {
		return redbreaker.Ticket{}, err
	}
	return h.Handle.Acquire(ctx)
}

func (h *fakeHandle) Report(ctx context.Context, t redbreaker.Ticket, o redbreaker.Outcome, at int64, d *engine.Detail) (bool, error) {
	if err := h.f.err("report"); err != nil {
		return false, err
	}
	r := report{Outcome: o, At: at}
	if d != nil {
		r.Detail = *d
		r.Detail.Err = nil // TestHooks_transitionCarriesTheError looks at it
	}
	h.f.mu.Lock()
	h.f.reports = append(h.f.reports, r)
	h.f.mu.Unlock()
	return h.Handle.Report(ctx, t, o, at, d)
}

func (h *fakeHandle) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	if err := h.f.err("step"); err != nil {
		return engine.Reply{}, err
	}
	return h.Handle.Step(ctx, b)
}

func (h *fakeHandle) Status() redbreaker.Status {
	s := h.Handle.Status()
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	s.Age = h.f.age
	return s
}

func (h *fakeHandle) Control(ctx context.Context, c redbreaker.Command) (redbreaker.Snapshot, error) {
	if err := h.f.err("control"); err != nil {
		return redbreaker.Snapshot{}, err
	}
	return h.Handle.Control(ctx, c)
}

func (h *fakeHandle) Now() int64 {
	h.f.mu.Lock()
	h.f.reads++
	h.f.mu.Unlock()
	return h.Handle.Now()
}

func (h *fakeHandle) Close() error {
	h.f.mu.Lock()
	h.f.closed = append(h.f.closed, h.name)
	h.f.mu.Unlock()
	return h.Handle.Close()
}

// readOnly is the error of a storage that answers but takes no writes.
func readOnly(op string) *redbreaker.StorageError {
	return &redbreaker.StorageError{Class: redbreaker.ClassRefused, Op: op, Name: "dep", Err: errors.New("READONLY")}
}

// unreachable is the error of a storage that does not answer.
func unreachable(op string) *redbreaker.StorageError {
	return &redbreaker.StorageError{Class: redbreaker.ClassNotExecuted, Op: op, Name: "dep", Err: errors.New("connection refused")}
}

// inGoroutine runs f on a goroutine and waits for its end, however it ends.
func inGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// exits ends the goroutine that runs it.
func exits(context.Context) error {
	runtime.Goexit()
	return nil
}
