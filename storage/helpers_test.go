package storage_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/handletest"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

var ctx = context.Background()

var (
	must        = handletest.Must
	inGoroutine = handletest.InGoroutine
	acquire     = handletest.Acquire
	report      = handletest.Report
	classOf     = handletest.ClassOf
	wantClass   = handletest.WantClass
)

// name is the breaker of most tests, and fleet their namespace on a server of
// their own.
const (
	name  = handletest.Name
	fleet = "fleet"
	key   = fleet + ":{" + name + "}"
)

// opensAtOnce trips on the first failure and stays open longer than a test.
var opensAtOnce = engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}

// neverOpens counts failures without end.
var neverOpens = engine.Policy{ConsecutiveFailures: 1_000_000}

// newStorage returns a storage of the test's fleet that is closed at its end,
// before the client. It is patient: a busy machine fails no test.
func newStorage(t testing.TB, rdb redis.UniversalClient, opts ...storage.Option) *storage.Redis {
	t.Helper()
	s, err := storage.NewRedis(rdb, append([]storage.Option{storage.WithNamespace(fleet), storage.WithTimeout(20 * time.Second)}, opts...)...)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the storage: %v", err)
		}
	})
	return s
}

// newUnlisted returns a storage whose breakers are not in the index, for tests that
// count commands or lose one: that of the index would be among them if the machine is
// so busy that the test takes a second.
func newUnlisted(t testing.TB, rdb redis.UniversalClient, opts ...storage.Option) *storage.Redis {
	t.Helper()
	s := newStorage(t, rdb, opts...)
	storage.StopListing(s)
	return s
}

// bind returns a handle on the test's breaker and the events it raises.
func bind(t testing.TB, s engine.Storage, p engine.Policy) (engine.Handle, *events) {
	t.Helper()
	var e events
	h, err := s.Bind(name, p, e.add)
	must(t, err)
	return h, &e
}

// newMini returns a handle on a breaker in a miniredis of its own, which is sent no
// other commands than those of calls.
func newMini(t testing.TB, p engine.Policy) (*miniredis.Miniredis, *redis.Client, engine.Handle) {
	t.Helper()
	m, rdb := redistest.Mini(t)
	h, _ := bind(t, newUnlisted(t, rdb), p)
	return m, rdb, h
}

// events is a sink that keeps its events.
type events struct {
	mu   sync.Mutex
	list []engine.Event
}

func (e *events) add(event engine.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

// of counts the events of a kind.
func (e *events) of(kind engine.EventKind) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, event := range e.list {
		if event.Kind == kind {
			n++
		}
	}
	return n
}

// fails makes n calls that fail.
func fails(t testing.TB, h engine.Handle, n int) {
	t.Helper()
	for range n {
		report(t, h, acquire(t, h), engine.Failure)
	}
}

// wantRejected wants the next call to be rejected.
func wantRejected(t testing.TB, h engine.Handle, reason engine.Reason) *engine.RejectedError {
	t.Helper()
	ticket, err := h.Acquire(ctx)
	var rejected *engine.RejectedError
	if !errors.As(err, &rejected) || rejected.Reason != reason {
		t.Fatalf("the call got %+v, %v; want a rejection: %s", ticket, err, reason)
	}
	return rejected
}

// wantSays wants an error to contain words.
func wantSays(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// inspect returns the test's record.
func inspect(t testing.TB, s engine.Storage) engine.Snapshot {
	t.Helper()
	snapshot, err := s.Inspect(ctx, name)
	must(t, err)
	return snapshot
}

// streak is how many failures the record counts in a row.
func streak(t testing.TB, s engine.Storage) int64 {
	t.Helper()
	return inspect(t, s).Streak
}

// content returns the fields of a hash.
func content(t testing.TB, rdb *redis.Client, key string) map[string]string {
	t.Helper()
	fields, err := rdb.HGetAll(ctx, key).Result()
	must(t, err)
	return fields
}

// wantSame wants a hash to be as it was.
func wantSame(t testing.TB, rdb *redis.Client, key string, before map[string]string) {
	t.Helper()
	if after := content(t, rdb, key); !maps.Equal(before, after) {
		t.Errorf("%s changed (-before +after):\n%s", key, cmp.Diff(before, after))
	}
}
