package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage"
)

// A cluster client over three miniredis that answer CLUSTER SLOTS as one cluster.
// Package integration has real clusters.

// trio is three servers, each with a third of the slots.
type trio struct {
	nodes [3]*miniredis.Miniredis
	addrs [3]string
	// owner is which node has each third, as the cluster would say.
	owner [3]atomic.Int32
	asked atomic.Int32 // for the map
}

func newTrio(t testing.TB) *trio {
	t.Helper()
	c := &trio{}
	for i := range c.nodes {
		c.nodes[i] = miniredis.RunT(t)
		c.addrs[i] = c.nodes[i].Addr()
		c.owner[i].Store(int32(i))
	}
	return c
}

// slots is the cluster's map.
func (c *trio) slots(context.Context) ([]redis.ClusterSlot, error) {
	c.asked.Add(1)
	var all []redis.ClusterSlot
	for i := range c.owner {
		all = append(all, redis.ClusterSlot{
			Start: cluster.Slots * i / 3, End: cluster.Slots*(i+1)/3 - 1,
			Nodes: []redis.ClusterNode{{Addr: c.addrs[c.owner[i].Load()]}},
		})
	}
	return all, nil
}

// client returns a client that would read the map once an hour.
func (c *trio) client(t testing.TB, change func(*redis.ClusterOptions)) *redis.ClusterClient {
	t.Helper()
	o := &redis.ClusterOptions{ClusterSlots: c.slots, ClusterStateReloadInterval: time.Hour}
	if change != nil {
		change(o)
	}
	rdb := redis.NewClusterClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// on returns a name whose breaker is in a third.
func on(t testing.TB, third int) string {
	t.Helper()
	keys, err := cluster.New(fleet)
	must(t, err)
	for i := range 1000 {
		name := fmt.Sprint("name-", i)
		key, err := keys.Key(name)
		must(t, err)
		if int(cluster.Slot(key))*3/cluster.Slots == third {
			return name
		}
	}
	t.Fatal("no name found")
	return ""
}

func handleOn(t testing.TB, s engine.Storage, third int) engine.Handle {
	t.Helper()
	h, err := s.Bind(on(t, third), neverOpens, nil)
	must(t, err)
	return h
}

// A master that is gone is replaced in the client's map within moments, not when
// the client would look.
func TestCluster_deadMaster(t *testing.T) {
	c := newTrio(t)
	s := newStorage(t, c.client(t, nil))
	h := handleOn(t, s, 0)
	acquire(t, h)
	c.nodes[0].Close()
	if _, err := h.Acquire(ctx); err == nil {
		t.Fatal("a call to a dead master succeeds")
	}
	c.owner[0].Store(1)
	eventually(t, "the new master is asked", func() bool {
		_, err := h.Acquire(ctx)
		return err == nil
	})
}

// While the guard of one master rejects, the other masters are still called.
func TestCluster_guardsEachMaster(t *testing.T) {
	c := newTrio(t)
	s := newStorage(t, c.client(t, nil))
	dead, alive := handleOn(t, s, 0), handleOn(t, s, 1)
	acquire(t, dead)
	c.nodes[0].Close()
	eventually(t, "the guard of the dead master rejects", func() bool {
		_, err := dead.Acquire(ctx)
		return err != nil && strings.Contains(err.Error(), "backing off")
	})
	for range 10 {
		acquire(t, alive)
	}
}

// Scripts that one node misses are given to all of them.
func TestCluster_scriptsOnEveryNode(t *testing.T) {
	c := newTrio(t)
	rdb := c.client(t, nil)
	s := newStorage(t, rdb)
	for third := range c.nodes {
		acquire(t, handleOn(t, s, third))
	}
	var loads atomic.Int32
	for _, n := range c.nodes[1:] {
		n.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
			if cmd == "SCRIPT" && strings.EqualFold(args[0], "load") {
				loads.Add(1)
			}
			return false
		})
	}
	eventually(t, "the other nodes are given the script", func() bool {
		// Again, if what was on its way from before has made up for it.
		must(t, rdb.ScriptFlush(ctx).Err())
		acquire(t, handleOn(t, s, 0))
		return loads.Load() >= 2
	})
}

// One node that is away keeps no call from another, whose script is missing.
func TestCluster_scriptsWithADeadNode(t *testing.T) {
	c := newTrio(t)
	rdb := c.client(t, nil)
	s := newStorage(t, rdb)
	h := handleOn(t, s, 1)
	acquire(t, h)
	c.nodes[0].Close()
	admin := redis.NewClient(&redis.Options{Addr: c.addrs[1]})
	defer admin.Close()
	must(t, admin.ScriptFlush(ctx).Err())
	acquire(t, h)
}

// A call that reaches a node which is no master any more goes to the one that
// is, also through a client that follows no redirections.
func TestCluster_outdatedMap(t *testing.T) {
	for _, says := range []string{"MOVED 1 127.0.0.1:1", "READONLY You can't write against a read only replica."} {
		t.Run(says, func(t *testing.T) {
			c := newTrio(t)
			s := newStorage(t, c.client(t, func(o *redis.ClusterOptions) { o.MaxRedirects = -1 }))
			h := handleOn(t, s, 0)
			acquire(t, h)
			c.nodes[0].Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
				if cmd == "EVALSHA" {
					p.WriteError(says)
				}
				return cmd == "EVALSHA"
			})
			c.owner[0].Store(2)
			acquire(t, h)
		})
	}
}

// It gives up at the bound, with what the node said.
func TestCluster_outdatedForEver(t *testing.T) {
	c := newTrio(t)
	s := newStorage(t, c.client(t, func(o *redis.ClusterOptions) { o.MaxRedirects = -1 }), storage.WithTimeout(100*time.Millisecond))
	h := handleOn(t, s, 0)
	c.nodes[0].Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" {
			p.WriteError("READONLY You can't write against a read only replica.")
		}
		return cmd == "EVALSHA"
	})
	_, err := h.Acquire(ctx)
	var e *engine.StorageError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *StorageError", err)
	}
}

// A client that sends reads to replicas reloads the map while it is used.
func TestCluster_readersRefresh(t *testing.T) {
	c := newTrio(t)
	s := newStorage(t, c.client(t, func(o *redis.ClusterOptions) { o.RouteRandomly = true }))
	h := handleOn(t, s, 0)
	acquire(t, h)
	before := c.asked.Load()
	eventually(t, "the map is reloaded", func() bool {
		acquire(t, h)
		return c.asked.Load() > before
	})
}

// One round trip to each node, however many names.
func TestInspectMany_oneRoundTripPerNode(t *testing.T) {
	c := newTrio(t)
	rdb := c.client(t, nil)
	trips := &countTrips{}
	rdb.OnNewNode(func(node *redis.Client) { node.AddHook(trips) })
	s := newUnlisted(t, rdb)
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprint("many-", i))
		if i%2 == 0 {
			h, err := s.Bind(names[i], neverOpens, nil)
			must(t, err)
			acquire(t, h)
		}
	}
	_, err := s.InspectMany(ctx, names) // the scripts are loaded
	must(t, err)
	trips.n.Store(0)
	got, err := s.InspectMany(ctx, names)
	must(t, err)
	if n := trips.n.Load(); n != 3 {
		t.Errorf("%d round trips to 3 nodes, want 3", n)
	}
	for i, snapshot := range got {
		if snapshot.Name != names[i] || snapshot.Exists != (i%2 == 0) {
			t.Errorf("at %d: %q, exists %v; want %q, %v", i, snapshot.Name, snapshot.Exists, names[i], i%2 == 0)
		}
	}
}

// countTrips counts pipelines that go to a node.
type countTrips struct{ n atomic.Int32 }

func (c *countTrips) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (c *countTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (c *countTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "evalsha" || cmds[0].Name() == "eval" {
			c.n.Add(1)
		}
		return next(ctx, cmds)
	}
}

// A node that is away hides only its own breakers, though it takes the bound.
func TestInspectMany_deadNode(t *testing.T) {
	c := newTrio(t)
	s := newStorage(t, c.client(t, nil), storage.WithTimeout(5*time.Second))
	names := []string{on(t, 0), on(t, 1), on(t, 2)}
	for third := range names {
		acquire(t, handleOn(t, s, third))
	}
	c.nodes[0].Close()
	got, err := s.InspectMany(ctx, names)
	var e *engine.StorageError
	if !errors.As(err, &e) || e.Name != names[0] || e.Op != "inspect" {
		t.Errorf("got %v, want a *StorageError about %s", err, names[0])
	}
	if len(got) != 3 || got[0].Exists || got[0].Name != names[0] || !got[1].Exists || !got[2].Exists {
		t.Errorf("got %+v, want the last two of three to exist", got)
	}
}

func TestInspectMany_oneServer(t *testing.T) {
	m, rdb, h := newMini(t, neverOpens)
	s := newStorage(t, rdb)
	acquire(t, h)
	must(t, rdb.ScriptFlush(ctx).Err())
	names := []string{"none", name}
	for i := range 1200 {
		names = append(names, fmt.Sprint("none-", i))
	}
	got, err := s.InspectMany(ctx, names)
	must(t, err)
	if len(got) != len(names) || got[0].Exists || !got[1].Exists || got[1].Epoch <= 0 || got[1201].Name != "none-1199" {
		t.Errorf("got %d snapshots, %+v first", len(got), got[:2])
	}

	// Scripts that are flushed all the time are no trouble.
	m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" {
			p.WriteError("NOSCRIPT No matching script. Please use EVAL.")
		}
		return cmd == "EVALSHA"
	})
	got, err = s.InspectMany(ctx, names[:3])
	must(t, err)
	if !got[1].Exists {
		t.Errorf("got %+v", got)
	}
	m.Server().SetPreHook(nil)

	must(t, rdb.Set(ctx, fleet+":{text}", "x", 0).Err())
	got, err = s.InspectMany(ctx, []string{name, "text"})
	if !errors.Is(err, engine.ErrForeignKey) || !got[0].Exists {
		t.Errorf("got %+v, %v; want the first to exist, and ErrForeignKey", got, err)
	}
	if _, err = s.InspectMany(ctx, []string{name, ""}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("an empty name: got %v, want ErrInvalid", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = s.InspectMany(done, names); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is done: got %v", err)
	}
	must(t, s.Close())
	if _, err = s.InspectMany(ctx, names); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("after Close: got %v, want ErrStopped", err)
	}
}

// A server that does not answer holds it up to the bound.
func TestInspectMany_bound(t *testing.T) {
	m, rdb, _ := newMini(t, neverOpens)
	s := newStorage(t, rdb, storage.WithTimeout(50*time.Millisecond))
	release := make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(release) }) }
	defer free()
	m.Server().SetPreHook(func(*server.Peer, string, ...string) bool { <-release; return false })
	got, err := s.InspectMany(ctx, []string{name})
	var e *engine.StorageError
	if !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) || len(got) != 1 {
		t.Errorf("got %v, %v; want one empty snapshot and the bound's error", got, err)
	}
	free()
}

// eventually polls for something that takes moments.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}
