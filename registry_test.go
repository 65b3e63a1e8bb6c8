package redbreaker_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
)

func newRegistry(t *testing.T, c redbreaker.RegistryConfig, opts ...redbreaker.Option) *redbreaker.Registry {
	t.Helper()
	r, err := redbreaker.NewRegistry(c, opts...)
	if err != nil {
		t.Fatalf("NewRegistry: %v", err)
	}
	t.Cleanup(r.Stop)
	return r
}

func get(t *testing.T, r *redbreaker.Registry, name string) *redbreaker.Breaker {
	t.Helper()
	b, err := r.Get(name)
	if err != nil {
		t.Fatalf("Get(%q): %v", name, err)
	}
	return b
}

func names(r *redbreaker.Registry) []string {
	var all []string
	for name, b := range r.All() {
		if b.Name() != name {
			panic("a breaker under another name")
		}
		all = append(all, name)
	}
	return all
}

func wantNames(t *testing.T, r *redbreaker.Registry, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, names(r)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestNewRegistry_namesEveryFault(t *testing.T) {
	_, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Max: -1, Policy: redbreaker.Policy{IdleTTL: -1}}, nil)
	wantErr(t, err, redbreaker.ErrInvalid)
	wantText(t, err,
		"redbreaker: policy: IdleTTL is -1ns, use above 0 to 8784h0m0s (366 days): invalid argument",
		"redbreaker: RegistryConfig.Max is -1, use 1 or more, or 0 for 1024: invalid argument",
		"redbreaker: option 1 is nil, leave it out: invalid argument",
	)
}

func TestRegistry_get(t *testing.T) {
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce})
	a := get(t, r, "a")
	if get(t, r, "a") != a {
		t.Error("a second breaker of one name")
	}
	_ = a.Do(ctx, fail)
	wantState(t, get(t, r, "b"), redbreaker.StateClosed)
	wantNames(t, r, "a", "b")

	_, err := r.Get("")
	wantText(t, err, "redbreaker: the name is empty, name the breaker after what it protects: invalid argument")
}

func TestRegistry_policyFor(t *testing.T) {
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, PolicyFor: func(name string) redbreaker.Policy {
		if name == "bad" {
			return redbreaker.Policy{MinReporters: -1}
		}
		return redbreaker.Policy{ConsecutiveFailures: 2}
	}})
	a := get(t, r, "a")
	_ = a.Do(ctx, fail)
	wantState(t, a, redbreaker.StateClosed)
	_ = a.Do(ctx, fail)
	wantState(t, a, redbreaker.StateOpen)
	_, err := r.Get("bad")
	wantText(t, err, "redbreaker: policy: MinReporters is -1, use 1 to 16: invalid argument")
	wantNames(t, r, "a")
}

// PolicyFor may use the registry: it is called outside its lock.
func TestRegistry_policyForCallsGet(t *testing.T) {
	var r *redbreaker.Registry
	r = newRegistry(t, redbreaker.RegistryConfig{PolicyFor: func(name string) redbreaker.Policy {
		if name == "outer" {
			get(t, r, "inner")
		}
		return redbreaker.Policy{}
	}})
	get(t, r, "outer")
	wantNames(t, r, "inner", "outer")
}

// Concurrent Gets of one name return one breaker, and the surplus ones are stopped.
func TestRegistry_concurrentGet(t *testing.T) {
	store := newFake()
	var meet sync.WaitGroup
	meet.Add(4)
	r := newRegistry(t, redbreaker.RegistryConfig{PolicyFor: func(string) redbreaker.Policy {
		meet.Done()
		meet.Wait()
		return redbreaker.Policy{}
	}}, redbreaker.WithStorage(store))
	got := make(chan *redbreaker.Breaker, 4)
	for range 4 {
		go func() {
			b, _ := r.Get("a")
			got <- b
		}()
	}
	first := next(t, got)
	for range 3 {
		if next(t, got) != first {
			t.Error("two breakers of one name")
		}
	}
	if n := len(store.closedHandles()); n != 3 {
		t.Errorf("%d handles closed, want 3", n)
	}
	if err := first.Do(ctx, succeed); err != nil {
		t.Error(err)
	}
}

func TestRegistry_bindFails(t *testing.T) {
	store := newFake()
	store.breaks("bind", redbreaker.ErrStopped)
	r := newRegistry(t, redbreaker.RegistryConfig{}, redbreaker.WithStorage(store))
	_, err := r.Get("a")
	wantErr(t, err, redbreaker.ErrStopped)
}

func TestRegistry_stoppedBreakerIsMadeAnew(t *testing.T) {
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce})
	a := get(t, r, "a")
	a.Stop()
	wantNames(t, r)
	if get(t, r, "a") == a {
		t.Error("got the stopped breaker")
	}
	wantNames(t, r, "a")
}

func TestRegistry_stop(t *testing.T) {
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Max: 1}, redbreaker.WithStorage(store))
	a, b := get(t, r, "a"), get(t, r, "b")
	r.Stop()
	r.Stop()
	_, err := r.Get("a")
	wantErr(t, err, redbreaker.ErrStopped)
	wantErr(t, a.Do(ctx, succeed), redbreaker.ErrStopped) // evicted, but its own
	wantErr(t, b.Do(ctx, succeed), redbreaker.ErrStopped)
	wantNames(t, r)
	if n := len(store.closedHandles()); n != 2 {
		t.Errorf("%d handles closed, want 2", n)
	}
}

// Stop may run while Get runs.
func TestRegistry_stopDuringGet(t *testing.T) {
	store := newFake()
	var r *redbreaker.Registry
	r = newRegistry(t, redbreaker.RegistryConfig{PolicyFor: func(string) redbreaker.Policy {
		r.Stop()
		return redbreaker.Policy{}
	}}, redbreaker.WithStorage(store))
	_, err := r.Get("a")
	wantErr(t, err, redbreaker.ErrStopped)
	if n := len(store.closedHandles()); n != 1 {
		t.Errorf("%d handles closed, want that of the surplus breaker", n)
	}
}

func TestRegistry_allWhileItChanges(t *testing.T) {
	r := newRegistry(t, redbreaker.RegistryConfig{})
	get(t, r, "a")
	get(t, r, "b")
	for name := range r.All() {
		get(t, r, name+"'")
		if name == "a" {
			break
		}
	}
	wantNames(t, r, "a", "a'", "b")
}

// gone collects garbage until the registry has closed n breakers in all. It takes
// more than one collection, because cleanups run later.
func gone(t *testing.T, r *redbreaker.Registry, store *fake, n int) []string {
	t.Helper()
	for range 1000 {
		runtime.GC()
		get(t, r, "latest")
		if closed := store.closedHandles(); len(closed) >= n {
			return closed
		}
		runtime.Gosched()
	}
	t.Fatalf("closed %v, want %d of them", store.closedHandles(), n)
	return nil
}

func TestRegistry_evictsTheLeastRecentlyUsed(t *testing.T) {
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Max: 3}, redbreaker.WithStorage(store))
	for _, name := range []string{"a", "b", "c", "a", "latest"} {
		get(t, r, name)
	}
	if diff := cmp.Diff([]string{"b"}, gone(t, r, store, 1)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	wantNames(t, r, "a", "c", "latest")
}

func TestRegistry_keepsWhatKnowsSomething(t *testing.T) {
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, Max: 5}, redbreaker.WithStorage(store))
	_ = get(t, r, "over").Do(ctx, fail) // its open time will be over
	store.clock.advance(time.Minute)
	_ = get(t, r, "open").Do(ctx, fail)
	control(t, get(t, r, "half-open"), redbreaker.Command{Action: redbreaker.ActionHalfOpen})
	control(t, get(t, r, "shadow"), redbreaker.Command{Action: redbreaker.ActionShadow})
	get(t, r, "closed")
	get(t, r, "latest")
	gone(t, r, store, 1)
	wantNames(t, r, "closed", "half-open", "latest", "open", "shadow")
	get(t, r, "one more")
	gone(t, r, store, 2)
	wantNames(t, r, "half-open", "latest", "one more", "open", "shadow")
}

// If all are worth keeping, the least recently used is evicted, never the latest.
func TestRegistry_evictsOneOfAll(t *testing.T) {
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, Max: 2}, redbreaker.WithStorage(store))
	_ = get(t, r, "a").Do(ctx, fail)
	_ = get(t, r, "b").Do(ctx, fail)
	get(t, r, "latest")
	gone(t, r, store, 1)
	wantNames(t, r, "b", "latest")
}

func TestRegistry_evictsTheStoppedFirst(t *testing.T) {
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, Max: 2}, redbreaker.WithStorage(store))
	_ = get(t, r, "a").Do(ctx, fail)
	b := get(t, r, "b")
	_ = b.Do(ctx, fail)
	b.Stop()
	get(t, r, "latest")
	runtime.GC()
	runtime.GC()
	wantNames(t, r, "a", "latest")
}

// An evicted breaker that is still in use keeps working, and Get returns it.
func TestRegistry_findsTheEvictedThatAreHeld(t *testing.T) {
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, Max: 1}, redbreaker.WithStorage(store))
	a := get(t, r, "a")
	get(t, r, "latest")
	runtime.GC()
	runtime.GC()
	_ = a.Do(ctx, fail)
	wantNames(t, r, "a", "latest")
	if get(t, r, "a") != a {
		t.Error("made a second breaker of one that is held")
	}
	wantRejected(t, a.Do(ctx, succeed), redbreaker.ReasonOpen)
}

// Neither hooks nor an event in the queue keep a breaker alive.
func TestRegistry_collectsBreakersWithHooks(t *testing.T) {
	store := newFake()
	heard := newRecorder()
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, Max: 1},
		redbreaker.WithStorage(store), redbreaker.WithHooks(heard.hooks()))
	for i := range 10 {
		_ = get(t, r, fmt.Sprint("host-", i)).Do(ctx, succeed)
	}
	get(t, r, "latest")
	if closed := gone(t, r, store, 10); len(closed) != 10 {
		t.Errorf("closed %v", closed)
	}
	wantNames(t, r, "latest")
}

// Stop closes what was collected since the last Get.
func TestRegistry_stopClosesTheCollected(t *testing.T) {
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Max: 1}, redbreaker.WithStorage(store))
	get(t, r, "a")
	get(t, r, "b")
	runtime.GC()
	runtime.GC()
	r.Stop()
	if n := len(store.closedHandles()); n != 2 {
		t.Errorf("%d handles closed, want 2", n)
	}
}

// In memory a record lives as long as its breaker is in use.
func TestRegistry_ownMemory(t *testing.T) {
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce})
	a := get(t, r, "a")
	_ = a.Do(ctx, fail)
	r.Stop()
	wantErr(t, a.Do(ctx, succeed), redbreaker.ErrStopped)
}
