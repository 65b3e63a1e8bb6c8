package integration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/integration/servers"
	"github.com/redbreaker/redbreaker/storage"
)

// breakers is the size of a fleet, enough that every master holds some.
const breakers = 30

// slack is the time that a loaded machine may add to a promised one.
const slack = 3 * time.Second

// clients returns the clients of three processes with different settings: the
// defaults; context timeouts, no redirects, RESP2; reads from replicas.
func clients(c *servers.ClusterOf) []redis.UniversalClient {
	return []redis.UniversalClient{
		c.Client(nil),
		c.Client(func(o *redis.ClusterOptions) { o.ContextTimeoutEnabled, o.MaxRedirects, o.Protocol = true, -1, 2 }),
		c.Client(func(o *redis.ClusterOptions) { o.ReadOnly, o.RouteRandomly = true, true }),
	}
}

// No call fails and no outcome is lost while slots move.
func TestCluster_slotMigration(t *testing.T) {
	c := servers.Cluster(t)
	f := newFleet(t, breakers, clients(c)...)
	l := f.startLoad()
	l.warm(t)
	moved := 0
	for _, name := range f.names[:12] {
		slot := f.slot(t, name)
		for _, to := range c.Masters() { // away and back again
			c.MigrateSlot(slot, to)
			moved++
		}
	}
	t.Logf("%d slots moved", moved)
	r := l.end(t, "slot migration")
	r.mustBeWhole(t)
	if len(r.Errors) > 0 {
		t.Errorf("errors: %v, want none", r.Errors)
	}
}

// The scripts are loaded again after a server has lost them.
func TestCluster_scriptFlush(t *testing.T) {
	c := servers.Cluster(t)
	f := newFleet(t, breakers, clients(c)...)
	l := f.startLoad()
	l.warm(t)
	flushes := 0
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c.EachNode("script", "flush")
		flushes++
	}
	r := l.end(t, "script flush")
	r.mustBeWhole(t)
	stats := func(command string) int64 { return c.CommandStats(command).Calls }
	t.Logf("%d flushes of each node: %d EVALSHA, %d EVAL", flushes, stats("evalsha"), stats("eval"))
}

// A failover that the master agrees to loses nothing.
func TestCluster_cleanFailover(t *testing.T) {
	c := servers.Cluster(t)
	f := newFleet(t, breakers, clients(c)...)
	l := f.startLoad()
	l.warm(t)
	for _, replica := range c.Nodes[3:] {
		replica.Do("script", "flush") // a replica also has the scripts
		c.Promote(replica)
	}
	time.Sleep(time.Second)
	r := l.end(t, "clean failover of all three masters")
	if r.Lost != 0 || r.Doubled != 0 {
		t.Errorf("lost %d, doubled %d; want 0", r.Lost, r.Doubled)
	}
	if r.Worst > slack {
		t.Errorf("a caller was degraded for %v", r.Worst)
	}
	f.mustAgree(t)
}

// After a master's death callers are degraded little longer than the election takes,
// whatever the settings of their clients.
func TestCluster_masterKilled(t *testing.T) {
	outage(t, "master killed", (*servers.Node).Kill)
}

// The same for a master that hangs and refuses no connection.
func TestCluster_masterPaused(t *testing.T) {
	outage(t, "master paused", (*servers.Node).Pause)
}

func outage(t *testing.T, what string, harm func(*servers.Node)) {
	c := servers.Cluster(t)
	f := newFleetWithTimeout(t, storage.DefaultTimeout, breakers, clients(c)...)
	slot := f.slot(t, f.names[0])
	master, replica := c.MasterOf(slot), c.ReplicaOf(slot)
	l := f.startLoad()
	l.warm(t)
	harm(master)
	election := await(t, "the replica was elected", time.Minute, func() bool {
		role, err := replica.Try("role")
		r, ok := role.([]any)
		return err == nil && ok && r[0] == "master" && seesAllSlots(replica)
	})
	time.Sleep(slack)
	r := l.end(t, what)
	t.Logf("%s: the cluster took %v to replace it", what, election.Round(time.Millisecond))
	if r.Doubled != 0 {
		t.Errorf("doubled %d, want 0", r.Doubled)
	}
	if over := r.Worst - election; over > slack {
		t.Errorf("a caller was degraded for %v longer than the cluster took", over)
	}
	f.mustAgree(t)
}

// seesAllSlots reports whether a node finds all slots served.
func seesAllSlots(n *servers.Node) bool {
	text, err := n.Try("cluster", "info")
	s, _ := text.(string)
	return err == nil && strings.Contains(s, "cluster_state:ok")
}

// agreement is the longest time, in a cluster that serves all slots, from a transition
// until every process sees it.
const agreement = time.Second

// mustAgree checks that no process is stuck or sees an old state: when one process
// trips a breaker, all others find it open within agreement, and it recovers by itself.
func (f *fleet) mustAgree(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	worst := time.Duration(0)
	for b, name := range f.names {
		by := f.handles[b%len(f.handles)][b]
		s, err := by.Control(ctx, engine.Command{Action: engine.ActionTrip, For: 300 * time.Millisecond, Reason: "agreement check"})
		if err != nil {
			t.Fatalf("%s: trip: %v", name, err)
		}
		worst = max(worst, await(t, name+" is open for all", slack, func() bool {
			for _, store := range f.stores {
				got, err := store.Inspect(ctx, name)
				if err != nil || got.Epoch < s.Epoch {
					return false
				}
			}
			return true
		}))
	}
	for p := range f.handles {
		for b, name := range f.names {
			await(t, name+" lets calls through again", slack, func() bool {
				ticket, err := f.handles[p][b].Acquire(ctx)
				if err != nil {
					return false
				}
				_, err = f.handles[p][b].Report(ctx, ticket, engine.Success, 0, nil)
				return err == nil
			})
		}
	}
	t.Logf("all processes agree on all breakers, after at most %v", worst.Round(time.Millisecond))
	if worst > agreement {
		t.Errorf("all agree after %v, want %v", worst, agreement)
	}
}

// A slot without a server degrades its own breakers only.
func TestCluster_uncoveredSlot(t *testing.T) {
	c := servers.Cluster(t, servers.Args("--cluster-require-full-coverage", "no"))
	f := newFleet(t, breakers, clients(c)...)
	slot := f.slot(t, f.names[0])
	l := f.startLoad()
	l.warm(t)
	c.EachNode("cluster", "delslots", slot)
	time.Sleep(2 * time.Second)
	c.MasterOf(f.slot(t, f.names[1])).Do("ping")
	snapshots, err := f.stores[0].InspectMany(context.Background(), f.names)
	if err == nil || snapshots[0].Exists {
		t.Errorf("%s of an uncovered slot reads as %+v, %v", f.names[0], snapshots[0], err)
	}
	for _, s := range snapshots[1:] {
		if !s.Exists {
			t.Errorf("%s of a covered slot cannot be read: %v", s.Name, err)
		}
	}
	// The node that holds the keys serves the slot again.
	owner := c.Nodes[0]
	for _, n := range c.Nodes[:3] {
		if n.Do("cluster", "countkeysinslot", slot).(int64) > 0 {
			owner = n
		}
	}
	id := owner.Do("cluster", "myid")
	for _, n := range c.Nodes {
		_, _ = n.Try("cluster", "setslot", slot, "node", id)
	}
	owner.Do("cluster", "bumpepoch")
	await(t, "the slot is served again", 20*time.Second, func() bool {
		s, err := f.stores[0].Inspect(context.Background(), f.names[0])
		return err == nil && s.Exists
	})
	time.Sleep(slack)
	r := l.end(t, "uncovered slot")
	if r.Lost != 0 || r.Doubled != 0 {
		t.Errorf("lost %d, doubled %d; want 0", r.Lost, r.Doubled)
	}
	for b, name := range f.names {
		if other := f.slot(t, name) != slot; other && r.Degraded[b] > 0 {
			t.Errorf("%s lives in another slot, and was degraded for %v", name, r.Degraded[b])
		} else if !other && r.Degraded[b] < time.Second {
			t.Errorf("%s lives in a slot without a server, and was degraded for %v only", name, r.Degraded[b])
		}
	}
}

// Scripts go to masters even if the client reads from replicas, also right after a
// failover.
func TestCluster_readsFromReplicas(t *testing.T) {
	c := servers.Cluster(t)
	readers := []redis.UniversalClient{
		c.Client(func(o *redis.ClusterOptions) { o.ReadOnly = true }),
		c.Client(func(o *redis.ClusterOptions) { o.RouteByLatency = true }),
		c.Client(func(o *redis.ClusterOptions) { o.RouteRandomly = true }),
	}
	f := newFleet(t, breakers, readers...)
	l := f.startLoad()
	l.warm(t)
	defer f.startAdmissions(t)()
	for _, n := range c.Nodes[3:] {
		if got := n.CommandStats()["evalsha"].Calls; got != 0 {
			t.Errorf("a replica was sent %d scripts", got)
		}
	}
	for _, n := range c.Nodes[3:] {
		c.Promote(n)
	}
	time.Sleep(2 * time.Second) // to settle
	before := map[*servers.Node]int64{}
	for _, n := range c.Nodes[:3] {
		before[n] = n.CommandStats()["evalsha"].Calls
	}
	time.Sleep(time.Second)
	for n, calls := range before {
		if got := n.CommandStats()["evalsha"].Calls - calls; got != 0 {
			t.Errorf("a master that is a replica now was sent %d scripts", got)
		}
	}
	r := l.end(t, "reads from replicas, with a failover")
	if r.Lost != 0 || r.Doubled != 0 {
		t.Errorf("lost %d, doubled %d; want 0", r.Lost, r.Doubled)
	}
	for text := range r.Errors {
		if strings.Contains(text, "READONLY") {
			t.Errorf("a caller got %q", text)
		}
	}
}

// startAdmissions admits calls of one breaker until stop is called. The scripts write
// nothing, so a replica would answer them.
func (f *fleet) startAdmissions(t *testing.T) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	quiet := bind(t, f.stores[0], f.names[0]+" quiet", engine.Policy{})
	go func() {
		defer close(ended)
		for {
			_, _ = quiet.Acquire(context.Background())
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// WithColocation puts all breakers in one slot, and so on one node.
func TestCluster_colocation(t *testing.T) {
	c := servers.Cluster(t)
	ctx := context.Background()
	on := func(opts ...storage.Option) (nodes int, calls int64) {
		s, err := storage.NewRedis(c.Client(nil), append(opts, storage.WithNamespace(namespace()), storage.WithTimeout(20*time.Second))...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		before := map[*servers.Node]int64{}
		for _, n := range c.Nodes {
			before[n] = n.CommandStats()["evalsha"].Calls
		}
		for _, name := range breakerNames(breakers) {
			if _, err := bind(t, s, name, counted).Acquire(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range c.Nodes {
			if d := n.CommandStats()["evalsha"].Calls - before[n]; d > 1 { // one may be a NOSCRIPT
				nodes++
				calls = max(calls, d)
			}
		}
		return nodes, calls
	}
	spread, most := on()
	together, all := on(storage.WithColocation("one-slot"))
	t.Logf("%d breakers: spread over %d nodes, at most %d calls on one; with WithColocation on %d, %d calls", breakers, spread, most, together, all)
	if spread != 3 || together != 1 {
		t.Errorf("breakers on %d nodes, and on %d with WithColocation; want 3 and 1", spread, together)
	}
}
