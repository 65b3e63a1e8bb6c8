package storage_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

// F11: a server that has forgotten the scripts is given the one that is missing,
// once, and the call is executed once.
func TestNoscript_everyOperation(t *testing.T) {
	m, rdb, h := newMini(t, neverOpens)
	s := newUnlisted(t, rdb)
	ticket := acquire(t, h)
	for op, call := range everyCall(s, h, ticket) {
		if op == "bind" {
			continue // asks nothing
		}
		must(t, rdb.ScriptFlush(ctx).Err())
		calls := countCalls(m)
		if err := call(); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		if diff := cmp.Diff(map[string]int{"EVALSHA": 2, "SCRIPT LOAD": 1}, calls()); diff != "" {
			t.Errorf("%s sent (-want +got):\n%s", op, diff)
		}
	}
}

// Somebody flushes the scripts all the time: the call itself brings its script
// along, and is executed once.
func TestNoscript_goneAgain(t *testing.T) {
	m, rdb, h := newMini(t, neverOpens)
	ticket := acquire(t, h)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" {
			c.WriteError("NOSCRIPT No matching script. Please use EVAL.")
		}
		return cmd == "EVALSHA"
	})
	report(t, h, ticket, engine.Failure)
	m.Server().SetPreHook(nil)
	if n := streak(t, newStorage(t, rdb)); n != 1 {
		t.Errorf("%d failures are counted, want 1", n)
	}
}

// Under load, too, and however often: every outcome counts once, and one load of
// the script makes up for one flush.
func TestNoscript_underLoad(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		_, rdb := redistest.Mini(t)
		hammer(t, rdb)
	})
	t.Run("server", func(t *testing.T) { hammer(t, redistest.Start(t).Client()) })
}

func hammer(t *testing.T, rdb *redis.Client) {
	const callers, each = 8, 12
	loads := &loads{}
	rdb.AddHook(loads)
	s := newUnlisted(t, rdb)
	h, _ := bind(t, s, neverOpens)
	ticket := acquire(t, h)

	var all sync.WaitGroup
	for range callers {
		all.Add(1)
		go func() {
			defer all.Done()
			for range each {
				if stale, err := h.Report(ctx, ticket, engine.Failure, 0, nil); stale || err != nil {
					t.Errorf("report: stale %v, %v", stale, err)
				}
			}
		}()
	}
	done := make(chan struct{})
	go func() { defer close(done); all.Wait() }()
	flushes := 0
	for running := true; running; flushes++ {
		if err := rdb.ScriptFlush(ctx).Err(); err != nil {
			t.Error(err)
		}
		select {
		case <-done:
			running = false
		case <-time.After(time.Millisecond):
		}
	}
	if n := loads.count(); n > flushes+1 {
		t.Errorf("%d loads for %d flushes", n, flushes)
	}
	if n := streak(t, s); n != callers*each {
		t.Errorf("%d failures are counted, want %d", n, callers*each)
	}
}

// loads is a client's hook that counts how often a script was loaded.
type loads struct {
	mu sync.Mutex
	n  int
}

func (l *loads) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *loads) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *loads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.FullName() == "script load" {
			l.mu.Lock()
			l.n++
			l.mu.Unlock()
		}
		return next(ctx, cmd)
	}
}

func (l *loads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// F51: a user that may not load scripts sends them with the call, and one that
// may not do that loads them.
func TestNoscript_rights(t *testing.T) {
	server := redistest.Start(t)
	for denied, test := range map[string]struct {
		works bool
		words []string
	}{
		"-script|load":       {true, nil},
		"-eval":              {true, nil},
		"-script":            {true, nil},
		"-eval -script|load": {false, []string{"NOPERM", "EVALSHA, EVAL and SCRIPT LOAD", "docs/operations.md"}},
		"-evalsha":           {false, []string{"NOPERM", "EVALSHA, EVAL and SCRIPT LOAD", "docs/operations.md"}},
		"-evalsha -eval":     {false, []string{"NOPERM", "EVALSHA, EVAL and SCRIPT LOAD", "docs/operations.md"}},
	} {
		t.Run(denied, func(t *testing.T) {
			admin := server.Client()
			must(t, admin.FlushAll(ctx).Err())
			must(t, admin.ScriptFlush(ctx).Err())
			s := newStorage(t, user(t, server.Addr(), everything+" "+denied))
			h, _ := bind(t, s, neverOpens)
			ticket, err := h.Acquire(ctx)
			ping := s.Ping(ctx)
			if test.works {
				must(t, errors.Join(err, ping))
				report(t, h, ticket, engine.Failure)
				if n := streak(t, s); n != 1 {
					t.Errorf("%d failures are counted, want 1", n)
				}
				return
			}
			wantClass(t, err, engine.ClassRefused, "acquire")
			wantSays(t, wantClass(t, ping, engine.ClassRefused, "ping"), test.words...)
		})
	}
}
