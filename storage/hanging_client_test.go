//go:build go1.25

package storage_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
)

// P5: a client that hangs in the user's code holds no caller beyond the timeout:
// neither the one whose call hangs, nor others of its breaker, nor other breakers.
// The guard counts it, and the server is reached again once the client goes on.
func TestHangingClient(t *testing.T) {
	for place, install := range hangingPlaces {
		for _, inline := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/ContextTimeoutEnabled=%v", place, inline), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var u userCode
					o := redis.Options{ContextTimeoutEnabled: inline}
					install(&o, &u)
					w := newBubble(t, o)
					if place == "hook" {
						w.client.AddHook(hooks{&u})
					}
					acquire(t, w.handle)
					goOn := make(chan struct{})
					u.set(func() { <-goOn })
					w.net.Reset() // connections are made again
					w.net.Set(faultproxy.Pass())
					for range deadCalls {
						callEverywhere(t, w.store, 50, bound)
					}
					wantTook(t, 0, func() {
						_, err := w.handle.Acquire(ctx)
						wantClass(t, err, engine.ClassNotExecuted, "acquire")
						wantSays(t, err, "backing off", "no answer within")
					})
					u.set(nil)
					close(goOn)
					w.reach(t, 10*time.Second)
				})
			})
		}
	}
}

// P5 as a property: whatever hooks, dialers, limiters and providers do, for however long,
// no operation takes longer than the timeout. Time is exact in a bubble.
func TestHangingClient_bubbleProperty(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random, dice := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
				var u userCode
				// A pool without an end: waiting for a turn of it, go-redis uses timers that it
				// keeps for other bubbles.
				// Without maintenance notifications, since go-redis asks for them with a mutex locked,
				// and runs the user's code meanwhile: time in a bubble does not pass then.
				o := redis.Options{
					ContextTimeoutEnabled: random.IntN(2) == 0, MaxRetries: random.IntN(3), PoolSize: 10_000,
					MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
				}
				for _, install := range hangingPlaces {
					if random.IntN(2) == 0 {
						install(&o, &u)
					}
				}
				w := newBubble(t, o)
				w.client.AddHook(hooks{&u})
				goOn := make(chan struct{})
				var mu sync.Mutex
				u.set(func() {
					mu.Lock()
					n := dice.IntN(1000)
					mu.Unlock()
					switch {
					case n < 800:
					case n < 990:
						time.Sleep(time.Duration(n-800) * time.Duration(n-800) * 100 * time.Microsecond) // up to 3.6 s
					default:
						<-goOn
					}
				})
				for range 40 {
					callEverywhere(t, w.store, 10, bound)
					time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
					if random.IntN(10) == 0 {
						w.net.Reset() // connections are made again, with the user's code
						w.net.Set(faultproxy.Pass())
					}
				}
				u.set(nil)
				close(goOn)
				w.reach(t, 20*time.Second)
			})
		})
	}
}

// A ReadTimeout of -2 has no deadline for a reply, whatever the context says.
func TestHangingClient_withoutReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, redis.Options{ContextTimeoutEnabled: true, ReadTimeout: -2, DialerRetries: 1})
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		for range deadCalls {
			callEverywhere(t, w.store, 10, bound)
		}
		wantTook(t, 0, func() {
			_, err := w.handle.Acquire(ctx)
			wantSays(t, err, "backing off")
		})
		w.net.Reset()
		w.net.Set(faultproxy.Pass())
		w.reach(t, 10*time.Second)
	})
}

// A hook that panics is an error of the storage: the process lives, and callers
// have the fallback.
func TestHangingClient_panics(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		var u userCode
		w.client.AddHook(hooks{&u})
		u.set(func() { panic("a bug in a hook") })
		_, err := w.handle.Acquire(ctx)
		wantClass(t, err, engine.ClassNotExecuted, "acquire")
		wantSays(t, err, "the Redis client panicked: a bug in a hook")
		u.set(nil)
		acquire(t, w.handle)
	})
}

// A hook that ends its goroutine, as a failing test does, costs no caller its timeout:
// neither a lone one nor those that share a pipeline.
func TestHangingClient_goexit(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		var u userCode
		w.client.AddHook(hooks{&u})
		u.set(runtime.Goexit)
		wantTook(t, 0, func() {
			_, err := w.handle.Acquire(ctx)
			wantClass(t, err, engine.ClassNotExecuted, "acquire")
			wantSays(t, err, "the Redis client ended its goroutine")
		})
		u.set(nil)
		acquire(t, w.handle)
		u.set(func() { time.Sleep(time.Millisecond); runtime.Goexit() })
		callEverywhere(t, w.store, 20, 10*time.Millisecond)
		u.set(nil)
		w.reach(t, 10*time.Second)
	})
}

// The same holds for commands that are not steps, and for a hook that ends its
// goroutine.
func TestHangingClient_panicsElsewhere(t *testing.T) {
	for want, fail := range map[string]func(){
		"the Redis client panicked: a bug in a hook": func() { panic("a bug in a hook") },
		"the Redis client ended its goroutine":       runtime.Goexit,
	} {
		inBubble(t, func(t *testing.T, w *bubble) {
			acquire(t, w.handle)
			var u userCode
			w.client.AddHook(hooks{&u})
			u.set(fail)
			_, err := w.store.InspectMany(ctx, []string{name})
			wantSays(t, err, want)
			for _, err := range w.store.Names(ctx) {
				wantSays(t, err, want)
			}
		})
	}
}
