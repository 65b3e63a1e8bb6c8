package redistest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// The environment variables that the package reads.
const (
	envAddr    = "REDBREAKER_REDIS"         // host:port of a server to use
	envRequire = "REDBREAKER_REQUIRE_REDIS" // 1: fail where a test would be skipped
)

// patience only ends a test that fails.
const patience = 20 * time.Second

// shared is the server that all tests of this binary share. It is not stopped: it
// ends with the binary.
var shared struct {
	once sync.Once
	p    *process
	err  error
}

// Addr returns the host and port of the shared server. Other tests use it too: use
// only keys under a Namespace, and never flush it.
func Addr(t testing.TB) string {
	t.Helper()
	if addr := os.Getenv(envAddr); addr != "" {
		return addr
	}
	program := mustFindProgram(t)
	shared.once.Do(func() {
		var dir string
		if dir, shared.err = os.MkdirTemp("", "redistest-"); shared.err == nil {
			shared.p, shared.err = startProcess(program, dir)
		}
	})
	if shared.err != nil {
		t.Fatalf("redistest: start the shared server: %v", shared.err)
	}
	return shared.p.addr()
}

// Client returns a client of the shared server that is closed at the test's end.
func Client(t testing.TB) *redis.Client {
	t.Helper()
	rdb := newClient(t, Addr(t))
	if err := rdb.Ping(context.Background()).Err(); err != nil {
		t.Fatalf("redistest: the server at %s does not answer: %v", Addr(t), err)
	}
	return rdb
}

// Namespace returns a namespace that no other test uses, in this run or another. On
// a server that outlives the tests, the test's end removes its keys.
func Namespace(t testing.TB) string {
	t.Helper()
	ns := "redbreaker-test-" + strings.ToLower(rand.Text())
	if addr := os.Getenv(envAddr); addr != "" {
		t.Cleanup(func() {
			if err := removeKeys(addr, ns+":*"); err != nil {
				t.Errorf("redistest: remove the test's keys from %s: %v", addr, err)
			}
		})
	}
	return ns
}

func removeKeys(addr, pattern string) error {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	keys := rdb.Scan(ctx, 0, pattern, 1000).Iterator()
	for keys.Next(ctx) {
		if err := rdb.Unlink(ctx, keys.Val()).Err(); err != nil {
			return err
		}
	}
	return keys.Err()
}

// newClient returns a client that is patient: the timeouts of go-redis are seconds, in
// which a busy machine may run neither the server nor the test.
func newClient(t testing.TB, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: addr, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}
