package storage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// follower is a process that watches a breaker on a server of its own, beside one that
// moves it.
type follower struct {
	t      testing.TB
	server *redistest.Server
	active engine.Handle
	idle   engine.Handle
	events *events
	store  *storage.Redis // of the active process
	base   int64          // number of the transition at which the follower began
}

func newFollower(t testing.TB, args ...string) *follower {
	t.Helper()
	f := &follower{t: t, server: redistest.Start(t, args...)}
	f.store = newStorage(t, f.server.Client())
	f.active, _ = bind(t, f.store, opensAtOnce)
	acquire(t, f.active)
	f.idle, f.events = watching(t, f.server.Client(), opensAtOnce)
	eventually(t, "a baseline", func() bool { return f.idle.Status().Age >= 0 })
	f.awaitSubscribed()
	f.base = inspect(t, f.store).Log[0].N
	return f
}

func (f *follower) awaitSubscribed() {
	f.t.Helper()
	eventually(f.t, "a subscription", func() bool { return subscribedNode(f.t, []*redistest.Server{f.server}, nil) == 0 })
}

// mustAgree waits until the follower has followed the record to its end, and wants
// each transition to be delivered once and in order, or counted as missed.
func (f *follower) mustAgree() {
	f.t.Helper()
	last := inspect(f.t, f.store)
	eventually(f.t, "the last transition", func() bool {
		list := f.events.transitions()
		return len(list) > 0 && list[len(list)-1].Epoch == last.Epoch && f.idle.Status().State == last.State
	})
	wantDelivered(f.t, f.events, last.Log, f.base)
}

// A server that restarts with its data ends the subscription: it is made again, and
// nothing is lost.
func TestWatch_serverRestarts(t *testing.T) {
	f := newFollower(t, "--appendonly", "yes")
	must(t, act(f.active, 0))
	f.server.Restart()
	for i := range 5 {
		eventually(t, "the server", func() bool { return act(f.active, i+1) == nil })
	}
	f.awaitSubscribed()
	for i := range 5 {
		must(t, act(f.active, i))
	}
	f.mustAgree()
}

// Where the server takes no more clients, the subscription is tried again until it
// does. That is no refusal.
func TestWatch_maxClients(t *testing.T) {
	f := newFollower(t)
	admin := f.server.Client()
	must(t, admin.Ping(ctx).Err())
	clients, err := admin.Info(ctx, "clients").Result()
	must(t, err)
	_, text, _ := strings.Cut(clients, "connected_clients:")
	var connected int
	_, err = fmt.Sscan(text, &connected)
	must(t, err)
	// The subscription's place is taken by no one, and given to no one.
	must(t, admin.ConfigSet(ctx, "maxclients", fmt.Sprint(connected-1)).Err())
	must(t, admin.Do(ctx, "client", "kill", "type", "pubsub").Err())
	eventually(t, "connections to be rejected", func() bool {
		stats, err := admin.Info(ctx, "stats").Result()
		must(t, err)
		return !strings.Contains(stats, "rejected_connections:0")
	})
	for i := range 10 {
		must(t, act(f.active, i))
	}
	if n := f.events.of(engine.EventPushLost); n > 0 {
		t.Errorf("%d events say that push is lost", n)
	}
	must(t, admin.ConfigSet(ctx, "maxclients", "1000").Err())
	f.awaitSubscribed()
	must(t, act(f.active, 0))
	f.mustAgree()
}

// A message of 64 MB on the channel makes the server disconnect every subscriber. They
// come back, and nothing is lost.
func TestWatch_hugeMessage(t *testing.T) {
	f := newFollower(t)
	patient := open(t, &redis.Options{Addr: f.server.Addr(), ReadTimeout: time.Minute, WriteTimeout: time.Minute})
	huge := strings.Repeat("x", 64<<20)
	for i := range 3 {
		must(t, act(f.active, i))
		must(t, patient.Publish(ctx, fleet+":events", huge).Err())
		must(t, act(f.active, i+1))
	}
	f.awaitSubscribed()
	must(t, act(f.active, 0))
	f.mustAgree()
}

// A deleted record is followed again, like a flushed one.
func TestWatch_deleted(t *testing.T) {
	f := newFollower(t)
	must(t, act(f.active, 0))
	eventually(t, "the opening", func() bool { return f.idle.Status().State == engine.StateOpen })
	must(t, f.server.Admin().Del(ctx, key).Err())
	fails(t, f.active, 1)
	last := inspect(t, f.store)
	eventually(t, "the new record", func() bool {
		list := f.events.transitions()
		_, unknown := f.events.missed()
		return unknown && len(list) > 0 && list[len(list)-1].Epoch == last.Epoch
	})
	wantOrdered(t, f.events)
}

// readCounter counts the commands of a client's pipelines that read a record back.
type readCounter struct{ n atomic.Int64 }

func (c *readCounter) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (c *readCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (c *readCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if cmd.Name() == "evalsha" || cmd.Name() == "eval" {
				c.n.Add(1)
			}
		}
		return next(ctx, cmds)
	}
}

// Events of another database make a process read its own record at most once a second,
// and not for long.
func TestWatch_readsOfAnotherDatabase(t *testing.T) {
	server := redistest.Start(t)
	other, _ := bind(t, newStorage(t, open(t, &redis.Options{Addr: server.Addr(), DB: 1})), opensAtOnce)
	rdb := server.Client()
	var reads readCounter
	h, _ := bind(t, newStorage(t, server.Client()), opensAtOnce)
	acquire(t, h)
	rdb.AddHook(&reads)
	idle, e := watching(t, rdb, opensAtOnce)
	eventually(t, "a baseline", func() bool { return idle.Status().Age >= 0 })
	before, start := reads.n.Load(), time.Now()
	for i := range 300 {
		must(t, act(other, i))
		time.Sleep(15 * time.Millisecond)
	}
	seconds := time.Since(start).Seconds()
	if n := reads.n.Load() - before; n == 0 || float64(n) > seconds+2 {
		t.Errorf("%d reads in %.1f s, want some, and at most one a second", n, seconds)
	}
	if list := e.transitions(); len(list) > 0 {
		t.Errorf("transitions of the other database are delivered: %v", list)
	}
	eventually(t, "the state of its own record", func() bool { return idle.Status().State == engine.StateClosed })
}

// witness is the knowledge of a child about the breaker that it watches.
type witness struct {
	Delivered, Missed  int64
	Unknown, Unordered bool
	State              string
	Goroutines         int
}

// A process that is stopped does not make the server keep more than the buffer of its
// subscription. When it wakes, it knows the record, and how much it missed.
func TestWatch_stoppedReader(t *testing.T) {
	server := redistest.Start(t)
	rdb := server.Client()
	active, _ := bind(t, newStorage(t, rdb), opensAtOnce)
	acquire(t, active)
	c := startWatchingChild(t, server.Addr(), fleet, opensAtOnce)
	eventually(t, "a subscription", func() bool { return subscribedNode(t, []*redistest.Server{server}, nil) == 0 })
	ask := func() (w witness) {
		must(t, json.Unmarshal([]byte(c.ask("witness")), &w))
		return w
	}
	eventually(t, "a baseline", func() bool { return ask().State == "closed" })
	must(t, act(active, 0))
	eventually(t, "the opening", func() bool { return ask().Delivered == 1 })
	before, memory := ask(), usedMemory(t, rdb)

	c.signal("STOP")
	const flood, chunk = 300_000, 5_000
	noise := fleet + ":{another breaker} 7 6 8 1795502821113 closed>open operator by=somebody-else text=noise"
	most := int64(0)
	for range flood / chunk {
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range chunk {
				p.Publish(ctx, fleet+":events", noise)
			}
			return nil
		})
		must(t, err)
		most = max(most, usedMemory(t, rdb)-memory)
	}
	const moves = 41
	for i := range moves {
		must(t, act(active, i+1))
	}
	// 32 MB are the server's limit for a subscriber; what it is about to write to the
	// socket comes on top.
	if most > 48<<20 {
		t.Errorf("the server keeps %d MB for a reader that is stopped", most>>20)
	}
	c.signal("CONT")
	last := inspect(t, newStorage(t, rdb))
	var w witness
	eventually(t, "the child to know the record", func() bool {
		w = ask()
		return w.State == last.State.String() && w.Delivered+w.Missed >= moves+1
	})
	if w.Delivered+w.Missed != moves+1 || w.Unknown || w.Unordered || w.Missed == 0 {
		t.Errorf("of %d transitions the child knows %+v, want some to be missed", moves+1, w)
	}
	eventually(t, "goroutines to end", func() bool { return ask().Goroutines <= before.Goroutines+2 })
	eventually(t, "the server to have its memory back", func() bool { return usedMemory(t, rdb)-memory < 8<<20 })
}

func usedMemory(t testing.TB, rdb *redis.Client) (n int64) {
	t.Helper()
	info, err := rdb.Info(ctx, "memory").Result()
	must(t, err)
	_, text, _ := strings.Cut(info, "used_memory:")
	_, err = fmt.Sscan(text, &n)
	must(t, err)
	return n
}
