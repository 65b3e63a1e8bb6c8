//go:build go1.25

package storage_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
)

// subscriber calls a breaker of its own.
type subscriber struct {
	engine.Handle
	ticket engine.Ticket
}

// subscribers binds so many breakers of a bubble, with their records made.
func (w *bubble) subscribers(t *testing.T, n int) []subscriber {
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

// Calls of different breakers leave together while two are in flight: however many
// there are, the last returns after the time of two round trips, over two
// connections.
func TestSender_sharesRoundTrips(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
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
	inBubble(t, func(t *testing.T, w *bubble) {
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

// A caller that leaves before its call is written is not written; the call of one
// that leaves later is executed. Both are released at once, and the others do not
// notice.
func TestSender_callerLeaves(t *testing.T) {
	for _, test := range []struct {
		what    string
		after   time.Duration
		want    error
		scripts int
	}{
		{"before", travel / 2, context.Canceled, 4},
		{"in flight", 3 * travel, context.Canceled, 5},
	} {
		t.Run(test.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newBubble(t, redis.Options{ContextTimeoutEnabled: true})
				subscribers := w.subscribers(t, 5)
				steps := listen(w)
				fail(subscribers[:2], noError(t)) // both connections are there
				steps.take()
				gone, cancel := context.WithCancel(ctx)
				time.AfterFunc(test.after, cancel)
				var all []func()
				for i, s := range subscribers {
					all = append(all, func() {
						his, want := ctx, error(nil)
						if i == 3 {
							his, want = gone, test.want
						}
						if _, err := s.Acquire(his); err != want {
							t.Errorf("breaker %d: %v, want %v", i, err, want)
						}
					})
				}
				meanwhile(all...)
				if got := steps.take(); len(got) != test.scripts {
					t.Errorf("%d scripts were called, want %d", len(got), test.scripts)
				}
			})
		})
	}
}

// The replies of a pipeline are lost: each of its calls is unknown, and none is
// sent again.
func TestSender_unknownForEach(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
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
	inBubble(t, func(t *testing.T, w *bubble) {
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
	inBubble(t, func(t *testing.T, w *bubble) {
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
		wantTook(t, 2*travel, func() { meanwhile(append(all, func() { must(inGoroutine(t), w.store.Close()) })...) })
	})
}

// One connection that breaks is one slip to the guard, however many calls it
// carried.
func TestSender_oneSlip(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		subscribers := w.subscribers(t, 10)
		listen(w)
		fail(subscribers[:2], noError(t)) // both connections are there
		time.AfterFunc(2*travel+travel/2, func() { w.net.Set(faultproxy.CutReply(0)) })
		var lost atomic.Int32
		fail(subscribers, func(_ int, err error) {
			if err != nil {
				lost.Add(1)
			}
		})
		if n := lost.Load(); n < deadCalls {
			t.Errorf("%d calls were lost, want more than the guard forgives", n)
		}
		acquire(t, w.handle)
	})
}

// A command that was sent on to another node, whose reply then is lost, is
// unknown and not sent again. go-redis keeps the redirection as its error.
func TestSender_redirectedThenLost(t *testing.T) {
	for _, redirection := range []string{"MOVED", "ASK"} {
		t.Run(redirection, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { redirectedThenLost(t, redirection) })
		})
	}
}

func redirectedThenLost(t *testing.T, redirection string) {
	const oldAddr, newAddr = "192.0.2.1:6379", "192.0.2.2:6379"
	old, w := miniredis.NewMiniRedis(), newBubble(t, redis.Options{ContextTimeoutEnabled: true})
	defer old.Close()
	must(t, w.mini.Server().Register("ASKING", func(c *server.Peer, _ string, _ []string) { c.WriteOK() }))
	travels := faultproxy.New(func(context.Context) (net.Conn, error) { return old.Dial() })
	defer travels.Close()
	travels.Set(faultproxy.Delay(travel))
	first, err := old.Dial() // makes the server
	must(t, err)
	defer first.Close()
	old.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" {
			c.WriteError(redirection + " 42 " + newAddr)
		}
		return cmd == "EVALSHA"
	})
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		ContextTimeoutEnabled: true, PoolSize: ampleInBubble,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: oldAddr}}}}, nil
		},
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == oldAddr {
				return travels.Dial(ctx, network, addr)
			}
			return w.net.Dial(ctx, network, addr)
		},
	})
	defer rdb.Close()
	w.store = newStorage(t, rdb)
	defer func() { must(t, w.store.Close()) }()
	subscribers := w.subscribers(t, 8)
	listen(w)
	fail(subscribers[:2], noError(t)) // connections are there
	// The two that are sent alone have their replies; those of the pipeline are cut
	// off.
	var executed atomic.Int32
	w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" && executed.Add(1) == 3 {
			w.net.Set(faultproxy.CutReply(0))
		}
		return false
	})
	var lost atomic.Int32
	fail(subscribers, func(i int, err error) {
		if err != nil {
			lost.Add(1)
			if classOf(err) != engine.ClassUnknown {
				t.Errorf("breaker %d: %v, want a fate that is unknown", i, err)
			}
		}
	})
	if n := int(executed.Load()); n > len(subscribers) || int(lost.Load()) != len(subscribers)-2 {
		t.Errorf("%d scripts were called for %d breakers, %d replies lost", n, len(subscribers), lost.Load())
	}
}
