package servers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/integration/servers"
)

// These tests check the harness itself.

func TestStandalone(t *testing.T) {
	n := servers.Standalone(t, servers.Proxied(), servers.Args("--maxmemory", "100mb"))
	rdb := n.Client(nil)
	ctx := context.Background()
	if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got := n.CommandStats()["set"].Calls; got != 1 {
		t.Errorf("commandstats: %d SET, want 1", got)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	n.Partition()
	if err := n.Client(nil).WithTimeout(100 * time.Millisecond).Ping(short).Err(); err == nil {
		t.Error("a partitioned server answers")
	}
	n.Heal()
	n.Pause()
	n.Resume()
	n.Kill()
	if _, err := n.Try("ping"); err == nil {
		t.Error("a killed server answers")
	}
	n.Restart()
	if _, err := n.Try("ping"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	n.Stop()
}

func TestCluster(t *testing.T) {
	c := servers.Cluster(t)
	rdb := c.Client(nil)
	ctx := context.Background()
	if err := rdb.Set(ctx, "{a}", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	slot := cluster.Slot("{a}")
	from, replica := c.MasterOf(slot), c.ReplicaOf(slot)
	for _, to := range c.Masters() {
		if to != from {
			c.MigrateSlot(slot, to)
			break
		}
	}
	if c.MasterOf(slot) == from {
		t.Error("the slot has not moved")
	}
	if got := rdb.Get(ctx, "{a}").Val(); got != "v" {
		t.Errorf("after the migration the key holds %q", got)
	}
	c.Promote(replica)
	c.AwaitHealthy(20 * time.Second)
}

// Two nodes that lose each other's messages are still seen by the others, and find each
// other again.
func TestCluster_busCut(t *testing.T) {
	c := servers.Cluster(t, servers.BusProxied())
	a, b := c.Nodes[0], c.Nodes[1]
	id := b.Do("cluster", "myid").(string)
	fails := func(n *servers.Node) bool {
		for line := range strings.Lines(n.Do("cluster", "nodes").(string)) {
			if strings.HasPrefix(line, id) {
				return strings.Contains(line, "fail")
			}
		}
		t.Fatalf("%s does not know the node", n.Direct())
		return false
	}
	c.CutBus(a, b)
	for deadline := time.Now().Add(time.Minute); !fails(a); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a node still hears the other one")
		}
	}
	if fails(c.Nodes[2]) {
		t.Error("a third node does not reach the node")
	}
	for _, n := range c.Nodes {
		if text := n.Do("cluster", "info").(string); !strings.Contains(text, "cluster_state:ok") {
			t.Errorf("a node does not work: %s", text)
		}
	}
	c.HealBus(a, b)
	for deadline := time.Now().Add(time.Minute); fails(a); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the nodes do not find each other again")
		}
	}
}

func TestSentinel(t *testing.T) {
	s := servers.Sentinel(t)
	rdb := s.Client(nil)
	ctx := context.Background()
	if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Promote()
}

func TestPair(t *testing.T) {
	p := servers.Pair(t)
	rdb := p.Client(nil)
	ctx := context.Background()
	rdb.Set(ctx, "k", "kept", 0)
	p.AwaitReplicated()
	p.CutReplication()
	if err := rdb.Set(ctx, "k", "lost", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p.Primary.Kill()
	p.Promote()
	if got, err := rdb.Get(ctx, "k").Result(); got != "kept" {
		t.Errorf("after the failover the key holds %q, %v", got, err)
	}
}
