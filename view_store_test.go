package redbreaker_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// sharedStore is the store of a simulated fleet. It keeps blobs in memory, takes time
// for each operation, and notes each head that a record had.
type sharedStore struct {
	roundTrip time.Duration
	swapFree  bool // a step takes one round trip, as that of a server with scripts does

	ahead atomic.Int64 // its clock, against that of the bubble; worldStore reads it

	mu    sync.Mutex
	blobs map[string]sharedBlob
	heads []headAt
	last  int64                 // version that was given out last
	steps int                   // operations, by their first round trip
	fail  func(op string) error // nil while the store works
}

type sharedBlob struct {
	blob    []byte
	version int64
}

// headAt is a state of the record from a time on.
type headAt struct {
	at    time.Time
	state string
	mode  string
}

func newSharedStore(roundTrip time.Duration) *sharedStore {
	return &sharedStore{roundTrip: roundTrip, blobs: map[string]sharedBlob{}}
}

// Load implements cas.Store.
func (s *sharedStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if err := s.travel(ctx, "load"); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	b := s.blobs[name]
	return b.blob, b.version, nil
}

// Swap implements cas.Store.
func (s *sharedStore) Swap(ctx context.Context, name string, version int64, blob []byte, _ time.Duration) (bool, error) {
	err := s.travel(ctx, "swap")
	if err != nil && err != errReplyLost {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[name]
	if b.version != version {
		return false, err
	}
	s.last++
	s.blobs[name] = sharedBlob{blob, s.last}
	s.noteHeadLocked(blob)
	return true, err
}

// noteHeadLocked notes the state of a record, if it is another one.
func (s *sharedStore) noteHeadLocked(blob []byte) {
	_, line, _ := bytes.Cut(blob, []byte("head "))
	words := strings.Fields(string(line))
	h := headAt{at: time.Now(), state: words[1], mode: words[2]}
	if n := len(s.heads); n == 0 || s.heads[n-1].state != h.state || s.heads[n-1].mode != h.mode {
		s.heads = append(s.heads, h)
	}
}

// travel takes the time of a round trip, and fails if the store does.
func (s *sharedStore) travel(ctx context.Context, op string) error {
	s.mu.Lock()
	fail, roundTrip := s.fail, s.roundTrip
	s.mu.Unlock()
	var failed error
	if fail != nil {
		failed = fail(op)
	}
	switch {
	case failed == errHangs:
		<-ctx.Done()
		return ctx.Err()
	case failed != nil && failed != errReplyLost:
		return failed
	case roundTrip == 0 || s.swapFree && op == "swap":
		return failed
	}
	if err := sleepUntil(ctx, roundTrip); err != nil {
		return err
	}
	return failed
}

func sleepUntil(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// breaks makes operations fail as fail says; nil ends it.
func (s *sharedStore) breaks(fail func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// takeSteps returns the number of operations since it was called last.
func (s *sharedStore) takeSteps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.steps
	s.steps = 0
	return n
}

// openedAt returns when the record last opened, zero if it never did.
func (s *sharedStore) openedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.heads) - 1; i >= 0; i-- {
		if s.heads[i].state == "open" {
			return s.heads[i].at
		}
	}
	return time.Time{}
}

// admits reports whether the record was in a state that admits calls at some moment
// from one time to another.
func (s *sharedStore) admits(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range s.heads {
		ended := i+1 < len(s.heads) && s.heads[i+1].at.Before(from)
		if !ended && !h.at.After(to) && (h.state != "open" || h.mode == "shadow") && h.mode != "forced_open" {
			return true
		}
	}
	return len(s.heads) == 0
}

// rejects reports whether the record was in a state that rejects calls at some moment from
// one time to another.
func (s *sharedStore) rejects(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range s.heads {
		ended := i+1 < len(s.heads) && s.heads[i+1].at.Before(from)
		if !ended && !h.at.After(to) && h.state != "closed" {
			return true
		}
	}
	return false
}

// join returns a breaker of a new process of the fleet.
func (s *sharedStore) join(t testing.TB, reporter string, p redbreaker.Policy, opts ...redbreaker.Option) (*redbreaker.Breaker, *cas.Storage) {
	t.Helper()
	storage, err := cas.New(s, cas.WithReporter(reporter))
	if err != nil {
		t.Fatal(err)
	}
	b, err := redbreaker.New("dep", p, append([]redbreaker.Option{redbreaker.WithStorage(storage)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return b, storage
}

func closeAll(t testing.TB, closers ...interface{ Close() error }) {
	t.Helper()
	for _, c := range closers {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

var (
	errStore     = errors.New("the store is down")
	errHangs     = errors.New("the store does not reply")
	errReplyLost = errors.New("the store has swapped, but its reply is lost")
)

type ctxOfCall = context.Context

// slowDown sets the round trip.
func (s *sharedStore) slowDown(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roundTrip = d
}

// goroutines returns the number of goroutines of the process.
func goroutines() int { return runtime.NumGoroutine() }
