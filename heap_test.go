package redbreaker_test

import (
	"context"
	"io"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// A closed and idle breaker takes at most 1 KB of heap, with everything that refers
// to it.
func TestBreaker_heap(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: memory is measured without the race detector, which changes what the runtime allocates")
	}
	const n = 800 // beyond 896 the maps double, which takes up to 25 B of each in either of them
	for name, open := range map[string]func() func(name string) (*redbreaker.Breaker, error){
		"one storage": func() func(string) (*redbreaker.Breaker, error) {
			m := engine.NewMemory()
			return func(name string) (*redbreaker.Breaker, error) {
				return redbreaker.New(name, redbreaker.Policy{}, redbreaker.WithStorage(m))
			}
		},
		"registry": func() func(string) (*redbreaker.Breaker, error) {
			r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			return r.Get
		},
	} {
		t.Run(name, func(t *testing.T) {
			get := open()
			list := make([]*redbreaker.Breaker, n)
			before := heap()
			for i := range list {
				var err error
				if list[i], err = get(strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
				if err := list[i].Do(t.Context(), func(context.Context) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			each := (heap() - before) / n
			if t.Logf("%d B", each); each > 1024 {
				t.Errorf("a breaker takes %d B, want at most 1024", each)
			}
			runtime.KeepAlive(get)
			runtime.KeepAlive(list)
		})
	}
}

// A breaker that was through an outage takes no more memory than before, once the
// storage works again.
func TestBreaker_heapAfterAnOutage(t *testing.T) {
	const n = 800
	// The runtime keeps what it needs for a goroutine, for the next one. The hooks of all
	// breakers may run at the same time.
	startGoroutines(4 * n)
	// The best of three: what earlier tests left behind may be allocated meanwhile.
	best := uint64(math.MaxUint64)
	for range 3 {
		best = min(best, heapAfterOutage(t, n))
	}
	if t.Logf("%d B", best); best > 1024 {
		t.Errorf("a breaker takes %d B after an outage, want at most 1024", best)
	}
}

// heapAfterOutage returns the bytes that each of n breakers takes after an outage, less
// what the storage of this test adds.
func heapAfterOutage(t *testing.T, n int) uint64 {
	t.Helper()
	var clock atomic.Int64
	store := &faltering{Memory: engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(clock.Add(1)) }))}
	list := make([]*redbreaker.Breaker, n)
	before := heap()
	for i := range list {
		var err error
		if list[i], err = redbreaker.New(strconv.Itoa(i), redbreaker.Policy{}, redbreaker.WithStorage(store)); err != nil {
			t.Fatal(err)
		}
	}
	callAll := func() {
		t.Helper()
		for _, b := range list {
			if err := b.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	callAll()
	store.down.Store(true)
	callAll()
	callAll() // their results too
	store.down.Store(false)
	clock.Add(int64(time.Minute))
	callAll()
	for _, b := range list {
		if b.Status().Degraded {
			t.Fatal("the outage has not ended")
		}
		if err := b.Shutdown(t.Context()); err != nil { // its hooks have run
			t.Fatal(err)
		}
	}
	after := heap()
	runtime.KeepAlive(list)
	runtime.KeepAlive(store)
	if after < before {
		return 0
	}
	return (after-before)/uint64(n) - uint64(unsafe.Sizeof(falteringHandle{}))
}

// startGoroutines runs n goroutines at the same time, and waits for their end.
func startGoroutines(n int) {
	var all sync.WaitGroup
	goOn := make(chan struct{})
	for range n {
		all.Add(1)
		go func() {
			defer all.Done()
			<-goOn
		}()
	}
	close(goOn)
	all.Wait()
}

// faltering is a storage in memory that fails while it is down.
type faltering struct {
	*engine.Memory
	down atomic.Bool
}

func (s *faltering) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	h, err := s.Memory.Bind(name, p, sink)
	return falteringHandle{h, s}, err
}

type falteringHandle struct {
	engine.Handle
	storage *faltering
}

func (h falteringHandle) Acquire(ctx context.Context) (engine.Ticket, error) {
	if h.storage.down.Load() {
		return engine.Ticket{}, &engine.StorageError{Class: engine.ClassNotExecuted, Op: "acquire", Err: io.EOF}
	}
	return h.Handle.Acquire(ctx)
}

func (h falteringHandle) Report(ctx context.Context, t engine.Ticket, o engine.Outcome, at int64, d *engine.Detail) (bool, error) {
	if h.storage.down.Load() {
		return false, &engine.StorageError{Class: engine.ClassNotExecuted, Op: "report", Err: io.EOF}
	}
	return h.Handle.Report(ctx, t, o, at, d)
}

// heap returns the bytes in use after a garbage collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
