package cas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

func TestNewCAS_namesEveryFault(t *testing.T) {
	var none *memStore
	for _, s := range []cas.Store{nil, none} {
		_, err := cas.New(s, cas.WithTimeout(-1), cas.WithReporter(" "), nil)
		if !errors.Is(err, engine.ErrInvalid) {
			t.Fatalf("got %v, want ErrInvalid", err)
		}
		for _, word := range []string{"store is nil", "timeout -1ns", "reporter", "option 3 is nil"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q is missing in:\n%v", word, err)
			}
		}
	}
}

func TestCAS_badArguments(t *testing.T) {
	c := newCAS(t, newMemStore())
	for what, err := range map[string]error{
		"Bind without a name":    second(c.Bind("", engine.Policy{}, nil)),
		"Bind with a bad policy": second(c.Bind(name, engine.Policy{OpenFor: -1}, nil)),
		"Control without a name": second(c.Control(ctx, "", engine.Command{Action: engine.ActionTrip})),
		"Control of nothing":     second(c.Control(ctx, name, engine.Command{})),
		"Inspect without a name": second(c.Inspect(ctx, "")),
		"Control of a handle":    second(bindCAS(t, c, engine.Policy{}).Control(ctx, engine.Command{})),
		"Step":                   second(bindCAS(t, c, engine.Policy{}).Step(ctx, engine.Batch{Admissions: -1})),
	} {
		if !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestCAS_sharedByTwoProcesses(t *testing.T) {
	s := newMemStore()
	p := engine.Policy{ConsecutiveFailures: 5, OpenFor: time.Minute}
	one, two := openCAS(t, s, p), openCAS(t, s, p)
	for i := range 5 {
		h := []engine.Handle{one, two}[i%2]
		report(t, h, acquire(t, h), engine.Failure)
	}
	for _, h := range []engine.Handle{one, two} {
		_, err := h.Acquire(ctx)
		var rejected *engine.RejectedError
		if !errors.As(err, &rejected) || rejected.Reason != engine.ReasonOpen {
			t.Fatalf("got %v, want a rejection", err)
		}
	}
	s.advance(time.Minute)
	probe := acquire(t, two)
	if probe.Lease == 0 {
		t.Fatal("no lease")
	}
	if _, err := one.Acquire(ctx); !errors.Is(err, engine.ErrRejected) {
		t.Fatalf("a second probe: %v", err)
	}
	report(t, two, probe, engine.Success)
	if got := acquire(t, one); got.Lease != 0 {
		t.Fatalf("got %+v, want an admission of a closed circuit", got)
	}
	if s := two.Status(); s.State != engine.StateClosed || s.Age < 0 {
		t.Fatalf("status %+v", s)
	}
	if one.Now() <= 0 {
		t.Fatal("Now must be above 0")
	}
}

func TestCAS_writesNothingThatChangesNothing(t *testing.T) {
	s := newMemStore()
	h := openCAS(t, s, engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute})
	ticket := acquire(t, h) // makes the record
	for range 3 {
		acquire(t, h)
	}
	if got := s.done(); got != 1 {
		t.Fatalf("%d swaps after admissions while closed, want the first alone", got)
	}
	report(t, h, ticket, engine.Failure)
	before := s.blob(name)
	for range 3 {
		if _, err := h.Acquire(ctx); !errors.Is(err, engine.ErrRejected) {
			t.Fatalf("got %v, want a rejection", err)
		}
	}
	if stale, err := h.Report(ctx, ticket, engine.Failure, 0, nil); !stale || err != nil {
		t.Errorf("a late result: stale %v, %v", stale, err)
	}
	if got := s.done(); got != 2 || s.blob(name) != before {
		t.Fatalf("%d swaps after rejections, want 2", got)
	}
}

// Operations that arrive while a swap is in flight share the next one: however many
// callers, it takes one more swap, and each has a result of its own.
func TestCAS_gathers(t *testing.T) {
	const callers = 100
	s := newGate()
	c := newCAS(t, s)
	var moves []engine.Transition
	h, err := c.Bind(name, engine.Policy{ConsecutiveFailures: 3, OpenFor: time.Minute}, func(e engine.Event) {
		moves = append(moves, e.Transition)
	})
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan engine.Ticket)
	go func() {
		defer close(first)
		first <- acquire(inGoroutine(t), h)
	}()
	<-s.reached
	// The epoch is not known before the first swap is done, so these can only be
	// admissions.
	tickets := make([]engine.Ticket, callers)
	wait := together(callers, func(i int) { tickets[i] = acquire(inGoroutine(t), h) })
	waitFor(t, func() bool { return cas.Waiting(h) == callers })
	close(s.open)
	wait()
	ticket := <-first
	for _, got := range tickets {
		if got != ticket {
			t.Fatalf("got %+v, want %+v", got, ticket)
		}
	}
	if got := s.done(); got != 1 {
		t.Fatalf("%d swaps, want 1: admissions while closed write nothing", got)
	}

	// Now outcomes: three count and trip, the rest is stale, and each caller
	// learns which; a late admission is rejected.
	s.again()
	results := make(chan bool, callers)
	rejections := make(chan error, 1)
	fail := func(i int) {
		stale, err := h.Report(ctx, ticket, engine.Failure, 0, &engine.Detail{Text: fmt.Sprint("failure ", i)})
		if err != nil {
			t.Error(err)
		}
		results <- stale
	}
	go fail(0)
	<-s.reached
	for i := range callers - 1 {
		go fail(i + 1)
	}
	waitFor(t, func() bool { return cas.Waiting(h) == callers-1 })
	go func() { rejections <- second(h.Acquire(ctx)) }()
	waitFor(t, func() bool { return cas.Waiting(h) == callers })
	before := s.done()
	close(s.open)
	stale := 0
	for range callers {
		if <-results {
			stale++
		}
	}
	if stale != callers-3 {
		t.Errorf("%d stale, want %d", stale, callers-3)
	}
	if err := <-rejections; !errors.Is(err, engine.ErrRejected) {
		t.Errorf("got %v, want a rejection", err)
	}
	if got := s.done() - before; got != 2 {
		t.Errorf("%d swaps for %d operations, want 2", got, callers+1)
	}
	if len(moves) != 2 || moves[0].Cause != engine.CauseCreated || moves[1].Cause != engine.CauseConsecutive {
		t.Errorf("events %v", moves)
	}
	if !strings.HasPrefix(moves[1].Text, "failure ") {
		t.Errorf("the log has %q, not the text of the failure that tripped", moves[1].Text)
	}
}

// again closes the gate for another swap.
func (g *gate) again() {
	g.reached, g.open = make(chan struct{}), make(chan struct{})
	g.once.Store(false)
}

// together runs f n times at once. What it returns waits for the last.
func together(n int, f func(i int)) (wait func()) {
	var wg sync.WaitGroup
	wg.Add(n)
	for i := range n {
		go func() {
			defer wg.Done()
			f(i)
		}()
	}
	return wg.Wait
}

func waitFor(t testing.TB, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out")
		}
	}
}

// A caller that leaves before its operation is part of a swap has done nothing; one
// that leaves during the swap cannot know.
func TestCAS_leaving(t *testing.T) {
	// On a busy machine the timeout may end the first operation before its swap.
	timeout := 50 * time.Millisecond
	for !leaveAtTimeout(t, timeout) {
		if timeout *= 2; timeout > 20*time.Second {
			t.Fatalf("no swap within %v", timeout/2)
		}
	}
}

// leaveAtTimeout makes two calls that leave at the timeout, one during a swap. It
// returns false if the timeout came before the swap.
func leaveAtTimeout(t *testing.T, timeout time.Duration) bool {
	t.Helper()
	s := newGate()
	defer close(s.open)
	h := openCAS(t, s, engine.Policy{}, cas.WithTimeout(timeout))
	early := make(chan error, 1)
	go func() { early <- second(h.Step(ctx, engine.Batch{})) }() // in the swap
	select {
	case <-s.reached:
	case err := <-early:
		wantClass(t, err, engine.ClassNotExecuted, "step")
		return false
	}
	wantClass(t, second(h.Acquire(ctx)), engine.ClassNotExecuted, "acquire") // waits for it
	wantClass(t, <-early, engine.ClassUnknown, "step")
	if n := cas.Waiting(h); n != 0 {
		t.Errorf("%d still wait", n)
	}
	return true
}

// The context of a caller that leaves is its error.
func TestCAS_leavingByContext(t *testing.T) {
	s := newGate()
	h := openCAS(t, s, engine.Policy{})
	first := make(chan error)
	go func() { first <- second(h.Step(ctx, engine.Batch{})) }()
	<-s.reached
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.Acquire(over); err != context.Canceled {
		t.Errorf("a context that is done: %v", err)
	}
	brief, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := h.Acquire(brief); err != context.DeadlineExceeded {
		t.Errorf("the caller's own deadline: %v", err)
	}
	close(s.open)
	must(t, <-first)
}

// The lease of a caller that left while it was granted goes to the next.
func TestCAS_givesLeasesBack(t *testing.T) {
	s := newGate()
	s.once.Store(true)
	c := newCAS(t, s)
	h := bindCAS(t, c, engine.Policy{OpenFor: time.Second, HalfOpen: engine.HalfOpen{Lease: time.Hour}})
	if _, err := c.Control(ctx, name, engine.Command{Action: engine.ActionHalfOpen}); err != nil {
		t.Fatal(err)
	}
	s.again()
	leaving, cancel := context.WithCancel(ctx)
	gone := make(chan error)
	go func() { gone <- second(h.Acquire(leaving)) }()
	<-s.reached
	cancel()
	if err := <-gone; err != context.Canceled {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	close(s.open)
	waitFor(t, func() bool {
		snap, err := c.Inspect(ctx, name)
		return err == nil && snap.Probes != nil && snap.Probes.Granted == 1 && snap.Probes.Outstanding == 0
	})
	if got := acquire(t, h); got.Lease != 2 {
		t.Fatalf("got %+v, want the second lease", got)
	}
}

// An error of a swap may come after the swap: it is unknown for all that shared it,
// and is not resent.
func TestCAS_unknownSwapIsNotRepeated(t *testing.T) {
	s := &wrapped{memStore: newMemStore()}
	tries := 0
	s.swap = func(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
		tries++
		_, _ = s.memStore.Swap(ctx, name, version, blob, ttl)
		return false, errors.New("connection reset")
	}
	h := openCAS(t, s, engine.Policy{})
	wantClass(t, second(h.Acquire(ctx)), engine.ClassUnknown, "acquire")
	if tries != 1 {
		t.Errorf("%d tries, want 1", tries)
	}
	s.swap = nil
	ticket := acquire(t, h)
	s.swap = func(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
		_, _ = s.memStore.Swap(ctx, name, version, blob, ttl)
		return false, errors.New("connection reset")
	}
	_, err := h.Report(ctx, ticket, engine.Failure, 0, nil)
	wantClass(t, err, engine.ClassUnknown, "report")
	s.swap = nil
	reply, err := h.Step(ctx, engine.Batch{})
	if err != nil || reply.Epoch != ticket.Epoch {
		t.Fatalf("%+v, %v", reply, err)
	}
	if !strings.Contains(s.blob(name), "streak=1 ") {
		t.Errorf("counted more than once, or not: %s", s.blob(name))
	}
}

func TestCAS_classes(t *testing.T) {
	cause := errors.New("the cause")
	said := func(c engine.Class) error { return &engine.StorageError{Class: c, Err: cause} }
	for _, test := range []struct {
		name       string
		load, swap error
		want       engine.Class
	}{
		{"a load fails", cause, nil, engine.ClassNotExecuted},
		{"a load is refused", said(engine.ClassRefused), nil, engine.ClassRefused},
		{"a load that fails writes nothing, whatever the store says", said(engine.ClassUnknown), nil, engine.ClassNotExecuted},
		{"a swap fails", nil, cause, engine.ClassUnknown},
		{"a swap is refused", nil, said(engine.ClassRefused), engine.ClassRefused},
		{"a swap was not executed", nil, fmt.Errorf("busy: %w", said(engine.ClassNotExecuted)), engine.ClassNotExecuted},
		{"a swap of no class", nil, said(0), engine.ClassUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &wrapped{memStore: newMemStore()}
			if test.load != nil {
				s.load = func(context.Context, string) ([]byte, int64, error) { return nil, 0, test.load }
			}
			if test.swap != nil {
				s.swap = func(context.Context, string, int64, []byte, time.Duration) (bool, error) { return false, test.swap }
			}
			_, err := openCAS(t, s, engine.Policy{}).Acquire(ctx)
			wantClass(t, err, test.want, "acquire")
			if !errors.Is(err, cause) {
				t.Errorf("the cause is lost: %v", err)
			}
		})
	}
}

func TestCAS_badStores(t *testing.T) {
	s := newMemStore()
	for name, bad := range map[string]*wrapped{
		"panics in Load": {memStore: s, load: func(context.Context, string) ([]byte, int64, error) { panic("nil map") }},
		"a negative version": {memStore: s, load: func(context.Context, string) ([]byte, int64, error) {
			return nil, -1, nil
		}},
		"a blob without a version": {memStore: s, load: func(context.Context, string) ([]byte, int64, error) {
			return []byte("head 1"), 0, nil
		}},
		"a clock that fails":          {memStore: s, time: func(context.Context) (time.Time, error) { return time.Time{}, errors.New("no") }},
		"a clock before 1970":         {memStore: s, time: func(context.Context) (time.Time, error) { return time.Time{}, nil }},
		"a clock at the last instant": {memStore: s, time: func(context.Context) (time.Time, error) { return time.UnixMilli(1 << 42), nil }},
		"a clock of another world":    {memStore: s, time: func(context.Context) (time.Time, error) { return time.UnixMilli(1 << 50), nil }},
	} {
		t.Run(name, func(t *testing.T) {
			wantClass(t, second(openCAS(t, bad, engine.Policy{}).Acquire(ctx)), engine.ClassNotExecuted, "acquire")
			err := newCAS(t, bad).Ping(ctx)
			var e *engine.StorageError
			if !errors.As(err, &e) || e.Op != "ping" || e.Name != "" {
				t.Errorf("Ping: %v", err)
			}
		})
	}
	swapless := &wrapped{memStore: s, swap: func(context.Context, string, int64, []byte, time.Duration) (bool, error) { panic("nil map") }}
	wantClass(t, second(openCAS(t, swapless, engine.Policy{}).Acquire(ctx)), engine.ClassUnknown, "acquire")
	if err := newCAS(t, swapless).Ping(ctx); err != nil {
		t.Errorf("Ping writes nothing, and yet: %v", err)
	}
}

// A race that is always lost ends at the timeout. Nothing was done, and the guard
// does not count it.
func TestCAS_losesEveryRace(t *testing.T) {
	s := &wrapped{memStore: newMemStore()}
	var fair atomic.Bool
	s.swap = func(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
		if fair.Load() {
			return s.memStore.Swap(ctx, name, version, blob, ttl)
		}
		return false, nil
	}
	h := openCAS(t, s, engine.Policy{}, cas.WithTimeout(100*time.Millisecond))
	contended := 0
	waitFor(t, func() bool {
		_, err := h.Acquire(ctx)
		switch class := classOf(err); {
		case class == engine.ClassNotExecuted && strings.Contains(err.Error(), "lost every compare-and-swap race"):
			contended++
		case class == engine.ClassUnknown: // the bound fell into a swap
		case class != engine.ClassNotExecuted || !strings.Contains(err.Error(), "backing off"): // after three of those
			t.Fatalf("got %v", err)
		}
		return contended == 5
	})
	fair.Store(true)
	acquire(t, h)
}

// A store that hangs costs its callers the bound and one goroutine.
func TestCAS_hangingStore(t *testing.T) {
	s := &wrapped{memStore: newMemStore()}
	s.load = func(ctx context.Context, _ string) ([]byte, int64, error) {
		<-ctx.Done()
		return nil, 0, ctx.Err()
	}
	h := openCAS(t, s, engine.Policy{}, cas.WithTimeout(20*time.Millisecond))
	for range 3 { // calls that fail at the same time are one failure
		together(20, func(int) {
			_, err := h.Acquire(ctx)
			if class := classOf(err); class != engine.ClassNotExecuted {
				t.Errorf("got %v", err)
			}
		})()
	}
	_, err := h.Acquire(ctx)
	wantClass(t, err, engine.ClassNotExecuted, "acquire")
	if !strings.Contains(err.Error(), "backing off") {
		t.Errorf("%v; want the guard to turn it away", err)
	}
}

func TestCAS_expiry(t *testing.T) {
	const ttl = time.Hour // not half of it is spent when the circuit opens
	for _, test := range []struct {
		after time.Duration
		lost  bool
	}{{ttl - time.Millisecond, false}, {ttl, true}, {ttl + time.Millisecond, true}} {
		s := newMemStore()
		c := newCAS(t, s)
		h := bindCAS(t, c, engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute, IdleTTL: time.Hour})
		ticket := acquire(t, h)
		report(t, h, ticket, engine.Failure)
		s.mu.Lock()
		if got := s.blobs[name].expires.Sub(s.now); got != ttl {
			t.Errorf("the store got a ttl of %v, want %v", got, ttl)
		}
		s.mu.Unlock()
		s.advance(test.after)
		snap, err := c.Inspect(ctx, name)
		if err != nil || snap.Exists == test.lost {
			t.Errorf("after %v: exists %v, %v", test.after, snap.Exists, err)
		}
		if got := acquire(t, h); (got.Lease == 0) != test.lost {
			t.Errorf("after %v: ticket %+v", test.after, got)
		}
	}
}

// A mode without an end is kept without a TTL.
func TestCAS_noExpiry(t *testing.T) {
	s := newMemStore()
	c := newCAS(t, s)
	acquire(t, bindCAS(t, c, engine.Policy{}))
	if _, err := c.Control(ctx, name, engine.Command{Action: engine.ActionForceOpen}); err != nil {
		t.Fatal(err)
	}
	if e := s.blobs[name].expires; !e.IsZero() {
		t.Errorf("expires at %v", e)
	}
	s.advance(10 * 366 * 24 * time.Hour)
	if snap, err := c.Inspect(ctx, name); err != nil || snap.Mode != engine.ModeForcedOpen {
		t.Errorf("%+v, %v", snap, err)
	}
}

func TestCAS_control(t *testing.T) {
	s := newMemStore()
	c := newCAS(t, s)
	h := bindCAS(t, c, engine.Policy{OpenFor: 7 * time.Second})
	epoch := acquire(t, h).Epoch
	if _, err := c.Control(ctx, name, engine.Command{Action: engine.ActionTrip, IfEpoch: epoch + 1}); err != engine.ErrConflict {
		t.Errorf("got %v, want ErrConflict", err)
	}
	snap, err := c.Control(ctx, name, engine.Command{Action: engine.ActionTrip, Actor: "ops", Reason: "deploy"})
	if err != nil || snap.State != engine.StateOpen || snap.RetryAfter != 7*time.Second {
		t.Errorf("by name, with the stored policy: %+v, %v", snap, err)
	}
	if snap, err = h.Control(ctx, engine.Command{Action: engine.ActionForceOpen, For: time.Minute}); err != nil || snap.Mode != engine.ModeForcedOpen {
		t.Errorf("%+v, %v", snap, err)
	}
	if got := h.Status(); got.Mode != engine.ModeForcedOpen {
		t.Errorf("status %+v", got)
	}
	if snap, err = h.Control(ctx, engine.Command{Action: engine.ActionHalfOpen}); err != engine.ErrForced || snap.Mode != engine.ModeForcedOpen {
		t.Errorf("%+v, %v, want ErrForced", snap, err)
	}
	if snap, err = c.Control(ctx, "new", engine.Command{Action: engine.ActionTrip}); err != nil || snap.OpenFor != time.Minute {
		t.Errorf("an absent record takes the zero policy: %+v, %v", snap, err)
	}
}

func TestCAS_recordsOfOthers(t *testing.T) {
	for what, test := range map[string]struct {
		blob string
		want error
	}{
		"a newer schema":     {"head 2 closed auto epoch=1\n", engine.ErrNewerLayout},
		"not a record":       {"\x00\x01 PNG", engine.ErrForeignKey},
		"a head of others":   {"head junk\n", engine.ErrForeignKey},
		"fields but no head": {"tally epoch=1\n", engine.ErrForeignKey},
	} {
		t.Run(what, func(t *testing.T) {
			s := newMemStore()
			s.set(name, test.blob)
			c := newCAS(t, s)
			h := bindCAS(t, c, engine.Policy{})
			for op, err := range map[string]error{
				"acquire": second(h.Acquire(ctx)),
				"control": second(c.Control(ctx, name, engine.Command{Action: engine.ActionReset})),
				"inspect": second(c.Inspect(ctx, name)),
			} {
				wantClass(t, err, engine.ClassForeign, op)
				if !errors.Is(err, test.want) {
					t.Errorf("%s: got %v, want %v", op, err, test.want)
				}
			}
			if s.blob(name) != test.blob {
				t.Error("it was written over")
			}
		})
	}
}

// What does not read well is healed, as in Redis; an empty blob is no record.
func TestCAS_heals(t *testing.T) {
	for blob, cause := range map[string]engine.Cause{
		"head junk\ntally x\n": engine.CauseHealed, "head\nlog:00 x": engine.CauseHealed, "": engine.CauseCreated,
	} {
		s := newMemStore()
		s.set(name, blob)
		reply, err := openCAS(t, s, engine.Policy{}).Step(ctx, engine.Batch{Admissions: 1})
		if err != nil || reply.Transition.Cause != cause || reply.Granted != 1 {
			t.Errorf("%q: %+v, %v; want it %s", blob, reply, err, cause)
		}
	}
}

func TestCAS_unknownFieldsSurvive(t *testing.T) {
	s := newMemStore()
	h := openCAS(t, s, engine.Policy{})
	ticket := acquire(t, h)
	const later = "later\\sfield of a\\nlater \\\\ release\n"
	s.set(name, s.blob(name)+later)
	report(t, h, ticket, engine.Failure)
	if !strings.Contains(s.blob(name), later) || !strings.Contains(s.blob(name), "streak=1 ") {
		t.Errorf("got\n%s", s.blob(name))
	}
}

func TestCAS_ignoresWhatIsNotCounted(t *testing.T) {
	s := newMemStore()
	h := openCAS(t, s, engine.Policy{})
	report(t, h, engine.Ticket{}, engine.Failure)
	report(t, h, engine.Ticket{Epoch: 1}, engine.Ignored)
	if s.loads != 0 {
		t.Errorf("%d loads, want none", s.loads)
	}
}

func TestCAS_minReporters(t *testing.T) {
	s := newMemStore()
	p := engine.Policy{ConsecutiveFailures: 2, MinReporters: 2}
	one := openCAS(t, s, p, cas.WithReporter("web-1"))
	two := openCAS(t, s, p, cas.WithReporter("web-2"))
	ticket := acquire(t, one)
	for range 5 {
		report(t, one, ticket, engine.Failure)
	}
	if got := acquire(t, two); got != ticket {
		t.Fatal("one reporter has opened the circuit")
	}
	report(t, two, ticket, engine.Failure)
	if _, err := one.Acquire(ctx); !errors.Is(err, engine.ErrRejected) {
		t.Fatalf("got %v, want a rejection", err)
	}
}

// Without a clock of the store the hosts' clocks matter: one that is an hour
// ahead ends an open period early, and one that is behind never stretches it.
func TestCAS_clocksOfHosts(t *testing.T) {
	shared := newMemStore()
	ahead := &wrapped{memStore: shared, time: func(ctx context.Context) (time.Time, error) {
		now, err := shared.Now(ctx)
		return now.Add(time.Hour), err
	}}
	p := engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute}
	fast, right := openCAS(t, ahead, p), openCAS(t, shared, p)
	report(t, fast, acquire(t, fast), engine.Failure)
	_, err := right.Acquire(ctx)
	var rejected *engine.RejectedError
	if !errors.As(err, &rejected) || rejected.RetryAfter() > time.Minute {
		t.Fatalf("got %v, want a rejection for a minute at most", err)
	}
	shared.advance(time.Minute)
	if got := acquire(t, right); got.Lease == 0 {
		t.Fatal("no probe after a minute")
	}
}

func TestCAS_ownClock(t *testing.T) {
	type noClock struct{ cas.Store }
	h := openCAS(t, noClock{newMemStore()}, engine.Policy{})
	epoch := acquire(t, h).Epoch
	if at := time.UnixMilli(epoch / 1024); time.Since(at).Abs() > time.Minute {
		t.Errorf("the epoch was made at %v", at)
	}
}

func TestCAS_close(t *testing.T) {
	s := newGate()
	c, err := cas.New(s, cas.WithTimeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if c.Kind() != "cas" {
		t.Error(c.Kind())
	}
	h := bindCAS(t, c, engine.Policy{})
	leaving, cancel := context.WithCancel(ctx)
	gone := make(chan error)
	go func() { gone <- second(h.Acquire(leaving)) }()
	<-s.reached
	cancel()
	if err := <-gone; err != context.Canceled { // the store still holds it
		t.Fatalf("got %v, want context.Canceled", err)
	}
	closed := make(chan error)
	go func() { closed <- c.Close() }()
	waitFor(t, func() bool { return errors.Is(c.Ping(ctx), engine.ErrStopped) })
	select {
	case err := <-closed:
		t.Fatalf("Close has not waited: %v", err)
	default:
	}
	close(s.open)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Acquire": second(h.Acquire(ctx)),
		"Control": second(c.Control(ctx, name, engine.Command{Action: engine.ActionTrip})),
		"Inspect": second(c.Inspect(ctx, name)),
		"Bind":    second(c.Bind(name, engine.Policy{}, nil)),
	} {
		if err != engine.ErrStopped {
			t.Errorf("%s: got %v, want ErrStopped", what, err)
		}
	}
}

// Close names a store that ignores its contexts.
func TestCAS_closeGivesUp(t *testing.T) {
	s := newGate()
	c, err := cas.New(s, cas.WithTimeout(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	h := bindCAS(t, c, engine.Policy{})
	waitFor(t, func() bool {
		_, _ = h.Acquire(ctx) // its timeout may come before the swap
		select {
		case <-s.reached:
			return true
		default:
			return false
		}
	})
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "let it return when their contexts end") {
		t.Errorf("got %v", err)
	}
	close(s.open)
	waitFor(t, func() bool { return s.done() == 1 })
}

func TestCAS_closedHandle(t *testing.T) {
	h := openCAS(t, newMemStore(), engine.Policy{})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Acquire": second(h.Acquire(ctx)),
		"Step":    second(h.Step(ctx, engine.Batch{})),
		"Control": second(h.Control(ctx, engine.Command{Action: engine.ActionTrip})),
	} {
		if err != engine.ErrStopped {
			t.Errorf("%s: got %v, want ErrStopped", what, err)
		}
	}
}
