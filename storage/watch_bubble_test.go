//go:build go1.25

package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage"
)

// watcher is a process that watches the fleet of a bubble, over connections whose
// faults it controls.
type watcher struct {
	store  *storage.Redis
	handle engine.Handle
	events *events
	road   *road
}

// road makes the connections of a process. It knows the subscribed one by the
// commands that are written to it.
type road struct {
	dial func(context.Context, string, string) (net.Conn, error)

	mu          sync.Mutex
	dropsEvents bool          // of the subscription, without a cut
	cutAt       int           // byte of the next event at which its connection ends; 0: none
	cutConfirms bool          // ends each subscription when it is confirmed
	bytewise    time.Duration // for each byte of the subscription
	pushDelay   time.Duration // of the subscription
	replyDelay  time.Duration // of other connections
	subscribed  []*roadConn
	dialed      int
	commands    []byte // all that was written
}

type roadConn struct {
	net.Conn
	road       *road
	subscribes bool
	hung       bool
	cut        bool
}

func (r *road) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := r.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	r.set(func(r *road) { r.dialed++ })
	return &roadConn{Conn: conn, road: r}, nil
}

// subscriptions returns how many connections have subscribed.
func (r *road) subscriptions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.subscribed)
}

func (c *roadConn) Write(b []byte) (int, error) {
	c.road.set(func(r *road) { r.commands = append(r.commands, b...) })
	if bytes.Contains(b, []byte("subscribe")) {
		c.road.mu.Lock()
		c.subscribes = true
		c.road.subscribed = append(c.road.subscribed, c)
		c.road.mu.Unlock()
	}
	return c.Conn.Write(b)
}

func (c *roadConn) Read(b []byte) (int, error) {
	for {
		c.road.mu.Lock()
		cut, bytewise := c.cut, c.road.bytewise
		if !c.subscribes {
			bytewise = 0
		}
		c.road.mu.Unlock()
		if cut {
			_ = c.Close()
			return 0, io.ErrUnexpectedEOF
		}
		if bytewise > 0 {
			b = b[:1]
			time.Sleep(bytewise)
		}
		n, err := c.Conn.Read(b)
		c.road.mu.Lock()
		if c.subscribes && c.road.cutAt > 0 && bytes.Contains(b[:n], []byte("message")) {
			n = min(n, c.road.cutAt)
			c.road.cutAt, c.cut = 0, true
		}
		if c.subscribes && c.road.cutConfirms && bytes.Contains(b[:n], []byte("subscribe")) {
			c.cut = true
		}
		drop := c.subscribes && c.road.dropsEvents && bytes.Contains(b[:n], []byte("message"))
		drop = drop || c.hung
		delay := c.road.replyDelay
		if c.subscribes {
			delay = c.road.pushDelay
		}
		c.road.mu.Unlock()
		if err == nil && drop {
			continue
		}
		if delay > 0 {
			time.Sleep(delay)
		}
		return n, err
	}
}

// set changes the faults.
func (r *road) set(change func(r *road)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// commandName matches the name of a command in what a client writes.
var commandName = regexp.MustCompile(`\*\d+\r\n\$\d+\r\n([a-z]+)\r\n`)

// written returns how often each command was written so far.
func (r *road) written() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[string]int{}
	for _, match := range commandName.FindAllSubmatch(r.commands, -1) {
		counts[string(match[1])]++
	}
	return counts
}

// hangSubscription makes the connections that are subscribed now receive nothing.
func (r *road) hangSubscription() {
	r.set(func(r *road) {
		for _, c := range r.subscribed {
			c.hung = true
		}
	})
}

// cutSubscription ends the connections that are subscribed now.
func (r *road) cutSubscription() {
	var conns []*roadConn
	r.set(func(r *road) { conns = slices.Clone(r.subscribed) })
	for _, c := range conns {
		_ = c.Close()
	}
}

func (w *bubble) watcher(t *testing.T, p engine.Policy, inline bool) *watcher {
	t.Helper()
	return w.watcherOver(t, p, inline, func(*redis.Client) {})
}

// watcherOver is watcher with a client that is changed first.
func (w *bubble) watcherOver(t *testing.T, p engine.Policy, inline bool, change func(*redis.Client)) *watcher {
	t.Helper()
	if !w.watched {
		w.watched = true
		t.Cleanup(func() { // after all of them are closed
			synctest.Wait()
			if stack := watchGoroutines(); stack != "" {
				t.Errorf("goroutines outlive Close:\n%s", stack)
			}
		})
	}
	r := &road{dial: w.net.Dial}
	rdb := redis.NewClient(&redis.Options{Addr: "192.0.2.1:6379", Dialer: r.connect, ContextTimeoutEnabled: inline, PoolSize: ampleInBubble})
	t.Cleanup(func() { _ = rdb.Close() })
	change(rdb)
	s := newStorage(t, rdb, storage.WithTimeout(bound), storage.WithWatch())
	h, e := bind(t, s, p)
	return &watcher{store: s, handle: h, events: e, road: r}
}

// watchGoroutines returns the stacks of subscriptions.
func watchGoroutines() string {
	buf := make([]byte, 1<<20)
	var found []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "internal/watch.(*subscription)") {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}

// Whatever happens to messages, every process agrees within 30 s and one reading,
// and each transition is delivered or counted.
func TestWatch_silentLoss(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		must(t, w.client.ScriptLoad(ctx, scripts.Since.Source).Err())
		acquire(t, w.handle)
		var all []*watcher
		for i := range 3 {
			all = append(all, w.watcher(t, opensAtOnce, i == 1))
		}
		time.Sleep(time.Second)
		all[2].road.set(func(r *road) { r.dropsEvents = true })
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range 200 {
			must(t, act(all[i%2].handle, i))
			time.Sleep(time.Duration(rnd.IntN(rnd.IntN(4000)+1)) * time.Millisecond)
			if i == 100 {
				all[2].road.set(func(r *road) { r.dropsEvents = false })
			}
			if i == 150 {
				all[2].road.set(func(r *road) { r.dropsEvents = true })
			}
		}
		time.Sleep(31 * time.Second)
		last := inspect(t, w.store)
		for i, p := range all {
			if s := p.handle.Status(); s.State != last.State || s.Mode != last.Mode {
				t.Errorf("process %d shows %v, the record is %v", i, s.State, last.State)
			}
			wantDelivered(t, p.events, last.Log, 1)
		}
		if n, _ := all[2].events.missed(); n == 0 {
			t.Error("nothing was missed: the test shows little")
		}
	})
}

// A poll of a silent record that fails is repeated within seconds, and not after another
// 30 s of silence.
func TestWatch_pollFails(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		idle := w.watcher(t, opensAtOnce, true)
		time.Sleep(10 * time.Second)
		idle.road.set(func(r *road) { r.dropsEvents, r.replyDelay = true, 10*bound })
		must(t, act(w.handle, 0))
		time.Sleep(30 * time.Second)
		if s := idle.handle.Status().State; s != engine.StateClosed {
			t.Fatalf("a process that receives nothing shows %v", s)
		}
		idle.road.set(func(r *road) { r.replyDelay = 0 })
		time.Sleep(7 * time.Second)
		if s := idle.handle.Status().State; s != engine.StateOpen {
			t.Errorf("after the server is back, the process shows %v", s)
		}
	})
}

// A poll that fails does not put off the one that silence makes due, though it was in flight
// while all records were looked at.
func TestWatch_pollFailsDuringScan(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		idle := w.watcher(t, opensAtOnce, true)
		time.Sleep(20 * time.Second)
		acquire(t, idle.handle) // silence is long after 50 s, and all records are looked at after 30 s
		time.Sleep(10*time.Second - bound/4)
		var refuses atomic.Bool
		refuses.Store(true)
		w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
			refused := strings.EqualFold(cmd, "hget") && refuses.Load()
			if refused {
				time.Sleep(bound / 2)
				c.WriteError("LOADING Redis is loading the dataset in memory")
			}
			return refused
		})
		idle.road.set(func(r *road) { r.dropsEvents = true })
		idle.road.cutSubscription() // the next one asks for a poll
		time.Sleep(2 * time.Second)
		refuses.Store(false)
		must(t, act(w.handle, 0))
		time.Sleep(20 * time.Second)
		if s := idle.handle.Status().State; s != engine.StateOpen {
			t.Errorf("after 32 s without a reply the process shows %v", s)
		}
	})
}

// After an own transition Status has all that its reply says: the ramp, and the end of the
// mode, whether the event comes before the reply or after it.
func TestWatch_statusAfterOwnTransition(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		p := w.watcher(t, engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Second, Ramp: engine.Ramp{Over: time.Hour, From: 0.5}}, true)
		time.Sleep(time.Second)
		for _, delay := range []time.Duration{0, bound / 2} {
			p.road.set(func(r *road) { r.replyDelay = delay })
			_, err := p.handle.Control(ctx, engine.Command{Action: engine.ActionTrip, For: time.Second})
			must(t, err)
			time.Sleep(time.Second)
			report(t, p.handle, acquire(t, p.handle), engine.Success)
			if s := p.handle.Status(); s.State != engine.StateClosed || s.RampFor < 59*time.Minute || s.RampShare < 0.5 {
				t.Errorf("replies after %v: after the recovery Status is %+v, want a ramp of an hour", delay, s)
			}
			_, err = p.handle.Control(ctx, engine.Command{Action: engine.ActionShadow, For: time.Hour})
			must(t, err)
			_, err = p.handle.Control(ctx, engine.Command{Action: engine.ActionTrip})
			must(t, err)
			if s := p.handle.Status(); s.State != engine.StateOpen || s.ModeFor < 59*time.Minute {
				t.Errorf("replies after %v: after a trip in a mode Status is %+v, want a mode of an hour", delay, s)
			}
			_, err = p.handle.Control(ctx, engine.Command{Action: engine.ActionRelease})
			must(t, err)
		}
	})
}

// A push may come before the reply of its step or after it: the transition is own
// both times, and delivered once.
func TestWatch_ownBeforeAndAfter(t *testing.T) {
	for what, set := range map[string]func(r *road){
		"push first":  func(r *road) { r.replyDelay = 40 * time.Millisecond },
		"reply first": func(r *road) { r.pushDelay = 100 * time.Millisecond },
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *bubble) {
				p := w.watcher(t, opensAtOnce, true)
				must(t, act(p.handle, 0))
				time.Sleep(time.Second)
				p.road.set(set)
				for i := range 4 {
					i++
					must(t, act(p.handle, i))
					time.Sleep(time.Second)
				}
				list := p.events.transitions()
				for _, move := range list {
					if !move.Own {
						t.Errorf("%v is not own", move)
					}
				}
				wantDelivered(t, p.events, inspect(t, w.store).Log, 0)
				if len(list) != 5 {
					t.Errorf("%d transitions, want 5", len(list))
				}
			})
		})
	}
}

// A subscription that hangs is found out and made again.
func TestWatch_blackHole(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		p := w.watcher(t, opensAtOnce, true)
		time.Sleep(time.Second)
		p.road.hangSubscription()
		time.Sleep(25 * time.Second)
		_, err := w.store.Control(ctx, name, engine.Command{Action: engine.ActionTrip})
		must(t, err)
		time.Sleep(100 * time.Millisecond)
		if s := p.handle.Status(); s.State != engine.StateOpen {
			t.Errorf("25 s after the subscription hung, the process shows %v", s.State)
		}
	})
}

// A connection that ends within an event, at whatever byte, loses nothing: the rest of
// an event is not taken for another one.
func TestWatch_cutInsideAFrame(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		p := w.watcher(t, opensAtOnce, true)
		time.Sleep(time.Second)
		const frame = 130 // bytes of an event: some cuts are after it
		for at := 1; at <= frame; at += 3 {
			p.road.set(func(r *road) { r.cutAt = at })
			for i := range 3 {
				_, err := w.handle.Control(ctx, engine.Command{Action: engine.ActionTrip, Reason: "ab+cd:-OK"})
				must(t, err)
				time.Sleep(time.Duration(i) * 200 * time.Millisecond)
			}
			time.Sleep(2 * time.Second)
		}
		last := inspect(t, w.store).Log
		wantDelivered(t, p.events, last, 1)
		if n, _ := p.events.missed(); n != 0 {
			t.Errorf("%d transitions were missed, want none: the log has them", n)
		}
		if subscribed := p.road.subscriptions(); subscribed < 2 {
			t.Errorf("%d connections were subscribed: nothing was cut", subscribed)
		}
	})
}

// A subscription of 100 ms for each byte is slower than transitions happen: reading
// makes up for it.
func TestWatch_slowBytes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		p := w.watcher(t, opensAtOnce, true)
		time.Sleep(time.Second)
		p.road.set(func(r *road) { r.bytewise = 100 * time.Millisecond })
		for i := range 60 {
			must(t, act(w.handle, i))
			time.Sleep(4 * time.Second)
		}
		time.Sleep(31 * time.Second)
		last := inspect(t, w.store)
		if s := p.handle.Status(); s.State != last.State {
			t.Errorf("the process shows %v, the record is %v", s.State, last.State)
		}
		time.Sleep(5 * time.Minute) // the rest of the events arrives
		wantDelivered(t, p.events, last.Log, 1)
	})
}

// Behind a hook that prefixes the keys of commands, nothing is received: the process
// follows by reading.
func TestWatch_behindAPrefix(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		p := w.watcherOver(t, opensAtOnce, true, func(rdb *redis.Client) { rdb.AddHook(prefixHook{"tenant1:"}) })
		other := w.watcherOver(t, opensAtOnce, true, func(rdb *redis.Client) { rdb.AddHook(prefixHook{"tenant1:"}) })
		acquire(t, other.handle)
		time.Sleep(time.Minute)
		for i := range 10 {
			must(t, act(other.handle, i))
			time.Sleep(31 * time.Second)
			want := engine.StateOpen
			if i%2 == 1 {
				want = engine.StateClosed
			}
			if s := p.handle.Status(); s.State != want {
				t.Errorf("after transition %d the process shows %v, want %v", i, s.State, want)
			}
		}
		last := inspect(t, p.store)
		wantDelivered(t, p.events, last.Log, 1)
		wantDelivered(t, other.events, last.Log, 0)
		if inspect(t, w.store).Exists {
			t.Error("the record is under its own key: nothing was prefixed")
		}
	})
}

// A hook that takes 10 s holds up hooks only: the status follows at once, and the
// events that are too many are counted.
func TestWatch_slowHook(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		p := w.watcher(t, opensAtOnce, true)
		var got, dropped atomic.Int64
		b, err := redbreaker.New(name, opensAtOnce, redbreaker.WithStorage(p.store), redbreaker.WithHooks(redbreaker.Hooks{
			OnTransition: func(redbreaker.Transition) { time.Sleep(10 * time.Second); got.Add(1) },
			OnAnomaly: func(e redbreaker.Event) {
				if e.Kind == redbreaker.EventDropped {
					dropped.Add(int64(e.Dropped))
				}
			},
		}))
		must(t, err)
		time.Sleep(time.Second)
		const moves = 300
		for i := range moves {
			must(t, act(w.handle, i))
			time.Sleep(time.Millisecond)
			want := engine.StateOpen
			if i%2 == 1 {
				want = engine.StateClosed
			}
			if s := b.State(); s != want {
				t.Fatalf("after transition %d the process shows %v, want %v", i, s, want)
			}
		}
		time.Sleep(2 * time.Hour)
		if got.Load()+dropped.Load() != moves || dropped.Load() == 0 {
			t.Errorf("of %d transitions %d reached the hook and %d were dropped", moves, got.Load(), dropped.Load())
		}
		must(t, b.Shutdown(ctx))
	})
}

// A server that answers SUBSCRIBE with an error for now is asked again soon; one that
// refuses it, every 30 s, and that is reported once.
func TestWatch_subscribeAnsweredByAnError(t *testing.T) {
	for answer, want := range map[string]struct {
		lost  int
		after time.Duration
	}{
		"LOADING Redis is loading the dataset in memory":    {0, 3 * time.Second},
		"ERR max number of clients reached":                 {0, 3 * time.Second},
		"NOPERM this user has no permissions to run it":     {1, 31 * time.Second},
		"ERR unknown command 'subscribe', with args beginn": {1, 31 * time.Second},
	} {
		t.Run(answer, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *bubble) {
				acquire(t, w.handle)
				var refuses atomic.Bool
				refuses.Store(true)
				w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
					refused := refuses.Load() && strings.EqualFold(cmd, "subscribe")
					if refused {
						c.WriteError(answer)
					}
					return refused
				})
				p := w.watcher(t, opensAtOnce, true)
				time.Sleep(65 * time.Second)
				if n := p.events.of(engine.EventPushLost); n != want.lost {
					t.Errorf("%d events say that push is lost, want %d", n, want.lost)
				}
				refuses.Store(false)
				time.Sleep(want.after)
				must(t, act(w.handle, 0))
				time.Sleep(time.Second)
				if s := p.handle.Status().State; s != engine.StateOpen {
					t.Errorf("%v after the server takes subscriptions, the process shows %v", want.after, s)
				}
			})
		})
	}
}

// Close ends within the timeout while nothing arrives, and at any moment of the
// subscription's life.
func TestWatch_closeInBlackHole(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Millisecond, time.Second, 15 * time.Second} {
		t.Run(fmt.Sprint(wait), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *bubble) {
				p := w.watcher(t, opensAtOnce, true)
				time.Sleep(wait)
				p.road.hangSubscription()
				w.net.Set(faultproxy.Blackhole())
				start := time.Now()
				must(t, p.store.Close())
				if took := time.Since(start); took > bound {
					t.Errorf("Close took %v, want at most %v", took, bound)
				}
				time.Sleep(10 * time.Second) // go-redis ends its dials
			})
		})
	}
}

// An idle process sends a ping for each 10 s of silence and polls each record every 25
// to 30 s, no more.
func TestWatch_idleCost(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		commands := countCommands(w)
		w.watcher(t, opensAtOnce, true)
		time.Sleep(10 * time.Second)
		before := commands()
		time.Sleep(time.Hour)
		after := commands()
		for command, most := range map[string]int{"PING": 361, "HGET": 145, "EVALSHA": 1, "SUBSCRIBE": 0} {
			if n := after[command] - before[command]; n > most {
				t.Errorf("%d times %s in an hour, want at most %d", n, command, most)
			}
		}
		if n := after["HGET"] - before["HGET"]; n < 100 {
			t.Errorf("%d polls in an hour: nothing would find what was lost", n)
		}
	})
}

// Without WithWatch nothing is different: one connection, no goroutine, and no command
// but the steps of calls and the index. With it there are one connection and one
// goroutine more.
func TestWatch_off(t *testing.T) {
	const calls = 50
	for watches, want := range map[bool]struct{ connections, goroutines int }{false: {1, 0}, true: {2, 1}} {
		t.Run(fmt.Sprint("watches ", watches), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *bubble) {
				r := &road{dial: w.net.Dial}
				rdb := redis.NewClient(&redis.Options{Addr: "192.0.2.1:6379", Dialer: r.connect})
				t.Cleanup(func() { _ = rdb.Close() })
				opts := []storage.Option{storage.WithTimeout(bound)}
				if watches {
					opts = append(opts, storage.WithWatch())
				}
				must(t, w.client.ScriptLoad(ctx, scripts.Enrol.Source).Err())
				s := newStorage(t, rdb, opts...)
				var handles []engine.Handle
				for i := range 10 {
					h, err := s.Bind(fmt.Sprint("breaker", i), opensAtOnce, func(engine.Event) {})
					must(t, err)
					handles = append(handles, h)
				}
				time.Sleep(time.Second) // a first poll does not meet a call on the way
				for i := range calls {
					acquire(t, handles[i%len(handles)])
				}
				_, err := handles[0].Control(ctx, engine.Command{Action: engine.ActionTrip})
				must(t, err)
				time.Sleep(time.Hour)
				synctest.Wait()
				if r.dialed != want.connections {
					t.Errorf("%d connections were made, want %d", r.dialed, want.connections)
				}
				// A tick or a poll has goroutines for a moment.
				least := storageGoroutines()
				for range 20 {
					time.Sleep(500 * time.Millisecond)
					if now := storageGoroutines(); len(now) < len(least) {
						least = now
					}
				}
				if len(least) != want.goroutines {
					t.Errorf("%d goroutines, want %d:\n%s", len(least), want.goroutines, strings.Join(least, "\n\n"))
				}
				if watches {
					return
				}
				// The control script is not loaded: EVALSHA, SCRIPT LOAD and EVALSHA. The index
				// takes an EVALSHA for each of its parts.
				for command, n := range r.written() {
					most, known := map[string]int{"hello": 1, "client": 4, "script": 1, "evalsha": calls + 2 + 10}[command]
					if !known || n > most {
						t.Errorf("%d times %s, want at most %d", n, command, most)
					}
				}
			})
		})
	}
}

// storageGoroutines returns the stacks of the goroutines that storages have now.
func storageGoroutines() (found []string) {
	buf := make([]byte, 1<<20)
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if _, by, ok := strings.Cut(stack, "created by github.com/redbreaker/redbreaker/storage/"); ok && strings.HasPrefix(by, "internal") {
			found = append(found, stack)
		}
	}
	return found
}

// countCommands returns how often each command was called so far.
func countCommands(w *bubble) func() map[string]int {
	var mu sync.Mutex
	counts := map[string]int{}
	w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		counts[strings.ToUpper(cmd)]++
		return false
	})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(counts)
	}
}
