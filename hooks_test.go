package redbreaker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
)

// recorder records the calls of hooks, one line each.
type recorder chan string

func newRecorder() recorder { return make(recorder, 1000) }

func (r recorder) hooks() redbreaker.Hooks {
	note := func(hook string) func(redbreaker.Event) {
		return func(e redbreaker.Event) { r <- fmt.Sprint(hook, " ", e.Kind, " ", e.Name) }
	}
	return redbreaker.Hooks{
		OnTransition: func(t redbreaker.Transition) { r <- fmt.Sprint("transition ", t.Cause, " ", t.Name) },
		OnCall: func(_ context.Context, c redbreaker.CallResult) {
			r <- fmt.Sprint("outcome ", c.Outcome, " ", c.Name, " ", c.Elapsed)
		},
		OnReject: func(_ context.Context, e *redbreaker.RejectedError) {
			r <- fmt.Sprint("reject ", e.Reason, " ", e.Name)
		},
		OnDegraded: note("degraded"),
		OnRestored: note("restored"),
		OnAnomaly:  note("anomaly"),
	}
}

// want waits for these lines, in this order.
func (r recorder) want(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if got := next(t, r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHooks_inline(t *testing.T) {
	events := newRecorder()
	store := newFake()
	h := events.hooks()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store),
		redbreaker.WithHooks(redbreaker.Hooks{OnCall: h.OnCall, OnReject: h.OnReject}))
	_ = b.Do(ctx, func(context.Context) error { store.clock.advance(3 * time.Millisecond); return nil })
	p := acquire(t, b)
	p.Ignore()
	_ = b.Do(ctx, fail)
	_ = b.Do(ctx, succeed)
	_, _ = b.Acquire(ctx)
	events.want(t, "outcome success dep 3ms", "outcome ignored dep 0s", "outcome failure dep 0s", "reject open dep", "reject open dep")
	// Not let through, but not rejected either.
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_ = b.Do(cancelled, succeed)
	b.Stop()
	_ = b.Do(ctx, succeed)
	if len(events) != 0 {
		t.Errorf("got %q", <-events)
	}
}

func TestHooks_uncountedCallsHaveOutcomes(t *testing.T) {
	events := newRecorder()
	b := newBreaker(t, opensAtOnce, redbreaker.WithHooks(redbreaker.Hooks{OnCall: func(_ context.Context, r redbreaker.CallResult) {
		events <- r.Outcome.String()
	}}))
	control(t, b, redbreaker.Command{Action: redbreaker.ActionForceClosed})
	_ = b.Do(ctx, fail)
	events.want(t, "failure")
}

func TestHooks_panickingCallHasAnOutcome(t *testing.T) {
	events := newRecorder()
	b := newBreaker(t, opensAtOnce, redbreaker.WithHooks(redbreaker.Hooks{OnCall: func(_ context.Context, r redbreaker.CallResult) {
		events <- r.Outcome.String()
		panic("hook")
	}}))
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v: the shield of the hook took the panic of the call", got)
			}
		}()
		_ = b.Do(ctx, func(context.Context) error { panic("boom") })
	}()
	events.want(t, "failure")
	wantState(t, b, redbreaker.StateOpen)
}

func TestHooks_transitionsInOrder(t *testing.T) {
	events := newRecorder()
	store, clock := newClocked()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store),
		redbreaker.WithHooks(redbreaker.Hooks{OnTransition: events.hooks().OnTransition}))
	_ = b.Do(ctx, fail)
	clock.advance(time.Minute)
	_ = b.Do(ctx, succeed)
	control(t, b, redbreaker.Command{Action: redbreaker.ActionShadow})
	events.want(t, "transition created dep", "transition consecutive dep", "transition elapsed dep",
		"transition recovered dep", "transition operator dep")
}

func TestHooks_kinds(t *testing.T) {
	events := newRecorder()
	store := newFake()
	newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithHooks(events.hooks()))
	for k := redbreaker.EventTransition; k <= redbreaker.EventDropped+1; k++ { // and one that is not known here
		store.raise("dep", redbreaker.Event{Kind: k, Transition: redbreaker.Transition{Cause: "cause"}})
	}
	events.want(t,
		"transition cause dep",
		"transition cause dep", "anomaly healed dep",
		"anomaly lost dep",
		"anomaly skew dep",
		"anomaly probe_overdue dep",
		"degraded degraded dep",
		"restored restored dep",
		"anomaly dropped dep",
	)
}

func TestHooks_addUp(t *testing.T) {
	one, two := newRecorder(), newRecorder()
	store := newFake()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithHooks(one.hooks()),
		redbreaker.WithHooks(redbreaker.Hooks{}), redbreaker.WithHooks(two.hooks()))
	_ = b.Do(ctx, fail)
	for _, events := range []recorder{one, two} {
		var got []string
		for range 3 {
			got = append(got, next(t, events))
		}
		if all := strings.Join(got, "\n"); !strings.Contains(all, "outcome failure dep 0s") || !strings.Contains(all, "transition consecutive dep") {
			t.Errorf("got %q", got)
		}
	}
}

// The oldest events are dropped, and the gap is reported in its place.
func TestHooks_fullQueueDropsTheOldest(t *testing.T) {
	store := newFake()
	busy, release := make(chan bool), make(chan bool)
	events := newRecorder()
	newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithHooks(redbreaker.Hooks{
		OnTransition: func(tr redbreaker.Transition) {
			if tr.Epoch == 0 {
				busy <- true
				<-release
			}
			events <- fmt.Sprint(tr.Epoch)
		},
		OnAnomaly: func(e redbreaker.Event) { events <- fmt.Sprint(e.Kind, " ", e.Dropped, " ", e.Name) },
	}))
	move := func(epoch int64) {
		store.raise("dep", redbreaker.Event{Kind: redbreaker.EventTransition, Transition: redbreaker.Transition{Epoch: epoch}})
	}
	move(0)
	next(t, busy)
	for epoch := range int64(256 + 44) {
		move(epoch + 1)
	}
	close(release)
	events.want(t, "0", "dropped 44 dep", "45", "46")
	for epoch := 47; epoch <= 300; epoch++ {
		events.want(t, fmt.Sprint(epoch))
	}
}

func TestHooks_misbehave(t *testing.T) {
	logged := captureLog(t)
	store := newFake()
	events := newRecorder()
	var b *redbreaker.Breaker
	b = newBreaker(t, opensAtOnce, redbreaker.WithStorage(store),
		redbreaker.WithHooks(redbreaker.Hooks{
			OnTransition: func(tr redbreaker.Transition) {
				switch tr.Epoch {
				case 1:
					panic("hook")
				case 2:
					runtime.Goexit()
				case 3:
					_ = b.Do(ctx, fail) // raises more events
					_ = b.Do(ctx, succeed)
				case 4:
					b.Stop()
				}
			},
			OnCall:   func(context.Context, redbreaker.CallResult) { panic("hook") },
			OnReject: func(context.Context, *redbreaker.RejectedError) { panic("hook") },
		}),
		redbreaker.WithHooks(redbreaker.Hooks{
			OnTransition: func(tr redbreaker.Transition) { events <- fmt.Sprint(tr.Epoch < 10, " ", tr.Cause) },
			OnReject:     func(context.Context, *redbreaker.RejectedError) { events <- "reject" },
		}))
	for epoch := range int64(3) {
		store.raise("dep", redbreaker.Event{Kind: redbreaker.EventTransition, Transition: redbreaker.Transition{Epoch: epoch + 1}})
		events.want(t, map[int64]string{0: "true ", 1: "true ", 2: "reject"}[epoch])
	}
	events.want(t, "true ", "false created", "false consecutive")
	store.raise("dep", redbreaker.Event{Kind: redbreaker.EventTransition, Transition: redbreaker.Transition{Epoch: 4}})
	events.want(t, "true ")
	store.raise("dep", redbreaker.Event{Kind: redbreaker.EventTransition, Transition: redbreaker.Transition{Epoch: 5}})
	wantErr(t, b.Do(ctx, succeed), redbreaker.ErrStopped)
	if got := strings.Count(logged.String(), "a hook panicked"); got != 1 {
		t.Errorf("panics are logged %d times, want once", got)
	}
	if len(events) != 0 {
		t.Errorf("got %q after Stop", <-events)
	}
}

// A hook that exits its goroutine inline ends the caller's, but the call counts.
func TestHooks_inlineGoexit(t *testing.T) {
	b := newBreaker(t, opensAtOnce, redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(context.Context, redbreaker.CallResult) { runtime.Goexit() },
	}))
	inGoroutine(func() { _ = b.Do(ctx, fail) })
	wantState(t, b, redbreaker.StateOpen)
}

func TestLogHooks(t *testing.T) {
	var out syncBuffer
	store := newFake()
	done := newRecorder()
	newBreaker(t, opensAtOnce, redbreaker.WithStorage(store),
		redbreaker.WithHooks(redbreaker.LogHooks(newLogger(&out))),
		redbreaker.WithHooks(redbreaker.Hooks{OnAnomaly: done.hooks().OnAnomaly}))
	opened := redbreaker.Transition{To: redbreaker.StateOpen, Cause: redbreaker.CauseConsecutive, Own: true}
	closed := redbreaker.Transition{From: redbreaker.StateHalfOpen, Cause: redbreaker.CauseRecovered, Own: true}
	foreign := opened
	foreign.Own = false
	for _, e := range []redbreaker.Event{
		{Kind: redbreaker.EventTransition, Transition: opened},
		{Kind: redbreaker.EventTransition, Transition: closed},
		{Kind: redbreaker.EventTransition, Transition: foreign},
		{Kind: redbreaker.EventDegraded, Err: errDown},
		{Kind: redbreaker.EventRestored, Outage: time.Second},
		{Kind: redbreaker.EventLost, Epoch: 7},
		{Kind: redbreaker.EventSkew, Policy: "abcd"},
		{Kind: redbreaker.EventDropped, Dropped: 3},
		{Kind: redbreaker.EventProbeOverdue, Took: time.Minute, Lease: time.Second},
		{Kind: redbreaker.EventUnlisted, Err: errDown},
		{Kind: redbreaker.EventMissed, Missed: -1},
		{Kind: redbreaker.EventPushLost, Err: errDown},
		{Kind: redbreaker.EventHealed, Transition: redbreaker.Transition{Cause: redbreaker.CauseHealed, Own: true}},
	} {
		store.raise("dep", e)
	}
	for range 8 {
		next(t, done)
	}
	want := `level=WARN msg="redbreaker: transition" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.from=closed redbreaker.circuit_breaker.to=open redbreaker.circuit_breaker.mode=auto redbreaker.circuit_breaker.cause=consecutive transition="closed > open (consecutive)"
level=INFO msg="redbreaker: transition" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.from=half_open redbreaker.circuit_breaker.to=closed redbreaker.circuit_breaker.mode=auto redbreaker.circuit_breaker.cause=recovered transition="half_open > closed (recovered)"
level=DEBUG msg="redbreaker: transition" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.from=closed redbreaker.circuit_breaker.to=open redbreaker.circuit_breaker.mode=auto redbreaker.circuit_breaker.cause=consecutive transition="closed > open (consecutive)"
level=WARN msg="redbreaker: storage unavailable, the fallback decides" redbreaker.circuit_breaker.name=dep error="dependency is down"
level=INFO msg="redbreaker: storage available again" redbreaker.circuit_breaker.name=dep outage=1s admitted=0 rejected=0 outcomes=0
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=lost epoch=7
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=skew policy=abcd
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=dropped dropped=3
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=probe_overdue probe.took=1m0s probe.lease=1s
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=unlisted error="dependency is down"
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=missed missed=-1
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=push_lost error="dependency is down"
level=INFO msg="redbreaker: transition" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.from=closed redbreaker.circuit_breaker.to=closed redbreaker.circuit_breaker.mode=auto redbreaker.circuit_breaker.cause=healed transition="closed > closed (healed)"
level=WARN msg="redbreaker: anomaly" redbreaker.circuit_breaker.name=dep redbreaker.circuit_breaker.anomaly=healed transition="closed > closed (healed)"
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// newLogger logs without the time.
func newLogger(out *syncBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// captureLog replaces slog's default logger during a test.
func captureLog(t *testing.T) *syncBuffer {
	t.Helper()
	out := &syncBuffer{}
	old := slog.Default()
	slog.SetDefault(newLogger(out))
	t.Cleanup(func() { slog.SetDefault(old) })
	return out
}

// A circuit whose probes are all ignored stays half-open, and says so once.
func TestHooks_probesIgnored(t *testing.T) {
	m, clock := newClocked()
	var heard []redbreaker.Event
	b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Second},
		redbreaker.WithStorage(m),
		redbreaker.WithClassifier(redbreaker.IgnoreIf(func(err error) bool { return errors.Is(err, io.EOF) })),
		redbreaker.WithHooks(redbreaker.Hooks{OnAnomaly: func(e redbreaker.Event) { heard = append(heard, e) }}))
	_ = b.Do(ctx, func(context.Context) error { return errDown })
	clock.advance(time.Minute)
	for range 30 {
		if err := b.Do(ctx, func(context.Context) error { return io.EOF }); !errors.Is(err, io.EOF) {
			t.Fatalf("a probe got %v", err)
		}
	}
	if s := b.State(); s != redbreaker.StateHalfOpen {
		t.Errorf("the circuit is %v", s)
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if len(heard) != 1 || heard[0].Kind != redbreaker.EventProbesIgnored || heard[0].Epoch == 0 {
		t.Errorf("got the anomalies %v, want probes_ignored once", heard)
	}
}
