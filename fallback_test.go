package redbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// outages makes a breaker over a storage, and what its hooks receive in outages.
func outages(t *testing.T, opts ...redbreaker.Option) (*redbreaker.Breaker, *fake, chan redbreaker.Event) {
	t.Helper()
	store := newFake()
	events := make(chan redbreaker.Event, 100)
	note := func(e redbreaker.Event) { events <- e }
	b := newBreaker(t, opensAtOnce, append(opts, redbreaker.WithStorage(store),
		redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: note, OnRestored: note}))...)
	return b, store, events
}

func wantEvent(t *testing.T, events chan redbreaker.Event, kind redbreaker.EventKind) redbreaker.Event {
	t.Helper()
	e := next(t, events)
	if e.Kind != kind || e.Name != "dep" {
		t.Fatalf("got %+v, want %v", e, kind)
	}
	return e
}

func TestFallbackAllow(t *testing.T) {
	b, store, events := outages(t, redbreaker.WithFallback(redbreaker.FallbackAllow))
	store.breaks("acquire", unreachable("acquire"))
	for range 3 {
		wantErr(t, b.Do(ctx, fail), errDown) // runs, and is not counted
	}
	p := acquire(t, b)
	p.Failure(errDown)
	e := wantEvent(t, events, redbreaker.EventDegraded)
	wantText(t, e.Err, "redbreaker: acquire dep: storage error (not executed): connection refused")
	if !b.Status().Degraded {
		t.Error("the status is not Degraded")
	}

	store.clock.advance(90 * time.Second)
	store.breaks("acquire", nil)
	if err := b.Do(ctx, succeed); err != nil {
		t.Error(err)
	}
	if e := wantEvent(t, events, redbreaker.EventRestored); e.Outage != 90*time.Second || e.Admitted != 4 || e.Rejected != 0 {
		t.Errorf("got %+v, want 1m30s with 4 calls admitted", e)
	}
	if b.Status().Degraded || len(events) != 0 {
		t.Errorf("degraded %v after the outage, %d more events", b.Status().Degraded, len(events))
	}
	if r := store.reported(); len(r) != 1 || r[0].Outcome != redbreaker.Success {
		t.Errorf("reported %v, want the last call only", r)
	}
}

func TestFallbackDeny(t *testing.T) {
	var rejected []*redbreaker.RejectedError
	b, store, events := outages(t, redbreaker.WithFallback(redbreaker.FallbackDeny),
		redbreaker.WithHooks(redbreaker.Hooks{OnReject: func(_ context.Context, e *redbreaker.RejectedError) { rejected = append(rejected, e) }}))
	cause := unreachable("acquire")
	store.breaks("acquire", cause)
	err := b.Do(ctx, func(context.Context) error { t.Error("the function ran"); return nil })
	r := wantRejected(t, err, redbreaker.ReasonUnavailable)
	if r.Err != cause || r.Name != "dep" || r.RetryAfter() != 0 {
		t.Errorf("rejection %+v", r)
	}
	wantErr(t, err, cause)
	wantText(t, err, "redbreaker: dep: call rejected: unavailable: redbreaker: acquire dep: storage error (not executed): connection refused")
	if len(rejected) != 1 {
		t.Errorf("OnReject was called %d times", len(rejected))
	}
	wantEvent(t, events, redbreaker.EventDegraded)
}

// A call never returns an error of the storage, not even one of an unknown type.
func TestFallback_foreignError(t *testing.T) {
	b, store, events := outages(t)
	store.breaks("acquire", errors.New("surprise"))
	wantErr(t, b.Do(ctx, fail), errDown)
	e := wantEvent(t, events, redbreaker.EventDegraded)
	wantText(t, e.Err, "redbreaker: acquire dep: storage error (unknown): surprise")
}

func TestFallback_reportChangesNoResult(t *testing.T) {
	b, store, events := outages(t)
	store.breaks("report", readOnly("report"))
	if err := b.Do(ctx, succeed); err != nil {
		t.Errorf("Do: %v", err)
	}
	wantErr(t, b.Do(ctx, fail), errDown)
	e := wantEvent(t, events, redbreaker.EventDegraded)
	wantText(t, e.Err, "redbreaker: report dep: storage error (refused): READONLY")
	// Admissions that work do not end what results have begun.
	if !b.Status().Degraded || len(events) != 0 {
		t.Errorf("degraded %v, %d more events", b.Status().Degraded, len(events))
	}
	store.clock.advance(2 * time.Second)
	store.breaks("report", errors.New("surprise"))
	_ = b.Do(ctx, succeed)
	store.breaks("report", nil)
	store.clock.advance(2 * time.Second)
	_ = b.Do(ctx, succeed)
	wantEvent(t, events, redbreaker.EventRestored)
}

// Both operations fail; the outage ends when both work again.
func TestFallback_oneOutageForBoth(t *testing.T) {
	b, store, events := outages(t)
	p := acquire(t, b)
	store.breaks("acquire", unreachable("acquire"))
	store.breaks("report", unreachable("report"))
	_ = b.Do(ctx, succeed)
	p.Success()
	wantEvent(t, events, redbreaker.EventDegraded)
	store.breaks("acquire", nil)
	_ = b.Do(ctx, succeed) // its report fails
	if !b.Status().Degraded {
		t.Error("restored while results are lost")
	}
	store.breaks("report", nil)
	store.clock.advance(2 * time.Second)
	_ = b.Do(ctx, succeed)
	wantEvent(t, events, redbreaker.EventRestored)
	if len(events) != 0 {
		t.Errorf("got %+v too", <-events)
	}
}

// A rejection is an answer of the storage, so it ends an outage.
func TestFallback_rejectionEndsTheOutage(t *testing.T) {
	b, store, events := outages(t)
	_ = b.Do(ctx, fail)
	store.breaks("acquire", unreachable("acquire"))
	_ = b.Do(ctx, succeed)
	wantEvent(t, events, redbreaker.EventDegraded)
	store.breaks("acquire", nil)
	store.clock.advance(2 * time.Second)
	wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
	wantEvent(t, events, redbreaker.EventRestored)
}

// The end of the caller's context is no failure of the storage.
func TestFallback_callersDeadline(t *testing.T) {
	b, store, events := outages(t)
	short, cancel := context.WithCancel(ctx)
	store.breaks("acquire", contextEnds{cancel})
	if err := b.Do(short, succeed); err != context.Canceled {
		t.Errorf("got %v, want the context's error", err)
	}
	if b.Status().Degraded || len(events) != 0 {
		t.Error("the storage was blamed")
	}
}

// contextEnds is an error that cancels the caller's context when it is examined.
type contextEnds struct{ cancel context.CancelFunc }

func (e contextEnds) Error() string        { return "context canceled" }
func (e contextEnds) Is(target error) bool { e.cancel(); return target == context.Canceled }

// The fallback of a newer schema is the same; OnDegraded gets the error, which says what to do.
func TestFallback_recordOfANewerRelease(t *testing.T) {
	b, store, events := outages(t)
	store.breaks("acquire", &redbreaker.StorageError{Class: redbreaker.ClassForeign, Op: "acquire", Name: "dep", Err: redbreaker.ErrNewerLayout})
	if err := b.Do(ctx, succeed); err != nil {
		t.Error(err)
	}
	wantErr(t, wantEvent(t, events, redbreaker.EventDegraded).Err, redbreaker.ErrNewerLayout)
}

// Many breakers notice an outage of their storage; the log has one line for its
// beginning and one for its end. The hooks of a breaker replace these lines.
func TestFallback_logsOncePerStorageAndChange(t *testing.T) {
	const n = 50
	out := captureLog(t)
	store, other := newFake(), newFake()
	var breakers []*redbreaker.Breaker
	add := func(name string, s *fake, opts ...redbreaker.Option) *redbreaker.Breaker {
		b, err := redbreaker.New(name, opensAtOnce, append(opts, redbreaker.WithStorage(s))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Stop)
		breakers = append(breakers, b)
		return b
	}
	for i := range n {
		add(fmt.Sprint("dep-", i), store)
	}
	events := make(chan redbreaker.Event, 10)
	note := func(e redbreaker.Event) { events <- e }
	add("with hooks", store, redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: note, OnRestored: note}))
	add("elsewhere", other)

	everyoneCalls := func() {
		for _, b := range breakers {
			_ = b.Do(ctx, succeed)
		}
	}
	lines := func(want int, what string) string {
		t.Helper()
		awaitHooks(t, breakers)
		text := out.String()
		if got := strings.Count(text, "\n"); got != want {
			t.Fatalf("%s: %d lines, want %d:\n%s", what, got, want, text)
		}
		return text
	}
	for outage := range 2 {
		store.breaks("acquire", unreachable("acquire"))
		everyoneCalls()
		everyoneCalls()
		text := lines(2*outage+1, "after the beginning")
		if want := `level=WARN msg="redbreaker: storage unavailable, the fallback decides; other breakers of this storage are not logged" redbreaker.storage.kind=fake redbreaker.circuit_breaker.name=dep-`; strings.Count(text, want) != outage+1 ||
			!strings.Contains(text, "storage error (not executed): connection refused") {
			t.Errorf("the log of the beginning:\n%s", text)
		}
		store.breaks("acquire", nil)
		store.clock.advance(2 * time.Second)
		everyoneCalls()
		text = lines(2*outage+2, "after the end")
		if want := `level=INFO msg="redbreaker: storage available again" redbreaker.storage.kind=fake outage=`; strings.Count(text, want) != outage+1 {
			t.Errorf("the log of the end:\n%s", text)
		}
		wantKind := func(k redbreaker.EventKind) {
			if e := next(t, events); e.Kind != k || e.Name != "with hooks" {
				t.Errorf("the hooks got %+v, want %v", e, k)
			}
		}
		wantKind(redbreaker.EventDegraded)
		wantKind(redbreaker.EventRestored)
	}

	// An outage of another storage is another outage.
	other.breaks("acquire", unreachable("acquire"))
	everyoneCalls()
	lines(5, "after another storage has failed")
}

// awaitHooks waits until no event of the breakers waits for hooks.
func awaitHooks(t *testing.T, breakers []*redbreaker.Breaker) {
	t.Helper()
	for _, b := range breakers {
		if err := b.WaitForHooksForTest(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// Concurrent calls begin and end one outage.
func TestFallback_concurrent(t *testing.T) {
	b, store, events := outages(t)
	store.breaks("acquire", unreachable("acquire"))
	together := func() {
		var all sync.WaitGroup
		for range 8 {
			all.Add(1)
			go func() { defer all.Done(); _ = b.Do(ctx, succeed) }()
		}
		all.Wait()
	}
	together()
	store.breaks("acquire", nil)
	store.clock.advance(2 * time.Second)
	together()
	wantEvent(t, events, redbreaker.EventDegraded)
	wantEvent(t, events, redbreaker.EventRestored)
	if len(events) != 0 {
		t.Errorf("got %+v too", <-events)
	}
}

// A storage may be of a type that no map takes as its key.
func TestFallback_logsAnIncomparableStorage(t *testing.T) {
	out := captureLog(t)
	store := incomparable{newFake(), nil}
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	for range 2 {
		store.breaks("acquire", unreachable("acquire"))
		_ = b.Do(ctx, succeed)
		store.breaks("acquire", nil)
		store.clock.advance(2 * time.Second)
		_ = b.Do(ctx, succeed)
	}
	awaitHooks(t, []*redbreaker.Breaker{b})
	if got := strings.Count(out.String(), "\n"); got != 4 {
		t.Errorf("%d lines, want 4:\n%s", got, out.String())
	}
}

type incomparable struct {
	*fake
	_ []int
}

// A storage that watches may raise an event before New has returned.
func TestHooks_eventDuringNew(t *testing.T) {
	got := make(chan redbreaker.Event, 1)
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(early{newFake()}), redbreaker.WithHooks(redbreaker.Hooks{
		OnAnomaly: func(e redbreaker.Event) { got <- e },
		OnStatus:  func(string, redbreaker.Status) { t.Error("a status of a breaker that does not exist yet") },
	}))
	if e := next(t, got); e.Kind != redbreaker.EventLost || b == nil {
		t.Errorf("got %+v", e)
	}
}

// early raises an event in Bind.
type early struct{ *fake }

func (s early) Bind(name string, p redbreaker.Policy, sink func(redbreaker.Event)) (engine.Handle, error) {
	sink(redbreaker.Event{Kind: redbreaker.EventLost, Name: name})
	return s.fake.Bind(name, p, sink)
}
