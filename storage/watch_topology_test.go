package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// On a cluster, events of all masters arrive, whichever node is subscribed; if it
// dies, another one is.
func TestWatch_clusterNodeKilled(t *testing.T) {
	servers := redistest.StartCluster(t, 3)
	addrs := make([]string, len(servers))
	for i, server := range servers {
		addrs[i] = server.Addr()
		must(t, server.Admin().ConfigSet(ctx, "cluster-require-full-coverage", "no").Err())
	}
	client := func() *redis.ClusterClient {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, DialerRetries: 1})
		t.Cleanup(func() {
			_ = rdb.Close()
			time.Sleep(1100 * time.Millisecond) // go-redis dials on for a while after its Close
		})
		return rdb
	}
	watched := newStorage(t, client(), storage.WithWatch(), storage.WithTimeout(5*time.Second))
	active := newStorage(t, client(), storage.WithTimeout(5*time.Second))
	var handles, idle []engine.Handle
	var all []*events
	for i := range 12 {
		n := fmt.Sprint("breaker", i)
		h, err := active.Bind(n, opensAtOnce, nil)
		must(t, err)
		acquire(t, h)
		e := &events{}
		w, err := watched.Bind(n, opensAtOnce, e.add)
		must(t, err)
		handles, idle, all = append(handles, h), append(idle, w), append(all, e)
	}
	subscribed := -1
	eventually(t, "a node to be subscribed", func() bool {
		subscribed = subscribedNode(t, servers, nil)
		return subscribed >= 0
	})
	for _, h := range idle {
		awaitBaseline(t, h)
	}
	for i, h := range handles {
		must(t, act(h, 0))
		eventually(t, "an opening", func() bool { return idle[i].Status().State == engine.StateOpen && len(all[i].transitions()) == 1 })
	}
	servers[subscribed].Kill()
	eventually(t, "another node to be subscribed", func() bool { return subscribedNode(t, servers, servers[subscribed]) >= 0 })
	for i, h := range handles {
		if act(h, 1) != nil {
			continue // of the master that is gone
		}
		eventually(t, "a transition after the failure", func() bool { return idle[i].Status().State == engine.StateClosed })
	}
}

// subscribedNode returns the node that has a subscriber; -1 if none has.
func subscribedNode(t testing.TB, servers []*redistest.Server, dead *redistest.Server) int {
	t.Helper()
	for i, s := range servers {
		if s == dead {
			continue
		}
		counts, err := s.Admin().PubSubNumSub(ctx, fleet+":events").Result()
		must(t, err)
		if counts[fleet+":events"] > 0 {
			return i
		}
	}
	return -1
}

// A ring's shards publish by themselves: all are subscribed.
func TestWatch_ring(t *testing.T) {
	a, b := redistest.Start(t), redistest.Start(t)
	client := func() *redis.Ring {
		rdb := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": a.Addr(), "b": b.Addr()}})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}
	watched := newStorage(t, client(), storage.WithWatch())
	active := newStorage(t, client())
	const breakers = 40
	var handles, idle []engine.Handle
	for i := range breakers {
		n := fmt.Sprint(i)
		h, err := active.Bind(n, opensAtOnce, nil)
		must(t, err)
		acquire(t, h)
		w, err := watched.Bind(n, opensAtOnce, nil)
		must(t, err)
		handles, idle = append(handles, h), append(idle, w)
	}
	eventually(t, "both shards to be subscribed", func() bool {
		return subscribedNode(t, []*redistest.Server{a}, nil) == 0 && subscribedNode(t, []*redistest.Server{b}, nil) == 0
	})
	for _, h := range handles {
		must(t, act(h, 0))
	}
	for i := range idle {
		eventually(t, "an opening", func() bool { return idle[i].Status().State == engine.StateOpen })
	}
}

// A user that may not subscribe learns of transitions by reading, and of the
// reason by one event.
func TestWatch_notAllowed(t *testing.T) {
	server := redistest.Start(t)
	active, _ := bind(t, newStorage(t, server.Client()), opensAtOnce)
	acquire(t, active)
	for what, rights := range map[string]string{
		"no subscribe": leastRights,
		"no channel":   strings.Replace(leastRights, "&fleet:*", "", 1) + " +subscribe",
	} {
		s := newStorage(t, user(t, server.Addr(), rights), storage.WithWatch())
		h, e := bind(t, s, opensAtOnce)
		eventually(t, what+": the reason", func() bool { return e.of(engine.EventPushLost) == 1 })
		acquire(t, h)
		must(t, act(active, 0))
		wantRejected(t, h, engine.ReasonOpen)
		eventually(t, what+": the transition", func() bool { return len(e.transitions()) == 1 })
		if move := e.transitions()[0]; move.Own || move.To != engine.StateOpen {
			t.Errorf("%s: delivered %+v", what, move)
		}
		must(t, act(active, 1))
		must(t, s.Close())
	}
}

// A user that may not publish gets one event about it, whether a step or a command made
// the transition; both count.
func TestWatch_mayNotPublish(t *testing.T) {
	server := redistest.Start(t)
	s := newStorage(t, user(t, server.Addr(), strings.Replace(leastRights, "&fleet:*", "", 1)))
	h, e := bind(t, s, opensAtOnce)
	acquire(t, h)
	other, ofOther := bind(t, s, opensAtOnce)
	must(t, act(other, 0))
	if n := ofOther.of(engine.EventPushLost); n != 1 {
		t.Errorf("after a command %d events about push, want 1", n)
	}
	must(t, act(h, 1))
	fails(t, h, 1)
	wantRejected(t, h, engine.ReasonOpen)
	if n := e.of(engine.EventPushLost); n != 1 {
		t.Errorf("%d events about push, want 1", n)
	}
}

// With the documented rights, watching works.
func TestWatch_rights(t *testing.T) {
	server := redistest.Start(t)
	active, _ := bind(t, newStorage(t, server.Client()), opensAtOnce)
	h, e := watching(t, user(t, server.Addr(), leastRights+" "+watchRights), opensAtOnce)
	fails(t, active, 1)
	eventually(t, "the opening", func() bool { return h.Status().State == engine.StateOpen })
	if n := e.of(engine.EventPushLost); n != 0 {
		t.Errorf("%d events about push", n)
	}
}

// watchRights are the rights that watching needs in addition.
const watchRights = "+subscribe +ping"

// SENTINEL FAILOVER leaves a subscription at the old primary without a sign. The
// process finds out, and every transition is delivered or counted.
func TestWatch_sentinelFailover(t *testing.T) {
	primary := redistest.Start(t)
	replica := redistest.Start(t)
	host, port, _ := strings.Cut(primary.Addr(), ":")
	must(t, replica.Admin().ReplicaOf(ctx, host, port).Err())
	eventually(t, "the replica to follow", func() bool {
		return strings.Contains(replica.Admin().Info(ctx, "replication").Val(), "master_link_status:up")
	})
	sentinel := redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor fleet %s %s 1\nsentinel down-after-milliseconds fleet 2000\nsentinel failover-timeout fleet 5000\n", host, port))
	client := func() *redis.Client {
		rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "fleet", SentinelAddrs: []string{sentinel.Addr()}})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}
	active, _ := bind(t, newStorage(t, client()), opensAtOnce)
	acquire(t, active)
	idle, e := watching(t, client(), opensAtOnce)
	awaitBaseline(t, idle)
	must(t, act(active, 0))
	eventually(t, "the opening", func() bool { return idle.Status().State == engine.StateOpen })
	admin := redisSentinel(sentinel.Addr(), t)
	eventually(t, "the sentinel to know the replica", func() bool {
		return admin.Failover(ctx, "fleet").Err() == nil
	})
	eventually(t, "the new primary", func() bool {
		return strings.Contains(replica.Admin().Info(ctx, "replication").Val(), "role:master")
	})
	deadline := time.Now().Add(15 * time.Second)
	n := 1
	for ; time.Now().Before(deadline); n++ {
		if err := act(active, n); err != nil {
			var failed *engine.StorageError
			if !errors.As(err, &failed) {
				t.Fatal(err)
			}
		}
		// Its own calls tell it that the record has moved on.
		_, _ = idle.Acquire(ctx)
		time.Sleep(100 * time.Millisecond)
		if n > 20 && subscribedNode(t, []*redistest.Server{replica}, nil) == 0 {
			break
		}
	}
	eventually(t, "the subscription at the new primary", func() bool { return subscribedNode(t, []*redistest.Server{replica}, nil) == 0 })
	eventually(t, "one connection with a subscription", func() bool {
		return countSubscribers(t, primary.Admin()) == 0 && countSubscribers(t, replica.Admin()) == 1
	})
	s := newStorage(t, client())
	eventually(t, "agreement", func() bool {
		last, err := s.Inspect(ctx, name)
		list := e.transitions()
		return err == nil && len(list) > 0 && idle.Status().State == last.State && list[len(list)-1].Epoch == last.Epoch
	})
	wantOrdered(t, e)
}

func redisSentinel(addr string, t testing.TB) *redis.SentinelClient {
	c := redis.NewSentinelClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
