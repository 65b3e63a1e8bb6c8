package cas_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// memStore is a Store in memory that keeps the contract, on a clock that the
// test moves. Any number of CAS storages may share it, as processes would.
type memStore struct {
	mu    sync.Mutex
	blobs map[string]memBlob
	now   time.Time
	next  int64
	swaps int // that were done
	loads int
}

type memBlob struct {
	version int64
	data    []byte
	expires time.Time // zero: never
}

func newMemStore() *memStore {
	return &memStore{blobs: map[string]memBlob{}, now: time.UnixMilli(1_795_500_000_000)}
}

func (s *memStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	b := s.blobs[name]
	return append([]byte(nil), b.data...), b.version, nil
}

func (s *memStore) Swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, &engine.StorageError{Class: engine.ClassNotExecuted, Err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs[name].version != version {
		return false, nil
	}
	s.put(name, blob, ttl)
	s.swaps++
	return true, nil
}

// put is called with the mutex held.
func (s *memStore) put(name string, blob []byte, ttl time.Duration) {
	s.next++
	b := memBlob{version: s.next, data: append([]byte(nil), blob...)}
	if ttl > 0 {
		b.expires = s.now.Add(ttl)
	}
	s.blobs[name] = b
}

func (s *memStore) Now(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, nil
}

func (s *memStore) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *memStore) blob(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.blobs[name].data)
}

func (s *memStore) set(name, blob string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(name, []byte(blob), 0)
}

func (s *memStore) done() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.swaps
}

// loser is a Store whose swaps lose a race every other time, to a process that
// rewrites the record without changing it.
type loser struct{ *memStore }

func (s loser) Swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
	if rand.IntN(2) == 0 {
		s.mu.Lock()
		if b, ok := s.blobs[name]; ok {
			s.put(name, b.data, 0)
		}
		s.mu.Unlock()
		return false, nil
	}
	return s.memStore.Swap(ctx, name, version, blob, ttl)
}

// wrapped is a Store of which a test replaces a part.
type wrapped struct {
	*memStore
	load func(context.Context, string) ([]byte, int64, error)
	swap func(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error)
	time func(context.Context) (time.Time, error)
}

func (w *wrapped) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if w.load != nil {
		return w.load(ctx, name)
	}
	return w.memStore.Load(ctx, name)
}

func (w *wrapped) Swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
	if w.swap != nil {
		return w.swap(ctx, name, version, blob, ttl)
	}
	return w.memStore.Swap(ctx, name, version, blob, ttl)
}

func (w *wrapped) Now(ctx context.Context) (time.Time, error) {
	if w.time != nil {
		return w.time(ctx)
	}
	return w.memStore.Now(ctx)
}

// gate holds swaps until it is opened. reached receives when one waits.
type gate struct {
	*memStore
	reached chan struct{}
	open    chan struct{}
	once    atomic.Bool
}

func newGate() *gate {
	return &gate{memStore: newMemStore(), reached: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) Swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
	if !g.once.Swap(true) {
		close(g.reached)
		<-g.open
		ctx = context.Background() // done, however late
	}
	return g.memStore.Swap(ctx, name, version, blob, ttl)
}

func newCAS(t testing.TB, s cas.Store, opts ...cas.Option) *cas.Storage {
	t.Helper()
	c, err := cas.New(s, append([]cas.Option{cas.WithTimeout(20 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func bindCAS(t testing.TB, s engine.Storage, p engine.Policy) engine.Handle {
	t.Helper()
	h, err := s.Bind(name, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func openCAS(t testing.TB, s cas.Store, p engine.Policy, opts ...cas.Option) engine.Handle {
	t.Helper()
	return bindCAS(t, newCAS(t, s, opts...), p)
}
