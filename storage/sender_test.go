//go:build go1.25

package storage_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
)

// subscriber is somebody who calls a breaker of his own.
type subscriber struct {
	engine.Handle
	ticket engine.Ticket
}

// subscribers binds so many breakers of a world, with their records made.
func (w *world) subscribers(t *testing.T, n int) []subscriber {
	t.Helper()
	list := make([]subscriber, n)
	for i := range list {
		h, err := w.store.Bind(fmt.Sprint(name, i), neverOpens, nil)
		must(t, err)
		list[i] = subscriber{h, acquire(t, h)}
	}
	return list
}

// fail has a call on every breaker fail, all at once.
func fail(subscribers []subscriber, check func(i int, err error)) {
	var all []func()
	for i, u := range subscribers {
		all = append(all, func() {
			_, err := u.Report(ctx, u.ticket, engine.Failure, 0, nil)
			check(i, err)
		})
	}
	meanwhile(all...)
}

func noError(t *testing.T) func(int, error) {
	return func(i int, err error) {
		if err != nil {
			t.Errorf("breaker %d: %v", i, err)
		}
	}
}

// Calls of different breakers leave together while two are under way: however
// many there are, the last is back after the time of two round trips, over two
// connections.
func TestSender_sharesRoundTrips(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		subscribers := w.subscribers(t, 40)
		steps := listen(w)
		fail(subscribers[:2], noError(t)) // both connections are there
		steps.take()
		wantTook(t, 4*travel, func() { fail(subscribers, noError(t)) })
		if got := steps.take(); len(got) != len(subscribers) {
			t.Errorf("%d scripts were called for %d breakers", len(got), len(subscribers))
		}
		if n := w.client.PoolStats().TotalConns; n > 2 {
			t.Errorf("%d connections are open, want 2 at most", n)
		}
	})
}

// Scripts that the server has lost are found missing in a pipeline too, loaded
// once, and each call is executed once.
func TestSender_noScript(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		subscribers := w.subscribers(t, 40)
		listen(w)
		must(t, w.client.ScriptFlush(ctx).Err())
		fail(subscribers, noError(t))
		for i := range subscribers {
			s, err := w.store.Inspect(ctx, fmt.Sprint(name, i))
			must(t, err)
			if s.Streak != 1 {
				t.Errorf("breaker %d counts %d failures, want 1", i, s.Streak)
			}
		}
	})
}

// Who leaves before his call is written is not written; who leaves later may
// have been; the others do not notice.
func TestSender_callerLeaves(t *testing.T) {
	for what, leaves := range map[string]time.Duration{"before": travel / 2, "later": 3 * travel} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, redis.Options{ContextTimeoutEnabled: true})
				subscribers := w.subscribers(t, 10)
				steps := listen(w)
				fail(subscribers[:2], noError(t))
				steps.take()
				meanwhile(
					func() { _, _ = subscribers[0].Acquire(ctx) },
					func() { _, _ = subscribers[1].Acquire(ctx) },
					func() { _, err := subscribers[2].Acquire(ctx); noError(t)(2, err) },
					func() {
						short, cancel := context.WithTimeout(ctx, leaves)
						defer cancel()
						wantTook(t, leaves, func() {
							if _, err := subscribers[3].Acquire(short); err != context.DeadlineExceeded {
								t.Errorf("got %v, want the context's error", err)
							}
						})
					},
					func() { _, err := subscribers[4].Acquire(ctx); noError(t)(4, err) },
				)
				want := map[string]int{"before": 4, "later": 5}[what]
				if got := steps.take(); len(got) != want {
					t.Errorf("%d scripts were called, want %d", len(got), want)
				}
			})
		})
	}
}

// The replies of a pipeline are lost: each of its calls is unknown, and none is
// sent again.
func TestSender_unknownForEach(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		subscribers := w.subscribers(t, 10)
		steps := listen(w)
		fail(subscribers[:2], noError(t))
		steps.take()
		time.AfterFunc(2*travel+travel/2, func() { w.net.Set(faultproxy.CutReply(0)) })
		fail(subscribers, func(i int, err error) {
			if i >= 2 {
				if class := classOf(err); class != engine.ClassUnknown {
					t.Errorf("breaker %d: %v, want a fate that is unknown", i, err)
				}
			}
		})
		synctest.Wait()
		if got := steps.take(); len(got) != len(subscribers) {
			t.Errorf("%d scripts were called for %d breakers", len(got), len(subscribers))
		}
	})
}

// What waits for a dead server is not executed, then or later.
func TestSender_notExecuted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		subscribers := w.subscribers(t, 10)
		steps := listen(w)
		fail(subscribers[:2], noError(t))
		w.net.Set(faultproxy.Blackhole())
		steps.take()
		fail(subscribers, func(i int, err error) {
			if i >= 2 {
				if class := classOf(err); class != engine.ClassNotExecuted {
					t.Errorf("breaker %d: %v, want one that was not executed", i, err)
				}
			}
		})
		w.net.Set(faultproxy.Pass())
		time.Sleep(10 * time.Second)
		if got := steps.take(); len(got) > 2 { // those that were written, and are still on their way
			t.Errorf("%d scripts were called: %q", len(got), got)
		}
	})
}

// Close ends what waits for room at once.
func TestSender_close(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		subscribers := w.subscribers(t, 10)
		listen(w)
		fail(subscribers[:2], noError(t)) // both connections are there
		var all []func()
		for i, s := range subscribers {
			all = append(all, func() {
				if _, err := s.Acquire(ctx); i >= 2 && err != engine.ErrStopped {
					t.Errorf("breaker %d: %v, want ErrStopped", i, err)
				}
			})
		}
		wantTook(t, 2*travel, func() { meanwhile(append(all, func() { must(t, w.store.Close()) })...) })
	})
}
