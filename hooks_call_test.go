package redbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/redbreaker/redbreaker"
)

type contextKey struct{}

// calls records the results that OnCall gets, with the value of their contexts.
type calls struct {
	results []redbreaker.CallResult
	values  []any
}

func (c *calls) hook() redbreaker.Option {
	return redbreaker.WithHooks(redbreaker.Hooks{OnCall: func(ctx context.Context, r redbreaker.CallResult) {
		c.results = append(c.results, r)
		c.values = append(c.values, ctx.Value(contextKey{}))
	}})
}

func (c *calls) want(t *testing.T, want ...redbreaker.CallResult) {
	t.Helper()
	for i := range want {
		want[i].Name = "dep"
	}
	if diff := cmp.Diff(want, c.results, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	c.results, c.values = nil, nil
}

func TestOnCall_results(t *testing.T) {
	store := newFake()
	var c calls
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), c.hook())
	marked := context.WithValue(ctx, contextKey{}, "trace")
	_ = b.Do(marked, func(context.Context) error { store.clock.advance(time.Second); return nil })
	if c.values[0] != "trace" {
		t.Errorf("OnCall got a context with %v, want the caller's", c.values[0])
	}
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success, Elapsed: time.Second})

	_, _ = redbreaker.CallCheck(ctx, b, func(int, error) error { return errDown }, func(context.Context) (int, error) { return 0, nil })
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Failure, Err: errDown}) // what the check returned
	wantState(t, b, redbreaker.StateOpen)

	// A probe; its permit ends in another round.
	store.clock.advance(time.Minute)
	probe := acquire(t, b)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
	probe.Failure(errDown)
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Failure, Err: errDown, Probe: true, Stale: true})

	late := acquire(t, b)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
	late.Success()
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success, Stale: true})

	acquire(t, b).Ignore()
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Ignored})

	acquire(t, b).Settle(marked, errDown)
	if c.values[0] != "trace" {
		t.Errorf("OnCall got a context with %v, want that of Settle", c.values[0])
	}
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Failure, Err: errDown})
}

// Calls that are admitted uncounted are those that forced closed, shadow and
// FallbackAllow admit.
func TestOnCall_uncounted(t *testing.T) {
	store := newFake()
	var c calls
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithFallback(redbreaker.FallbackAllow), c.hook(),
		redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: func(redbreaker.Event) {}}))
	control(t, b, redbreaker.Command{Action: redbreaker.ActionForceClosed})
	_ = b.Do(ctx, succeed)
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success, Uncounted: true})

	control(t, b, redbreaker.Command{Action: redbreaker.ActionShadow})
	_ = b.Do(ctx, fail)
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Failure, Err: errDown})
	_ = b.Do(ctx, succeed) // the circuit would reject it
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success, Uncounted: true, WouldReject: true})

	control(t, b, redbreaker.Command{Action: redbreaker.ActionRelease})
	store.breaks("acquire", unreachable("acquire"))
	_ = b.Do(ctx, succeed)
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success, Uncounted: true})
}

func TestOnCall_panic(t *testing.T) {
	var c calls
	store, _ := newClocked()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), c.hook())
	func() {
		defer func() { _ = recover() }()
		_ = b.Do(ctx, func(context.Context) error { panic("boom") })
	}()
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Failure, Err: redbreaker.ErrPanicked})
}

func TestOnReject_getsTheCallersContext(t *testing.T) {
	var value any
	b := newBreaker(t, opensAtOnce, redbreaker.WithHooks(redbreaker.Hooks{
		OnReject: func(ctx context.Context, e *redbreaker.RejectedError) { value = ctx.Value(contextKey{}) },
	}))
	_ = b.Do(ctx, fail)
	_, err := b.Acquire(context.WithValue(ctx, contextKey{}, "trace"))
	wantRejected(t, err, redbreaker.ReasonOpen)
	if value != "trace" {
		t.Errorf("OnReject got a context with %v, want the caller's", value)
	}
}

// The process that reported the last failure knows its error; the record has only
// its type.
func TestHooks_transitionCarriesTheError(t *testing.T) {
	moves := make(chan redbreaker.Transition, 10)
	hook := redbreaker.WithHooks(redbreaker.Hooks{OnTransition: func(tr redbreaker.Transition) { moves <- tr }})
	for name, store := range map[string]redbreaker.Storage{"memory": newFake().Memory, "other": newFake()} {
		t.Run(name, func(t *testing.T) {
			b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 2}, redbreaker.WithStorage(store), hook)
			_ = b.Do(ctx, fail)
			own := errors.New("the second one")
			_ = b.Do(ctx, func(context.Context) error { return own })
			if created := next(t, moves); created.Err != nil {
				t.Errorf("the record's creation has the error %v", created.Err)
			}
			opened := next(t, moves)
			if opened.Cause != redbreaker.CauseConsecutive || opened.Err != own || opened.Text != "*errors.errorString" {
				t.Errorf("opened by %+v", opened)
			}
			if n := opened.Tallies(); n.Streak != 2 {
				t.Errorf("tallies %+v, want a streak of 2", n)
			}
			r := wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
			if r.Opened == nil || r.Opened.Err != own || r.Opened.N != opened.N || r.Unwrap() != nil {
				t.Errorf("rejected after %+v, wrapping %v", r.Opened, r.Unwrap())
			}
			control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
			if reset := next(t, moves); reset.Err != nil {
				t.Errorf("a command has the error %v", reset.Err)
			}
			func() {
				defer func() { _ = recover() }()
				_ = b.Do(ctx, fail)
				_ = b.Do(ctx, func(context.Context) error { panic("boom") })
			}()
			if opened := next(t, moves); opened.Err != redbreaker.ErrPanicked {
				t.Errorf("opened by a panic with the error %v", opened.Err)
			}
		})
	}
}

// Hooks that do not use the length of calls cost no reading of the clock; one hook
// that does is enough to read it for all.
func TestOnCall_untimed(t *testing.T) {
	untimed := redbreaker.Hooks{OnCall: func(context.Context, redbreaker.CallResult) {}, Untimed: true}
	takesASecond := func(store *fake) func(context.Context) error {
		return func(context.Context) error { store.clock.advance(time.Second); return nil }
	}
	store := newFake()
	var c calls
	hook := redbreaker.Hooks{Untimed: true, OnCall: func(_ context.Context, r redbreaker.CallResult) { c.results = append(c.results, r) }}
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithHooks(hook))
	_ = b.Do(ctx, takesASecond(store))
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success})
	acquire(t, b).Success()
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success})

	store = newFake()
	b = newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithHooks(untimed), c.hook())
	_ = b.Do(ctx, takesASecond(store))
	c.want(t, redbreaker.CallResult{Outcome: redbreaker.Success, Elapsed: time.Second})
}

func TestCallResult_errorType(t *testing.T) {
	for want, err := range map[string]error{
		"":                    nil,
		"panic":               redbreaker.ErrPanicked,
		"*net.OpError":        fmt.Errorf("charge: %w", &net.OpError{}),
		"*errors.errorString": errDown,
	} {
		if got := (redbreaker.CallResult{Err: err}).ErrorType(); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// Hooks with a SuccessCounter get no plain success: the breaker counts it. All other
// calls come to OnCall, and other hooks get all calls.
func TestSuccessCounter(t *testing.T) {
	store := newFake()
	var counter redbreaker.SuccessCounter
	var rest, all calls
	counting := redbreaker.Hooks{
		Untimed: true,
		OnCall:  func(_ context.Context, r redbreaker.CallResult) { rest.results = append(rest.results, r) },
		SuccessCounter: func(name string) *redbreaker.SuccessCounter {
			if name == "dep" {
				return &counter
			}
			return nil
		},
	}
	for _, others := range [][]redbreaker.Option{nil, {all.hook()}} {
		before := counter.Load()
		b := newBreaker(t, opensAtOnce, append(others, redbreaker.WithStorage(store), redbreaker.WithHooks(counting))...)
		_ = b.Do(ctx, succeed)
		acquire(t, b).Success()
		stale := acquire(t, b)
		control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
		stale.Success()
		control(t, b, redbreaker.Command{Action: redbreaker.ActionForceClosed})
		_ = b.Do(ctx, succeed)
		control(t, b, redbreaker.Command{Action: redbreaker.ActionRelease})
		_ = b.Do(ctx, fail)
		rest.want(t, redbreaker.CallResult{Outcome: redbreaker.Success, Stale: true},
			redbreaker.CallResult{Outcome: redbreaker.Success, Uncounted: true}, redbreaker.CallResult{Outcome: redbreaker.Failure, Err: errDown})
		if n := counter.Load() - before; n != 2 {
			t.Errorf("%d successes were counted, want 2", n)
		}
		control(t, b, redbreaker.Command{Action: redbreaker.ActionReset})
		b.Stop()
	}
	if len(all.results) != 5 {
		t.Errorf("a hook without a counter got %d calls, want all 5", len(all.results))
	}
}

// A breaker whose name has no counter calls OnCall for all calls; a Hooks may have a
// counter alone.
func TestSuccessCounter_byName(t *testing.T) {
	var a, b redbreaker.SuccessCounter
	counters := map[string]*redbreaker.SuccessCounter{"a": &a, "b": &b, "c": &a}
	r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{}, redbreaker.WithHooks(redbreaker.Hooks{
		SuccessCounter: func(name string) *redbreaker.SuccessCounter { return counters[name] },
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	for _, name := range []string{"a", "b", "c", "none", "a"} {
		breaker, err := r.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = breaker.Do(ctx, succeed)
	}
	if a.Load() != 3 || b.Load() != 1 {
		t.Errorf("counted %d and %d, want 3 and 1", a.Load(), b.Load())
	}
}

func TestSuccessCounter_concurrent(t *testing.T) {
	var counter redbreaker.SuccessCounter
	var all sync.WaitGroup
	for range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 1000 {
				counter.Add()
			}
		}()
	}
	all.Wait()
	if counter.Load() != 16_000 {
		t.Errorf("counted %d, want 16000", counter.Load())
	}
}
