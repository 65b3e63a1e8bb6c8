package storage_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// F7: others of the client's users hold all its connections. This takes real
// time: go-redis keeps the timers of its waits from one bubble to the next.
func TestBound_poolExhausted(t *testing.T) {
	for _, inline := range []bool{true, false} {
		m, _ := redistest.Mini(t)
		rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), PoolSize: 1, ContextTimeoutEnabled: inline})
		t.Cleanup(func() { _ = rdb.Close() })
		h, _ := bind(t, newStorage(t, rdb, storage.WithTimeout(20*time.Millisecond)), neverOpens)
		patient, _ := bind(t, newStorage(t, rdb), neverOpens)
		acquire(t, patient)

		popped, arrived := make(chan error, 1), make(chan struct{})
		m.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
			if cmd == "BLPOP" {
				close(arrived)
			}
			return false
		})
		go func() { popped <- rdb.BLPop(ctx, time.Minute, "list").Err() }()
		<-arrived // so the other user has the connection
		start := time.Now()
		_, err := h.Acquire(ctx)
		wantClass(t, err, engine.ClassNotExecuted, "acquire")
		if took := time.Since(start); took < 20*time.Millisecond {
			t.Errorf("it gave up after %v", took)
		}
		select {
		case err := <-popped:
			t.Errorf("the other user got %v; the call waited for it", err)
		default:
		}
		m.Push("list", "at last")
		must(t, <-popped)
		acquire(t, patient)
	}
}
