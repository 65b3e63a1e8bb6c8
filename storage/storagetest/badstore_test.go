package storagetest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// badStores break the contract of cas.Store in one way each, and a test that
// must notice.
var badStores = []struct {
	does   string
	caught string
	breaks func(*store)
}{
	{"swaps without comparing", "concurrency/no_outcome_is_lost", func(s *store) { s.blind = true }},
	{"compares, then swaps", "concurrency/no_outcome_is_lost", func(s *store) { s.torn = true }},
	{"gives versions again", "concurrency/no_outcome_is_lost", func(s *store) { s.repeats = true }},
	{"forgets what it swapped", "counting/both_clients_count_together", func(s *store) { s.forgets = true }},
	{"forgets too early", "open/ends_at_its_instant", func(s *store) { s.expires = time.Millisecond }},
	{"loads what was before", "admission/other_client_sees_a_trip_at_once", func(s *store) { s.stale = true }},
	{"answers late", "admission/other_client_sees_a_trip_at_once", func(s *store) { s.late, s.timeout = 30*time.Millisecond, 10*time.Millisecond }},
	{"returns junk", "counting/both_clients_count_together", func(s *store) { s.junk = true }},
	{"fails after it has swapped", "counting/both_clients_count_together", func(s *store) { s.fails = true }},
	{"takes different names for the same", "names/are_independent", func(s *store) { s.folds = true }},
	{"cuts blobs", "counting/both_clients_count_together", func(s *store) { s.column = 255 }},
	{"loses every race", "counting/both_clients_count_together", func(s *store) { s.loses, s.timeout = true, 10*time.Millisecond }},
	{"has a clock that never advances", "open/ends_at_its_instant", func(s *store) { s.stopped = true }},
}

func TestRun_catchesBadStores(t *testing.T) {
	for _, bad := range badStores {
		t.Run(bad.does, func(t *testing.T) {
			s := runOnStandIn(t, onStore(bad.breaks), find(t, bad.caught))
			if !s.failed {
				t.Fatalf("%s does not notice a store that %s", bad.caught, bad.does)
			}
			t.Logf("%s: %s", bad.caught, strings.Join(s.said, "\n"))
		})
	}
}

// A store on a loaded machine answers later than the default timeout. That is no
// fault of the store: with the documented timeout it passes.
func TestRun_slowStore(t *testing.T) {
	for timeout, fails := range map[time.Duration]bool{cas.DefaultTimeout: true, 0: false} {
		open := onStore(func(s *store) { s.late, s.timeout = cas.DefaultTimeout+20*time.Millisecond, timeout })
		if s := runOnStandIn(t, open, find(t, "admission/first_step_creates_the_record")); s.failed != fails {
			t.Errorf("with a timeout of %v: failed is %v, want %v: %s", timeout, s.failed, fails, strings.Join(s.said, "\n"))
		}
	}
}

// A bad store could be caught for what all of them share.
func TestRun_passesGoodStore(t *testing.T) {
	open := onStore(func(*store) {})
	for _, bad := range badStores {
		if s := runOnStandIn(t, open, find(t, bad.caught)); s.failed {
			t.Errorf("%s: %s", bad.caught, strings.Join(s.said, "\n"))
		}
	}
}

// onStore opens two clients of one store.
func onStore(breaks func(*store)) func(testing.TB) Harness {
	return func(t testing.TB) Harness {
		s := &store{rows: map[string]row{}, before: map[string]row{}, now: time.UnixMilli(1_795_500_000_000)}
		breaks(s)
		client := func() engine.Storage {
			timeout := 10 * time.Second
			if s.timeout > 0 {
				timeout = s.timeout
			}
			c, err := cas.New(s, cas.WithTimeout(timeout))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		return Harness{A: client(), B: client(), Advance: s.advance}
	}
}

// store is a cas.Store in memory, with the faults that are switched on.
type store struct {
	blind, torn, repeats, forgets, stale, junk, fails, folds, loses, stopped bool

	late, expires time.Duration
	timeout       time.Duration // of the clients; 0 is the documented one
	column        int

	mu     sync.Mutex
	rows   map[string]row
	before map[string]row
	last   int64
	now    time.Time
}

type row struct {
	version int64
	blob    []byte
	written time.Time
}

func (s *store) Load(_ context.Context, name string) ([]byte, int64, error) {
	time.Sleep(s.late)
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.key(name)
	r := s.row(name)
	if s.stale {
		r.blob = s.before[name].blob
	}
	blob := append([]byte(nil), r.blob...)
	if s.junk && len(blob) > 0 {
		blob = blob[len(blob)/2:]
	}
	if s.column > 0 {
		blob = blob[:min(len(blob), s.column)]
	}
	return blob, r.version, nil
}

func (s *store) Swap(_ context.Context, name string, version int64, blob []byte, _ time.Duration) (bool, error) {
	time.Sleep(s.late)
	if s.repeats { // somebody else has the time to swap
		time.Sleep(50 * time.Microsecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.key(name)
	r := s.row(name)
	if s.loses || r.version != version && !s.blind {
		return false, nil
	}
	if s.blind || s.torn {
		s.mu.Unlock()
		runtime.Gosched()
		time.Sleep(50 * time.Microsecond)
		s.mu.Lock()
	}
	s.last++
	if s.repeats {
		s.last = 1
	}
	if !s.forgets {
		s.before[name] = r
		s.rows[name] = row{s.last, append([]byte(nil), blob...), s.now}
	}
	if s.fails {
		return false, errors.New("connection reset")
	}
	return true, nil
}

func (s *store) Now(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, nil
}

func (s *store) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.now = s.now.Add(d)
	}
}

// row returns the row of a name, unless it has expired.
func (s *store) row(name string) row {
	r := s.rows[name]
	if s.expires > 0 && s.now.Sub(r.written) >= s.expires {
		return row{}
	}
	return r
}

// key is a name as the store takes it.
func (s *store) key(name string) string {
	if s.folds { // as many a collation does
		return strings.ToLower(strings.TrimSpace(name))
	}
	return name
}
