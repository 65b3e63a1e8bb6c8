//go:build go1.25

package storage_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/storage"
)

// Close ends a Watch soon that has not read its first list yet, because the server hangs,
// and nothing is delivered after it. So does the context.
func TestWatchAll_endsBeforeItIsReady(t *testing.T) {
	for what, want := range map[string]error{"close": engine.ErrStopped, "context": context.Canceled} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *bubble) {
				acquire(t, w.handle)
				time.Sleep(2 * time.Second) // until it is listed
				r := &road{dial: w.net.Dial}
				rdb := redis.NewClient(&redis.Options{Addr: "192.0.2.1:6379", Dialer: r.connect, ContextTimeoutEnabled: true, PoolSize: ampleInBubble})
				t.Cleanup(func() { _ = rdb.Close() })
				s := newStorage(t, rdb, storage.WithTimeout(bound))
				w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
					if strings.EqualFold(cmd, "hget") { // the poll after the first list
						w.net.Set(faultproxy.Blackhole())
					}
					return false
				})
				watching, cancel := context.WithCancel(ctx)
				defer cancel()
				var e events
				ended := make(chan error, 1)
				go func() { ended <- s.Watch(watching, e.add) }()
				time.Sleep(bound / 2)
				if what == "close" {
					must(t, s.Close())
				} else {
					cancel()
				}
				start := time.Now()
				if err := <-ended; !errors.Is(err, want) {
					t.Errorf("Watch ended with %v, want %v", err, want)
				}
				if took := time.Since(start); took > bound {
					t.Errorf("Watch ended %v later, want at most %v", took, bound)
				}
				if len(e.list) > 0 {
					t.Errorf("delivered %+v", e.list)
				}
				synctest.Wait()
				if stack := watchGoroutines(); stack != "" {
					t.Errorf("goroutines outlive Watch:\n%s", stack)
				}
			})
		})
	}
}
