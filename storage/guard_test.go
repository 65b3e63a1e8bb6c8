//go:build go1.25

package storage_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/storage"
)

// deadCalls is how many calls in a row find out that a server is dead.
const deadCalls = 3

// A dead server costs its first calls the bound, and the later ones nothing.
func TestGuard_leavesADeadServerAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		wantTook(t, deadCalls*bound, func() {
			for range deadCalls {
				_, err := w.handle.Acquire(ctx)
				var e *engine.StorageError
				if !errors.As(err, &e) {
					t.Errorf("got %v", err)
				}
			}
		})
		wantTook(t, 0, func() {
			for range 1000 {
				_, err := w.handle.Acquire(ctx)
				e := wantClass(t, err, engine.ClassNotExecuted, "acquire")
				wantSays(t, e, "storage unavailable, backing off; last error: ", "no answer within")
			}
		})
		// Commands and questions of people are not kept back: they say how it is.
		wantTook(t, bound, func() {
			_, err := w.store.Inspect(ctx, name)
			wantSays(t, err, "no answer within")
		})
	})
}

// Calls that fail at the same time are one observation: a pause of 250 ms, of the
// server or of this process, does not keep callers from a server that is well.
func TestGuard_burstIsOneFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		burst := func() {
			var all sync.WaitGroup
			for i := range 256 {
				h := w.handle
				if i%2 == 1 {
					var err error
					h, err = w.store.Bind(fmt.Sprint(name, i), neverOpens, nil)
					must(t, err)
				}
				all.Add(1)
				go func() {
					defer all.Done()
					wantTook(t, bound, func() {
						if _, err := h.Acquire(ctx); classOf(err) == 0 {
							t.Errorf("got %v, want a storage error", err)
						}
					})
				}()
			}
			all.Wait()
		}
		for range 5 {
			w.net.Set(faultproxy.Blackhole())
			burst()
			burst()
			w.net.Set(faultproxy.Pass())
			acquire(t, w.handle) // it is asked at once
		}
		w.net.Set(faultproxy.Blackhole())
		for range deadCalls {
			burst()
		}
		wantTook(t, 0, func() {
			_, err := w.handle.Acquire(ctx)
			wantSays(t, err, "backing off")
		})
	})
}

// A server that is back is found out by one trial, which carries nothing; until
// then calls are not kept waiting.
func TestGuard_comesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		for range deadCalls {
			_, _ = w.handle.Acquire(ctx)
		}
		w.net.Reset() // with what was on its way
		w.net.Set(faultproxy.Pass())
		var trials [][]string
		w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
			if cmd == "EVALSHA" {
				trials = append(trials, args)
			}
			return false
		})
		// It asks again after 100 to 200 ms: calls until then go nowhere.
		for range 40 {
			if _, err := w.handle.Acquire(ctx); err == nil {
				break
			}
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		w.mini.Server().SetPreHook(nil)
		if len(trials) != 2 { // the trial, then the call
			t.Fatalf("%d scripts were called: %q", len(trials), trials)
		}
		if admissions := trials[0][3]; admissions[0] != '0' || len(trials[0]) != 5 {
			t.Errorf("the trial carried %q", trials[0][3:])
		}
		report(t, w.handle, ticket, engine.Failure)
		if n := streak(t, w.store); n != 1 {
			t.Errorf("%d failures are counted, want 1", n)
		}
	})
}

// A server that stays away is asked ever less often, and by one trial at a time.
func TestGuard_backsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, redis.Options{})
		acquire(t, w.handle)
		calls := 0
		w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
			if cmd == "EVALSHA" {
				calls++
				c.WriteError("LOADING Redis is loading the dataset in memory")
			}
			return cmd == "EVALSHA"
		})
		for range 60_000 { // ten minutes of calls
			_, err := w.handle.Acquire(ctx)
			if err == nil {
				t.Fatal("a call was admitted")
			}
			time.Sleep(10 * time.Millisecond)
		}
		// Every 2.5 to 5 s once it has backed off.
		synctest.Wait()
		if calls < 600/5 || calls > 600/2.5+20 {
			t.Errorf("%d scripts were called in ten minutes", calls)
		}
		w.mini.Server().SetPreHook(nil)
		time.Sleep(5 * time.Second)
		_, _ = w.handle.Acquire(ctx) // sets the trial off
		synctest.Wait()
		acquire(t, w.handle)
	})
}

// A slip is forgiven: errors count only in a row.
func TestGuard_forgivesASlip(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		for range 10 {
			for range deadCalls - 1 {
				w.mini.SetError("MISCONF Redis is configured to save RDB snapshots")
				_, err := w.handle.Acquire(ctx)
				wantClass(t, err, engine.ClassRefused, "acquire")
			}
			w.mini.SetError("")
			acquire(t, w.handle)
		}
	})
}

// Errors of one record or one slot keep no other breaker from the storage.
func TestGuard_othersGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		must(t, w.mini.Set(fleet+":{theirs}", "theirs"))
		theirs, err := w.store.Bind("theirs", opensAtOnce, nil)
		must(t, err)
		for range 10 {
			_, err := theirs.Acquire(ctx)
			if !errors.Is(err, engine.ErrForeignKey) {
				t.Fatal(err)
			}
		}
		acquire(t, w.handle)
		for range 10 {
			w.mini.SetError("CLUSTERDOWN Hash slot not served")
			_, err := w.handle.Acquire(ctx)
			wantClass(t, err, engine.ClassRefused, "acquire")
		}
		w.mini.SetError("")
		acquire(t, w.handle)
	})
}

// One guard serves all breakers of a storage; another storage has its own.
func TestGuard_isTheStorages(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		w.mini.SetError("LOADING Redis is loading the dataset in memory")
		for range deadCalls {
			_, _ = w.handle.Acquire(ctx)
		}
		w.mini.SetError("")
		other, err := w.store.Bind("other", opensAtOnce, nil)
		must(t, err)
		if _, err := other.Acquire(ctx); err == nil {
			t.Error("the other breaker asked the server")
		} else {
			wantSays(t, err, "backing off", "LOADING")
		}
		h, _ := bind(t, newStorage(t, w.client, storage.WithTimeout(bound)), neverOpens)
		acquire(t, h)
	})
}
