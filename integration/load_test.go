package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage"
)

// counted is a policy by which every outcome counts and none trips.
var counted = engine.Policy{Window: engine.Window{Calls: engine.MaxCalls, FailureCount: engine.MaxCalls}}

// fleet is several processes, each with its own client, and the breakers that they
// share.
type fleet struct {
	namespace string
	names     []string
	stores    []*storage.Redis
	handles   [][]engine.Handle // of each process
}

// newFleet makes a storage over each client, with the same breakers. Their timeout is
// far above the time of a call, so that a busy machine causes no errors.
func newFleet(t testing.TB, breakers int, clients ...redis.UniversalClient) *fleet {
	t.Helper()
	return newFleetWithTimeout(t, 5*time.Second, breakers, clients...)
}

func newFleetWithTimeout(t testing.TB, timeout time.Duration, breakers int, clients ...redis.UniversalClient) *fleet {
	t.Helper()
	f := &fleet{namespace: namespace(), names: breakerNames(breakers)}
	for p, client := range clients {
		s, err := storage.NewRedis(client, storage.WithNamespace(f.namespace), storage.WithReporter(fmt.Sprintf("process-%d", p)), storage.WithTimeout(timeout))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		var handles []engine.Handle
		for _, name := range f.names {
			handles = append(handles, bind(t, s, name, counted))
		}
		f.stores, f.handles = append(f.stores, s), append(f.handles, handles)
	}
	return f
}

var namespaces atomic.Int64

func namespace() string {
	return fmt.Sprintf("integration-%d-%d", time.Now().UnixNano(), namespaces.Add(1))
}

func bind(t testing.TB, s engine.Storage, name string, p engine.Policy) engine.Handle {
	t.Helper()
	h, err := s.Bind(name, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// slot returns the cluster slot of a breaker.
func (f *fleet) slot(t testing.TB, name string) uint16 {
	t.Helper()
	keys, err := cluster.New(f.namespace)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.Key(name)
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Slot(key)
}

// load makes successful calls through every breaker of a fleet, from several workers
// in each process, until it is ended.
type load struct {
	fleet *fleet
	stop  chan struct{}
	done  sync.WaitGroup

	sent, acknowledged, unknown, failed []atomic.Int64 // outcomes of each breaker

	mu       sync.Mutex
	degraded []time.Duration // by breaker: the longest time that a caller got no answer
	errors   map[string]int  // by text without numbers and addresses
}

// workers is the number of workers in each process. A load of three processes makes
// some thousand operations a second.
const workers = 4

func (f *fleet) startLoad() *load {
	l := &load{
		fleet:        f,
		stop:         make(chan struct{}),
		sent:         make([]atomic.Int64, len(f.names)),
		acknowledged: make([]atomic.Int64, len(f.names)),
		unknown:      make([]atomic.Int64, len(f.names)),
		failed:       make([]atomic.Int64, len(f.names)),
		degraded:     make([]time.Duration, len(f.names)),
		errors:       map[string]int{},
	}
	for _, handles := range f.handles {
		for w := range workers {
			l.done.Add(1)
			go l.work(handles, w)
		}
	}
	return l
}

// work calls each breaker in turn. A caller is degraded from its first call with a
// storage error to its next call without one.
func (l *load) work(handles []engine.Handle, first int) {
	defer l.done.Done()
	since := make([]time.Time, len(handles))
	for i := first * len(handles) / workers; ; i++ {
		b := i % len(handles)
		began := time.Now()
		err := l.call(handles[b], b)
		switch {
		case err != nil && since[b].IsZero():
			since[b] = began
		case err == nil && !since[b].IsZero():
			l.noteDegraded(b, time.Since(since[b]))
			since[b] = time.Time{}
		}
		select {
		case <-l.stop:
			for b := range since {
				if !since[b].IsZero() {
					l.noteDegraded(b, time.Since(since[b]))
				}
			}
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// call makes one protected call that succeeds.
func (l *load) call(h engine.Handle, b int) error {
	ctx := context.Background()
	ticket, err := h.Acquire(ctx)
	if err != nil {
		l.noteError(err)
		return err
	}
	l.sent[b].Add(1)
	stale, err := h.Report(ctx, ticket, engine.Success, 0, nil)
	var e *engine.StorageError
	switch {
	case err == nil && !stale:
		l.acknowledged[b].Add(1)
	case err == nil: // the record was replaced between the two steps
		l.failed[b].Add(1)
	case errors.As(err, &e) && e.Class == engine.ClassUnknown:
		l.unknown[b].Add(1)
	default:
		l.failed[b].Add(1)
	}
	if err != nil {
		l.noteError(err)
	}
	return err
}

func (l *load) noteDegraded(b int, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.degraded[b] = max(l.degraded[b], d)
}

func (l *load) noteError(err error) {
	text := err.Error()
	var e *engine.StorageError
	if errors.As(err, &e) {
		text = e.Class.String() + ": " + e.Err.Error()
	}
	var words []string
	for _, word := range strings.Fields(text) {
		if !strings.ContainsAny(word, "0123456789") {
			words = append(words, word)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors[strings.Join(words, " ")]++
}

// figures are the results of a load.
type figures struct {
	Sent, Acknowledged, Unknown, Failed, Applied, Lost, Doubled int64
	Worst                                                       time.Duration
	Degraded                                                    []time.Duration // by breaker
	Errors                                                      map[string]int
}

// end stops the load and compares its counts with the records. An acknowledged outcome
// that a record lacks is lost. Outcomes in a record beyond the acknowledged and the
// unknown ones are doubled.
func (l *load) end(t testing.TB, what string) figures {
	t.Helper()
	close(l.stop)
	l.done.Wait()
	snapshots, err := l.fleet.stores[0].InspectMany(context.Background(), l.fleet.names)
	if err != nil {
		t.Fatalf("inspect after the load: %v", err)
	}
	f := figures{Degraded: l.degraded, Errors: l.errors}
	for b, s := range snapshots {
		acknowledged, unknown := l.acknowledged[b].Load(), l.unknown[b].Load()
		if s.Calls >= engine.MaxCalls {
			t.Fatalf("breaker %s has a full window, the load was too much to count", s.Name)
		}
		f.Sent += l.sent[b].Load()
		f.Acknowledged += acknowledged
		f.Unknown += unknown
		f.Failed += l.failed[b].Load()
		f.Applied += s.Calls
		f.Lost += max(0, acknowledged-s.Calls)
		f.Doubled += max(0, s.Calls-acknowledged-unknown)
		f.Worst = max(f.Worst, l.degraded[b])
	}
	t.Logf("%s: sent %d, acknowledged %d, applied %d, lost %d, doubled %d; unknown %d, failed %d; worst degraded time %v",
		what, f.Sent, f.Acknowledged, f.Applied, f.Lost, f.Doubled, f.Unknown, f.Failed, f.Worst.Round(time.Millisecond))
	for text, n := range f.Errors {
		t.Logf("  %d x %s", n, text)
	}
	return f
}

// mustBeWhole fails the test if an operation was lost, doubled or not answered.
func (f figures) mustBeWhole(t testing.TB) {
	t.Helper()
	if f.Sent == 0 || f.Lost != 0 || f.Doubled != 0 || f.Unknown != 0 || f.Failed != 0 {
		t.Errorf("sent %d, lost %d, doubled %d, unknown %d, failed %d; want some sent, and none of the others", f.Sent, f.Lost, f.Doubled, f.Unknown, f.Failed)
	}
}

// warm waits until each process has reached each breaker.
func (l *load) warm(t testing.TB) {
	t.Helper()
	await(t, "every breaker was called", 20*time.Second, func() bool {
		for b := range l.acknowledged {
			if l.acknowledged[b].Load() < 5 {
				return false
			}
		}
		return true
	})
}

// await polls until ok, for at most d, and returns how long it took. It must run on
// the test's goroutine.
func await(t testing.TB, what string, d time.Duration, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for ; !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > d {
			t.Fatalf("not after %v: %s", d, what)
		}
	}
	return time.Since(began)
}

// breakerNames returns n names.
func breakerNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("breaker-%03d", i)
	}
	return names
}
