//go:build go1.25

package storage_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage"
)

// bound is the storages' in bubbles.
const bound = storage.DefaultTimeout

// ampleInBubble is the size of a pool for which no call waits. The default is 10 for
// each processor, and a wait takes a timer that go-redis keeps for another bubble, where
// it may not be used.
const ampleInBubble = 1000

// bubble is a miniredis, a network and a storage in a bubble, where time costs
// nothing and is exact.
type bubble struct {
	mini   *miniredis.Miniredis
	net    *faultproxy.Proxy
	client *redis.Client
	store  *storage.Redis
	handle engine.Handle
	events *events

	watched bool // a process of it watches
}

// inBubble runs test in a bubble, over a client that keeps to contexts by itself
// and over one that does not.
func inBubble(t *testing.T, test func(t *testing.T, w *bubble)) {
	for what, inline := range map[string]bool{"context timeouts": true, "no context timeouts": false} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, newBubble(t, redis.Options{ContextTimeoutEnabled: inline})) })
		})
	}
}

func newBubble(t *testing.T, o redis.Options) *bubble {
	t.Helper()
	w := &bubble{mini: miniredis.NewMiniRedis()}
	t.Cleanup(func() { time.Sleep(time.Minute) }) // go-redis dials on for a while after its Close
	w.mini.ClockTTL(true)
	t.Cleanup(w.mini.Close)
	w.net = faultproxy.New(func(context.Context) (net.Conn, error) { return w.mini.Dial() })
	t.Cleanup(w.net.Close)
	w.loadScripts(t)
	o.Addr, o.Dialer, o.PoolSize = "192.0.2.1:6379", w.net.Dial, ampleInBubble
	w.client = redis.NewClient(&o)
	t.Cleanup(func() { _ = w.client.Close() })
	store := newStorage(t, w.client, storage.WithTimeout(bound))
	w.store = store
	t.Cleanup(func() {
		must(t, store.Close()) // a test may have replaced it
		must(t, w.store.Close())
		synctest.Wait()
		if stack := ours(); stack != "" {
			t.Errorf("goroutines outlive Close:\n%s", stack)
		}
	})
	w.handle, w.events = bind(t, w.store, neverOpens)
	return w
}

// loadScripts loads the scripts before the first call. Otherwise a call that must not
// be executed could pass a test only because its script was missing.
func (w *bubble) loadScripts(t *testing.T) {
	t.Helper()
	direct := redis.NewClient(&redis.Options{Addr: "192.0.2.1:6379", Dialer: func(context.Context, string, string) (net.Conn, error) {
		return w.mini.Dial()
	}})
	defer direct.Close()
	must(t, direct.ScriptLoad(ctx, scripts.Step.Source).Err())
}

// ours returns the stacks of goroutines that a storage has spawned.
func ours() string {
	buf := make([]byte, 1<<20)
	var found []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "taskgroup.(*Group)") {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}

// wantTook wants f to take exactly so long.
func wantTook(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took != want {
		t.Errorf("it took %v, want %v", took, want)
	}
}
