//go:build go1.25

package storage_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/storage"
)

// A server is reached at any distance at which its reply comes within the timeout:
// at the start, and after its connections were reset, though a connection takes
// four round trips to make and a missing script three.
func TestDistance(t *testing.T) {
	const limit = 5 * time.Second
	for _, test := range []struct{ rtt, timeout time.Duration }{
		{0, bound}, {50 * time.Millisecond, bound}, {84 * time.Millisecond, bound}, {100 * time.Millisecond, bound},
		{150 * time.Millisecond, bound}, {200 * time.Millisecond, bound}, {240 * time.Millisecond, bound},
		{100 * time.Millisecond, 110 * time.Millisecond}, {400 * time.Millisecond, 450 * time.Millisecond},
	} {
		for _, inline := range []bool{true, false} {
			t.Run(fmt.Sprintf("rtt=%v/timeout=%v/ContextTimeoutEnabled=%v", test.rtt, test.timeout, inline), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newFarBubble(t, test.rtt, redis.Options{ContextTimeoutEnabled: inline, Username: "default", Password: "secret"}, test.timeout)
					w.reach(t, limit)
					for range 3 {
						w.net.Reset()
						w.reach(t, limit)
					}
				})
			})
		}
	}
}

// A connection whose making takes most of the timeout carries the next call: the reply to
// the call that made it comes after its caller has left, and closes nothing.
func TestDistance_lateReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rtt = 100 * time.Millisecond
		w := newFarBubble(t, rtt, redis.Options{ContextTimeoutEnabled: true, Protocol: 2, DisableIdentity: true, Username: "default", Password: "secret"}, bound)
		w.mini.RequireAuth("")
		w.loadScripts(t)
		w.mini.RequireAuth("secret")
		// Dialing and AUTH take two round trips, 200 of 250 ms: the command is written, and its
		// reply comes at 300 ms.
		_, err := w.handle.Acquire(ctx)
		wantClass(t, err, engine.ClassUnknown, "acquire")
		time.Sleep(rtt)
		wantTook(t, rtt, func() { acquire(t, w.handle) })
	})
}

// Ping, called at the start, passes at any distance that the timeout allows.
func TestDistance_ping(t *testing.T) {
	for _, rtt := range []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 240 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			w := newFarBubble(t, rtt, redis.Options{ContextTimeoutEnabled: true, Username: "default", Password: "secret"}, bound)
			if err := w.store.Ping(ctx); err != nil {
				t.Errorf("at %v: %v", rtt, err)
			}
		})
	}
}

// newFarBubble returns a bubble whose server is one round trip away, dialing
// included, and knows no script.
func newFarBubble(t *testing.T, rtt time.Duration, o redis.Options, timeout time.Duration) *bubble {
	t.Helper()
	w := &bubble{mini: miniredis.NewMiniRedis()}
	t.Cleanup(func() { time.Sleep(time.Minute) })
	t.Cleanup(w.mini.Close)
	w.mini.RequireAuth("secret")
	w.net = faultproxy.New(func(context.Context) (net.Conn, error) { return w.mini.Dial() })
	t.Cleanup(w.net.Close)
	w.net.Set(faultproxy.Delay(rtt / 2))
	o.Addr, o.PoolSize = "192.0.2.1:6379", ampleInBubble
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		select {
		case <-time.After(rtt):
			return w.net.Dial(ctx, network, addr)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.client = redis.NewClient(&o)
	t.Cleanup(func() { _ = w.client.Close() })
	w.store = newStorage(t, w.client, storage.WithTimeout(timeout))
	w.handle, w.events = bind(t, w.store, neverOpens)
	return w
}

// reach calls until the server answers, which it must within the limit, and then
// wants it to answer every call.
func (w *bubble) reach(t *testing.T, limit time.Duration) {
	t.Helper()
	start := time.Now()
	for {
		_, err := w.handle.Acquire(ctx)
		if err == nil {
			break
		}
		if took := time.Since(start); took > limit {
			t.Fatalf("not reached within %v: %v", took, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 20 {
		acquire(t, w.handle)
	}
}
