package storage_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// A Watch whose context has ended before it begins calls nothing.
func TestWatchAll_cancelledBefore(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s := newStorage(t, rdb)
		done, cancel := context.WithCancel(ctx)
		cancel()
		for range 20 {
			var e events
			if err := s.Watch(done, e.add); !errors.Is(err, context.Canceled) || len(e.list) > 0 {
				t.Errorf("Watch ended with %v and has delivered %v", err, e.list)
			}
		}
	})
}

// The function of a Watch may use the storage, watch, and close the storage, which ends the
// Watch.
func TestWatchAll_reentrant(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s := newStorage(t, rdb, storage.WithWatch())
		h, _ := bind(t, s, opensAtOnce)
		ended := make(chan error, 1)
		var inner error
		go func() {
			ended <- s.Watch(ctx, func(e engine.Event) {
				switch {
				case e.Kind == engine.EventReady:
					acquire(t, h)
					must(t, act(h, 0))
				case e.Transition.To == engine.StateOpen:
					nested, cancel := context.WithCancel(ctx)
					inner = s.Watch(nested, func(engine.Event) { cancel() })
					must(t, act(h, 1))
				case e.Transition.Cause == engine.CauseOperator:
					must(t, s.Close())
				}
			})
		}()
		if err := <-ended; !errors.Is(err, engine.ErrStopped) || !errors.Is(inner, context.Canceled) {
			t.Errorf("Watch ended with %v, the one within with %v", err, inner)
		}
	})
}

// A panic of the function reaches the caller of Watch, whose subscription ends; others go on.
func TestWatchAll_panics(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s := newStorage(t, rdb)
		h, _ := bind(t, s, opensAtOnce)
		acquire(t, h)
		other, _, _ := watchAll(t, s)
		func() {
			defer func() {
				if got := recover(); got != "boom" {
					t.Errorf("recovered %v", got)
				}
			}()
			_ = s.Watch(ctx, func(engine.Event) { panic("boom") })
		}()
		must(t, act(h, 0))
		eventually(t, "the other watch to go on", func() bool {
			list := other.transitionsOf(name)
			return len(list) > 0 && list[len(list)-1].To == engine.StateOpen
		})
		eventually(t, "one subscription", func() bool {
			return rdb.PubSubNumSub(ctx, fleet+":events").Val()[fleet+":events"] == 1
		})
	})
}

// Two Watches of one storage each deliver every transition, and end by themselves.
func TestWatchAll_twice(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s := newStorage(t, rdb, storage.WithWatch())
		h, own := bind(t, s, opensAtOnce)
		acquire(t, h)
		awaitNames(t, s, []string{name})
		a, cancel, ended := watchAll(t, s)
		b, _, _ := watchAll(t, s)
		for i := range 10 {
			must(t, act(h, i))
		}
		for _, e := range []*events{a, b} {
			eventually(t, "10 transitions", func() bool { return len(e.transitions()) == 10 })
			wantOrdered(t, e)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v", err)
		}
		must(t, act(h, 0))
		eventually(t, "one more", func() bool { return len(b.transitions()) == 11 })
		if len(a.transitions()) != 10 {
			t.Error("a watch that has ended delivers")
		}
		eventually(t, "12 transitions of its own", func() bool { return len(own.transitions()) == 12 })
	})
}

// Whatever is published on the channel, nothing but the record's transitions is delivered, and
// they all are.
func TestWatch_junk(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		active, _ := bind(t, newStorage(t, rdb), opensAtOnce)
		acquire(t, active)
		awaitNames(t, newStorage(t, rdb), []string{name})
		idle, e := watching(t, rdb, opensAtOnce)
		awaitBaseline(t, idle)
		all, _, _ := watchAll(t, newStorage(t, rdb))
		eventually(t, "two subscriptions", func() bool {
			return rdb.PubSubNumSub(ctx, fleet+":events").Val()[fleet+":events"] == 2
		})
		entry := " 7 2 8 9 closed>open operator"
		junk := []string{
			"", " ", key, key + " ", strings.Repeat("x", 100<<10), key + " " + strings.Repeat("9", 100<<10), key + entry + " text=" + strings.Repeat("x", 100<<10),
			key + " 1 9223372036854775807 9223372036854775807 9 closed>open operator", key + " -1 -1 -1 -1 open>closed operator",
			key + "\x00" + entry, "\x00\xff\xfe" + entry, key + " \x00\xff\r\n+OK\r\n", key + strings.ReplaceAll(entry, " ", "\t"), fleet + ":{\xff\x00}" + entry, fleet + ":{}" + entry, fleet + ":{a{b}" + entry,
			fleet + ":{other}" + entry, "another" + key + entry, fleet + ":{#ping}" + entry, fleet + ":{#index:0}" + entry, key + ":#x" + entry,
		}
		// Fewer than the log keeps, so that a process that is slow to receive reads what it lacks.
		moves := 0
		for i, payload := range junk {
			must(t, rdb.Publish(ctx, fleet+":events", payload).Err())
			if i%2 == 0 {
				must(t, act(active, moves))
				moves++
			}
		}
		for what, got := range map[string]*events{"a handle": e, "a watch": all} {
			eventually(t, what+" to deliver all", func() bool { return len(got.transitionsOf(name)) == moves })
			wantOrdered(t, got)
			for _, move := range got.transitions() {
				if move.Name != name {
					t.Errorf("%s delivers %+v", what, move)
				}
			}
			if n, unknown := got.missed(); n > 0 || unknown {
				t.Errorf("%s has missed %d (unknown: %v)", what, n, unknown)
			}
		}
	})
}

// A namespace of characters that are patterns to Redis is taken literally: it has its own
// events and its own list.
func TestWatch_namespaceOfPatterns(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		all := map[string]*events{}
		handles := map[string]engine.Handle{}
		namespaces := []string{"f*", "f?eet", "[f-g]leet", `fl\eet`, "fleet", "f*:events"}
		for _, ns := range namespaces {
			h, err := newStorage(t, rdb, storage.WithNamespace(ns)).Bind(name, opensAtOnce, nil)
			must(t, err)
			acquire(t, h)
			handles[ns] = h
		}
		for _, ns := range namespaces {
			s := newStorage(t, rdb, storage.WithNamespace(ns))
			awaitNames(t, s, []string{name})
			all[ns], _, _ = watchAll(t, s)
		}
		for _, h := range handles {
			must(t, act(h, 0))
		}
		for ns, e := range all {
			eventually(t, ns+": its transition", func() bool { return len(e.transitions()) == 1 })
		}
		for ns, h := range handles {
			must(t, act(h, 1))
			eventually(t, ns+": its second transition", func() bool { return len(all[ns].transitions()) >= 2 })
		}
		for ns, e := range all {
			if n := len(e.transitions()); n != 2 {
				t.Errorf("%s: %d transitions, want its own 2", ns, n)
			}
		}
	})
}

// Close may come at any moment while a subscription is cut again and again.
func TestWatch_closeWhileReconnecting(t *testing.T) {
	server := redistest.Start(t)
	for i := range 20 {
		s := newStorage(t, server.Client(), storage.WithWatch())
		h, _ := bind(t, s, opensAtOnce)
		acquire(t, h)
		_, _, ended := watchAll(t, s)
		must(t, server.Client().Do(ctx, "client", "kill", "type", "pubsub").Err())
		if i%2 == 0 {
			must(t, act(h, 0))
		}
		must(t, s.Close())
		if err := <-ended; !errors.Is(err, engine.ErrStopped) {
			t.Errorf("Watch ended with %v", err)
		}
		if i%2 == 0 {
			server.Client().Del(ctx, key)
		}
	}
}
