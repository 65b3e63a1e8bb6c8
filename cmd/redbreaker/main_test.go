package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

func TestMain(m *testing.M) {
	if os.Getenv(envMain) == "1" {
		os.Exit(runCommand(os.Args[1:], os.Stdout, os.Stderr))
	}
	logging.Disable() // as main does
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

// execute runs a command line and returns what it printed.
func execute(args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetIn(strings.NewReader(""))
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

// server is a Redis and a namespace that only one test uses.
type server struct {
	addr, namespace string
	rdb             redis.UniversalClient
}

// onServers runs a test on miniredis, and on a real server if there is one.
func onServers(t *testing.T, test func(t *testing.T, s server)) {
	t.Run("miniredis", func(t *testing.T) {
		m, rdb := redistest.Mini(t)
		test(t, server{m.Addr(), "shop", rdb})
	})
	t.Run("redis", func(t *testing.T) {
		rdb := redistest.Client(t)
		test(t, server{redistest.Addr(t), redistest.Namespace(t), rdb})
	})
}

// run runs a command on the server.
func (s server) run(args ...string) (string, error) {
	return execute(append(args, "--redis", s.addr, "--namespace", s.namespace)...)
}

// must runs a command that must succeed.
func (s server) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.run(args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

func (s server) storage(t *testing.T) *storage.Redis {
	t.Helper()
	store, err := storage.NewRedis(s.rdb, storage.WithNamespace(s.namespace), storage.WithReporter("web-1"),
		storage.WithTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func (s server) inspect(t *testing.T, name string) redbreaker.Snapshot {
	t.Helper()
	snapshot, err := s.storage(t).Inspect(ctx, name)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return snapshot
}

// breaker returns a breaker as a service has it.
func (s server) breaker(t *testing.T, name string, p redbreaker.Policy) *redbreaker.Breaker {
	t.Helper()
	b, err := redbreaker.New(name, p, redbreaker.WithStorage(s.storage(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// fails makes one call that fails.
func fails(t *testing.T, b *redbreaker.Breaker) {
	t.Helper()
	if err := b.Do(ctx, func(context.Context) error { return fmt.Errorf("down") }); err == nil || err.Error() != "down" {
		t.Fatalf("Do: %v", err)
	}
}
