package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
)

// NodeTimeout is how long a node of a cluster may be silent before the others
// consider it dead. Redis's default is 15 s.
const NodeTimeout = 2 * time.Second

const (
	masters = 3
	nodes   = 2 * masters
)

// ClusterOf is a cluster of three masters and three replicas.
type ClusterOf struct {
	Nodes []*Node
	t     testing.TB
	ids   map[string]*Node // by node id
}

// Cluster starts a cluster of three masters and three replicas.
func Cluster(t testing.TB, opts ...Option) *ClusterOf {
	t.Helper()
	o := applyOptions(opts)
	if o.image == "" && serverSource(t) == fromAddress {
		Skip(t, "a cluster does not come from an address: unset "+envSource+" or "+envAddr)
	}
	c := &ClusterOf{t: t, ids: map[string]*Node{}}
	for i := range nodes {
		n := startNode(t, o,
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", strconv.FormatInt(NodeTimeout.Milliseconds(), 10),
			"--repl-diskless-sync-delay", "0")
		if o.proxied {
			n.proxy = newProxy(t, n.Direct())
			n.announceProxy()
		}
		if o.busProxied {
			n.announceBus()
		}
		n.Do("cluster", "set-config-epoch", i+1)
		c.ids[n.Do("cluster", "myid").(string)] = n
		c.Nodes = append(c.Nodes, n)
	}
	c.introduceNodes()
	c.assignSlots()
	t.Logf("cluster of %d: %s", nodes, c.Nodes[0].Version())
	return c
}

// announceProxy makes the cluster announce the proxy's address to clients.
func (n *Node) announceProxy() {
	n.t.Helper()
	_, port := n.hostPort()
	_, own, _ := net.SplitHostPort(n.Direct())
	bus, _ := strconv.Atoi(own)
	n.Do("config", "set", "cluster-announce-bus-port", bus+10000)
	n.Do("config", "set", "cluster-announce-port", port)
	n.Do("config", "set", "cluster-announce-ip", "127.0.0.1")
}

// introduceNodes introduces the nodes to each other.
func (c *ClusterOf) introduceNodes() {
	c.t.Helper()
	for _, n := range c.Nodes[1:] {
		host, port, _ := net.SplitHostPort(n.Direct())
		meet := []any{"cluster", "meet", host, port}
		if n.bus != nil {
			meet = append(meet, n.bus.port())
		}
		c.Nodes[0].Do(meet...)
	}
	waitUntil(c.t, "the nodes know each other", 30*time.Second, func() bool {
		for _, n := range c.Nodes {
			if n.Info("cluster")["cluster_enabled"] != "1" || n.clusterInfo()["cluster_known_nodes"] != strconv.Itoa(nodes) {
				return false
			}
		}
		return true
	})
}

// assignSlots assigns the slots to the first half of the nodes, and replicates them to the
// other half.
func (c *ClusterOf) assignSlots() {
	c.t.Helper()
	for i, n := range c.Nodes[:masters] {
		args := []any{"cluster", "addslots"}
		for slot := cluster.Slots * i / masters; slot < cluster.Slots*(i+1)/masters; slot++ {
			args = append(args, slot)
		}
		n.Do(args...)
		id := n.Do("cluster", "myid")
		replica := c.Nodes[masters+i]
		waitUntil(c.t, "a replica takes its master", 30*time.Second, func() bool {
			_, err := replica.Try("cluster", "replicate", id)
			return err == nil
		})
	}
	c.AwaitHealthy(30 * time.Second)
	waitUntil(c.t, "every node knows every replica", 30*time.Second, func() bool {
		for _, n := range c.Nodes {
			reply, err := n.Try("cluster", "slots")
			if err != nil {
				return false
			}
			for _, s := range c.parseSlots(reply.([]any)) {
				if len(s.owners) < 2 {
					return false
				}
			}
		}
		return true
	})
}

// AwaitHealthy waits until each running node finds all slots served and each running
// replica has its data.
func (c *ClusterOf) AwaitHealthy(d time.Duration) {
	c.t.Helper()
	waitUntil(c.t, "the cluster is healthy", d, func() bool {
		alive := 0
		for _, n := range c.Nodes {
			info, err := n.tryClusterInfo()
			if err != nil {
				continue
			}
			alive++
			if info["cluster_state"] != "ok" || info["cluster_slots_ok"] != strconv.Itoa(cluster.Slots) {
				return false
			}
			role, err := n.Try("role")
			if r, ok := role.([]any); err != nil || !ok || len(r) > 3 && r[0] == "slave" && r[3] != "connected" {
				return false
			}
		}
		return alive > masters
	})
}

func (n *Node) clusterInfo() map[string]string {
	n.t.Helper()
	info, err := n.tryClusterInfo()
	mustSucceed(n.t, "ask for the cluster's state", err)
	return info
}

func (n *Node) tryClusterInfo() (map[string]string, error) {
	text, err := n.Try("cluster", "info")
	if err != nil {
		return nil, err
	}
	info := map[string]string{}
	for line := range strings.Lines(fmt.Sprint(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	return info, nil
}

// Addrs returns the addresses at which clients reach the nodes.
func (c *ClusterOf) Addrs() []string {
	addrs := make([]string, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}

// Client returns a client of the cluster that is closed at the test's end. change,
// which may be nil, adjusts its options.
func (c *ClusterOf) Client(change func(*redis.ClusterOptions)) *redis.ClusterClient {
	o := &redis.ClusterOptions{Addrs: c.Addrs()}
	if change != nil {
		change(o)
	}
	rdb := redis.NewClusterClient(o)
	c.t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// slots is a range of slots and its nodes, as one node sees it.
type slots struct {
	from, to int64
	owners   []*Node // the master first
}

// slotMap returns the slot map of the first node that answers.
func (c *ClusterOf) slotMap() []slots {
	c.t.Helper()
	for _, n := range c.Nodes {
		if reply, err := n.Try("cluster", "slots"); err == nil {
			return c.parseSlots(reply.([]any))
		}
	}
	c.t.Fatal("servers: no node of the cluster answers")
	return nil
}

func (c *ClusterOf) parseSlots(reply []any) []slots {
	var view []slots
	for _, entry := range reply {
		e := entry.([]any)
		s := slots{from: e[0].(int64), to: e[1].(int64)}
		for _, owner := range e[2:] {
			id := owner.([]any)[2].(string)
			s.owners = append(s.owners, c.ids[id])
		}
		view = append(view, s)
	}
	return view
}

// MasterOf returns the node that serves the slot.
func (c *ClusterOf) MasterOf(slot uint16) *Node {
	c.t.Helper()
	return c.nodesOf(slot).owners[0]
}

// ReplicaOf returns a replica of the node that serves the slot.
func (c *ClusterOf) ReplicaOf(slot uint16) *Node {
	c.t.Helper()
	s := c.nodesOf(slot)
	if len(s.owners) < 2 {
		c.t.Fatalf("servers: slot %d has no replica", slot)
	}
	return s.owners[1]
}

func (c *ClusterOf) nodesOf(slot uint16) slots {
	c.t.Helper()
	for _, s := range c.slotMap() {
		if s.from <= int64(slot) && int64(slot) <= s.to {
			return s
		}
	}
	c.t.Fatalf("servers: no node serves slot %d", slot)
	return slots{}
}

// Masters returns the nodes that serve slots.
func (c *ClusterOf) Masters() []*Node {
	c.t.Helper()
	var all []*Node
	seen := map[*Node]bool{}
	for _, s := range c.slotMap() {
		if n := s.owners[0]; !seen[n] {
			seen[n] = true
			all = append(all, n)
		}
	}
	return all
}

// Promote makes the replica a master by a failover that its master agrees to.
func (c *ClusterOf) Promote(replica *Node) {
	c.t.Helper()
	waitUntil(c.t, "the replica is promoted", 30*time.Second, func() bool {
		role, err := replica.Try("role")
		if r, ok := role.([]any); err == nil && ok && r[0] == "master" {
			return true
		}
		_, _ = replica.Try("cluster", "failover")
		time.Sleep(200 * time.Millisecond)
		return false
	})
}

// MigrateSlot moves a slot key by key.
func (c *ClusterOf) MigrateSlot(slot uint16, to *Node) {
	c.t.Helper()
	from := c.MasterOf(slot)
	if from == to {
		return
	}
	source, target := from.Do("cluster", "myid"), to.Do("cluster", "myid")
	to.Do("cluster", "setslot", slot, "importing", source)
	from.Do("cluster", "setslot", slot, "migrating", target)
	host, port, _ := net.SplitHostPort(to.Direct())
	for {
		keys := from.Do("cluster", "getkeysinslot", slot, 10).([]any)
		if len(keys) == 0 {
			break
		}
		from.Do(append([]any{"migrate", host, port, "", 0, 5000, "keys"}, keys...)...)
	}
	to.Do("cluster", "setslot", slot, "node", target)
	from.Do("cluster", "setslot", slot, "node", target)
	for _, n := range c.Masters() {
		if n != from && n != to {
			n.Do("cluster", "setslot", slot, "node", target)
		}
	}
	c.awaitOwner(slot, to, target)
}

// awaitOwner waits until all nodes know the owner of a slot, and the config epoch by which it
// owns it. Until then, a message that the previous owner sent before the move can make a node
// believe that one again.
func (c *ClusterOf) awaitOwner(slot uint16, owner *Node, id any) {
	c.t.Helper()
	waitUntil(c.t, fmt.Sprintf("all nodes know the owner of slot %d", slot), time.Minute, func() bool {
		epoch := owner.clusterInfo()["cluster_my_epoch"]
		for _, n := range c.Nodes {
			reply, err := n.Try("cluster", "nodes")
			if text, ok := reply.(string); err == nil && ok && !isOwner(text, fmt.Sprint(id), epoch, int(slot)) {
				return false
			}
		}
		return true
	})
}

// isOwner reports whether the slot is that of the node of the id, at its config epoch,
// according to a reply to CLUSTER NODES.
func isOwner(nodes, id, epoch string, slot int) bool {
	for line := range strings.Lines(nodes) {
		// <id> <address> <flags> <master> <ping> <pong> <config epoch> <link> <slots> ...
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[0] != id || fields[6] != epoch {
			continue
		}
		for _, slots := range fields[8:] {
			first, last, isRange := strings.Cut(slots, "-")
			if !isRange {
				last = first
			}
			from, err := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err == nil && err2 == nil && from <= slot && slot <= to { // else it is being moved
				return true
			}
		}
	}
	return false
}

// EachNode runs a command on every node that answers.
func (c *ClusterOf) EachNode(args ...any) {
	c.t.Helper()
	for _, n := range c.Nodes {
		_, err := n.Try(args...)
		var refused redis.Error
		if asError(err, &refused) {
			c.t.Fatalf("servers: %v at %s: %v", args, n.Direct(), err)
		}
	}
}

// CommandStats returns the sum of a command's statistics over all running nodes.
func (c *ClusterOf) CommandStats(command string) Stat {
	c.t.Helper()
	var sum Stat
	for _, n := range c.Nodes {
		if n.ctl.Ping(context.Background()).Err() != nil {
			continue
		}
		s := n.CommandStats()[command]
		sum.Calls += s.Calls
		sum.Rejected += s.Rejected
		sum.Failed += s.Failed
	}
	return sum
}

func asError(err error, target *redis.Error) bool { return err != nil && errors.As(err, target) }
