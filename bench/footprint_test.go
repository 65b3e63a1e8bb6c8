package bench

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// timeWindow is a policy whose window is short enough to fill in a benchmark.
var timeWindow = redbreaker.Policy{Window: redbreaker.Window{Period: 100 * time.Millisecond, FailureRate: 1}}

// BenchmarkFootprint measures the memory of a breaker. An operation is one reading.
//
// In Go: one engine keeps the state of all breakers (quiet: no window; window: a time
// window; contended: a time window, called by contending goroutines), Redis keeps the
// state (shared), the breaker comes from a registry (registry), or each breaker has
// its own engine (alone).
//
// In Redis, by MEMORY USAGE: quiet; window: a time window with every bucket filled;
// full: the same with a full log; longest: the same with the longest texts;
// count_10000: a full count window of 10 000 calls.
func BenchmarkFootprint(b *testing.B) {
	over := func(p redbreaker.Policy, opts ...redbreaker.Option) get {
		return func(name string) (*redbreaker.Breaker, error) { return redbreaker.New(name, p, opts...) }
	}
	for _, kind := range []struct {
		name       string
		goroutines int
		open       func(b *testing.B) get
	}{
		{"quiet", 1, func(*testing.B) get { return over(redbreaker.Policy{}, redbreaker.WithStorage(engine.NewMemory())) }},
		{"window", 1, func(*testing.B) get { return over(timeWindow, redbreaker.WithStorage(engine.NewMemory())) }},
		{"contended", 8, func(*testing.B) get { return over(timeWindow, redbreaker.WithStorage(engine.NewMemory())) }},
		{"shared", 1, func(b *testing.B) get { return over(redbreaker.Policy{}, startRedis(b).options(b)...) }},
		{"registry", 1, func(b *testing.B) get {
			registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
			must(b, err)
			return registry.Get
		}},
		{"alone", 1, func(*testing.B) get { return over(redbreaker.Policy{}) }},
	} {
		b.Run("where=go/kind="+kind.name, func(b *testing.B) { heapOf(b, kind.goroutines, kind.open) })
	}
	for _, kind := range []struct {
		name   string
		policy redbreaker.Policy
		before func(b *testing.B, h engine.Handle)
	}{
		{"quiet", redbreaker.Policy{}, func(*testing.B, engine.Handle) {}},
		{"window", timeWindow, fillBuckets},
		{"full", timeWindow, func(b *testing.B, h engine.Handle) { fillLog(b, h, 20); fillBuckets(b, h) }},
		{"longest", timeWindow, func(b *testing.B, h engine.Handle) { fillLog(b, h, 64); fillBuckets(b, h) }},
		{"count_10000", redbreaker.Policy{Window: redbreaker.Window{Calls: 10_000, FailureRate: 1}}, fillRing},
	} {
		b.Run("where=redis/kind="+kind.name, func(b *testing.B) { recordOf(b, kind.policy, kind.before) })
	}
}

// get returns the breaker of a name, and makes it if needed.
type get = func(name string) (*redbreaker.Breaker, error)

// heapOf reports the heap that a breaker takes after calls from this many goroutines
// at once. What all breakers share is allocated before the measurement.
func heapOf(b *testing.B, goroutines int, open func(*testing.B) get) {
	const n = 200
	var each float64
	for range b.N {
		get := open(b)
		first := use(b, "first", 1, goroutines, get)
		before := heap()
		list := use(b, "breaker", n, goroutines, get)
		each = float64(heap()-before) / n
		runtime.KeepAlive(first)
		runtime.KeepAlive(list)
		runtime.KeepAlive(&get) // and with it the registry
	}
	b.ReportMetric(each, "B/breaker")
}

// use makes n breakers and calls each of them.
func use(b *testing.B, name string, n, goroutines int, get get) []*redbreaker.Breaker {
	calls := 1 // by each goroutine
	if goroutines > 1 {
		calls = 10_000 // enough to contend
	}
	list := make([]*redbreaker.Breaker, n)
	for i := range list {
		var err error
		list[i], err = get(fmt.Sprintf("%s-%d", name, i))
		must(b, err)
		release := gather(goroutines, calls*goroutines, calls, func(c *caller, call int) error {
			return c.count(list[i].Do(ctx, onceIn(101)(call)))
		})
		for _, c := range release() {
			must(b, c.err)
		}
	}
	mustBeWell(b, list...)
	return list
}

// heap returns the heap bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// recordOf reports the memory of a record on the server, measured in full and not
// by samples.
func recordOf(b *testing.B, p redbreaker.Policy, before func(*testing.B, engine.Handle)) {
	ns := redistest.Namespace(b)
	rdb := redistest.Client(b)
	store, err := storage.NewRedis(rdb, storage.WithNamespace(ns), storage.WithTimeout(ample))
	must(b, err)
	defer store.Close()
	h, err := store.Bind("payments", p, nil)
	must(b, err)
	outcomes(b, h, engine.Run{Outcome: engine.Success, N: 1})
	before(b, h)
	keys, err := cluster.New(ns)
	must(b, err)
	key, err := keys.Key("payments")
	must(b, err)
	var bytes int64
	for range b.N {
		bytes, err = rdb.MemoryUsage(ctx, key, 0).Result()
		must(b, err)
	}
	b.ReportMetric(float64(bytes), "B/breaker")
}

// outcomes reports outcomes in the current epoch.
func outcomes(b *testing.B, h engine.Handle, runs ...engine.Run) {
	b.Helper()
	ticket, err := h.Acquire(ctx)
	must(b, err)
	r, err := h.Step(ctx, engine.Batch{Results: []engine.Result{{Ticket: ticket, Runs: runs}}, Reporter: "web-1"})
	must(b, err)
	if r.Stale > 0 || r.State != engine.StateClosed {
		b.Fatalf("outcomes were to be counted: %+v", r)
	}
}

// fillBuckets reports outcomes until each bucket of the time window has some.
func fillBuckets(b *testing.B, h engine.Handle) {
	for end := time.Now().Add(2 * timeWindow.Window.Period); time.Now().Before(end); time.Sleep(time.Millisecond) {
		outcomes(b, h, engine.Run{Outcome: engine.Success, N: 100}, engine.Run{Outcome: engine.Failure, N: 1})
	}
}

// fillRing fills the count window.
func fillRing(b *testing.B, h engine.Handle) {
	runs := []engine.Run{{Outcome: engine.Success, N: 9}, {Outcome: engine.Failure, N: 1}}
	for range engine.MaxCalls / 10 {
		outcomes(b, h, runs...)
	}
}

// fillLog fills the log with entries whose texts have this length.
func fillLog(b *testing.B, h engine.Handle, length int) {
	c := engine.Command{Reason: strings.Repeat("r", length), Actor: strings.Repeat("b", length)}
	for range 10 {
		for _, c.Action = range []engine.Action{engine.ActionTrip, engine.ActionReset} {
			_, err := h.Control(ctx, c)
			must(b, err)
		}
	}
}
