package main

import (
	"context"
	"errors"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
	"github.com/redbreaker/redbreaker/storage/cas"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// The suite runs on one file from two processes: another process runs the second
// client's statements.
func TestStore_conformance(t *testing.T) {
	other := startOther(t)
	storagetest.Run(t, func(t testing.TB) storagetest.Harness { return openSuite(t, other, true) })
}

// The same on the host's clock, as a program uses it.
func TestStore_conformanceOnTheHostsClock(t *testing.T) {
	other := startOther(t)
	storagetest.Run(t, func(t testing.TB) storagetest.Harness { return openSuite(t, other, false) })
}

// The same work on SQLite and, to compare, in memory and on Redis.
func BenchmarkStorages(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		storagetest.Bench(b, func(testing.TB) storagetest.Harness {
			m := engine.NewMemory()
			return storagetest.Harness{A: m, B: m}
		})
	})
	b.Run("sqlite", func(b *testing.B) {
		storagetest.Bench(b, func(t testing.TB) storagetest.Harness { return openSuite(t, nil, false) })
	})
	b.Run("redis", func(b *testing.B) {
		rdb := redistest.Client(b)
		storagetest.Bench(b, func(t testing.TB) storagetest.Harness {
			s, err := storage.NewRedis(rdb, storage.WithNamespace(redistest.Namespace(t)), storage.WithTimeout(10*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			return storagetest.Harness{A: s, B: s}
		})
	})
}

func openSuite(t testing.TB, other *rpc.Client, clocked bool) storagetest.Harness {
	path := filepath.Join(t.TempDir(), "breakers.db")
	own := open(t, path)
	c := &clock{now: time.UnixMilli(1_795_500_000_000)}
	client := func(s cas.Store, reporter string) engine.Storage {
		if clocked {
			s = struct {
				cas.Store
				cas.Clock
			}{s, c}
		}
		c, err := cas.New(s, cas.WithTimeout(10*time.Second), cas.WithReporter(reporter))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var second cas.Store = own
	if other != nil {
		second = &remote{other, path}
	}
	h := storagetest.Harness{
		A: client(own, "one"), B: client(second, "two"),
		Lose:      func(name string) { exec1(t, own, `DELETE FROM breakers WHERE name = ?`, []byte(name)) },
		Corrupt:   func(name, field, text string) { corrupt(t, own, name, field, text) },
		Reporters: true,
		Expires:   true,
	}
	if clocked {
		h.Advance = c.advance
	}
	return h
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func exec1(t testing.TB, s *Store, query string, args ...any) {
	t.Helper()
	if _, err := s.db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

// corrupt replaces a field of a record by text.
func corrupt(t testing.TB, s *Store, name, field, text string) {
	t.Helper()
	record, _, err := s.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(record)) {
		if !strings.HasPrefix(line, field+" ") {
			kept.WriteString(line)
		}
	}
	kept.WriteString(field + " " + text + "\n")
	exec1(t, s, `UPDATE breakers SET record = ?, version = version + 1 WHERE name = ?`, []byte(kept.String()), []byte(name))
}

// clock is a cas.Clock that the suite moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now(context.Context) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, nil
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestStore_sweep(t *testing.T) {
	ctx := t.Context()
	s := open(t, filepath.Join(t.TempDir(), "a.db"))
	for name, ttl := range map[string]time.Duration{"idle": time.Millisecond, "busy": time.Hour, "forced": 0} {
		if ok, err := s.Swap(ctx, name, 0, []byte("head"), ttl); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	time.Sleep(5 * time.Millisecond)
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"idle": false, "busy": true, "forced": true} {
		if _, version, err := s.Load(ctx, name); err != nil || (version != 0) != want {
			t.Errorf("%s: version %d, %v; kept should be %v", name, version, err, want)
		}
	}
}

// The errors of SQLite have the right class.
func TestStore_classes(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path)
	locker := open(t, path)
	conn, err := locker.db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	_, err = s.Swap(ctx, "a", 0, []byte("head"), 0)
	wantClass(t, "a file that another holds", err, engine.ClassNotExecuted)
	if _, err := conn.ExecContext(ctx, `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	exec1(t, s, `PRAGMA query_only = 1`)
	s.db.SetMaxOpenConns(1)
	_, err = s.Swap(ctx, "a", 0, []byte("head"), 0)
	wantClass(t, "a file that is read only", err, engine.ClassRefused)

	if err := os.WriteFile(path+"2", []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(path + "2"); err == nil {
		t.Error("opened a file that is not a database", s.Close())
	}
}

func wantClass(t *testing.T, what string, err error, want engine.Class) {
	t.Helper()
	var e *engine.StorageError
	if !errors.As(err, &e) || e.Class != want {
		t.Errorf("%s: got %v, want class %v", what, err, want)
	}
}

// The other process.

const otherEnv = "REDBREAKER_EXAMPLE_PROCESS"

func TestMain(m *testing.M) {
	switch os.Getenv(otherEnv) {
	case "serve":
		serve()
	case "herd":
		os.Exit(herd())
	default:
		os.Exit(m.Run())
	}
}

// startProcess starts this test binary again, to play a part.
func startProcess(t testing.TB, part string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), otherEnv+"="+part)
	cmd.Stderr = os.Stderr
	return cmd
}

// startOther starts a process that runs a store's methods. It ends with its
// standard input.
func startOther(t *testing.T) *rpc.Client {
	t.Helper()
	cmd := startProcess(t, "serve")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := rpc.NewClient(pipe{out, in})
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	return client
}
