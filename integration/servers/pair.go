package servers

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// PairOf is a primary and its replica, with a replication link that can be cut.
type PairOf struct {
	Primary, Replica *Node
	t                testing.TB
	link             *Proxy // between them
	serving          atomic.Pointer[Node]
}

// Pair starts a primary and a replica that replicates through a proxy.
func Pair(t testing.TB, opts ...Option) *PairOf {
	t.Helper()
	o := applyOptions(opts)
	if o.image == "" && serverSource(t) == fromAddress {
		Skip(t, "a primary with a replica does not come from an address: unset "+envSource+" or "+envAddr)
	}
	p := &PairOf{t: t, Primary: startNode(t, o, "--repl-diskless-sync-delay", "0"), Replica: startNode(t, o)}
	p.link = newProxy(t, p.Primary.Direct())
	p.serving.Store(p.Primary)
	host, port, _ := net.SplitHostPort(p.link.Addr())
	p.Replica.Do("replicaof", host, port)
	waitUntil(t, "the replica is in sync", 30*time.Second, p.isLinked)
	t.Logf("primary and replica: %s", p.Primary.Version())
	return p
}

func (p *PairOf) isLinked() bool {
	return p.Replica.Info("replication")["master_link_status"] == "up"
}

// AwaitReplicated waits until the replica has all that the primary wrote.
func (p *PairOf) AwaitReplicated() {
	p.t.Helper()
	waitUntil(p.t, "the replica has caught up", 10*time.Second, func() bool {
		return p.Primary.Info("replication")["master_repl_offset"] == p.Replica.Info("replication")["slave_repl_offset"]
	})
}

// CutReplication makes the replica miss all later writes.
func (p *PairOf) CutReplication() {
	p.t.Helper()
	p.link.Blackhole()
}

// Promote makes the replica the primary; new connections of Client go there.
func (p *PairOf) Promote() {
	p.t.Helper()
	p.Replica.Do("replicaof", "no", "one")
	p.serving.Store(p.Replica)
}

// Client returns a client that dials the current primary, as through a virtual
// address.
func (p *PairOf) Client(change func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: p.Primary.Addr()}
	o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.serving.Load().Addr())
	}
	if change != nil {
		change(o)
	}
	rdb := redis.NewClient(o)
	p.t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// masterName is the name of the primary in the sentinels' configuration.
const masterName = "redbreaker"

// SentinelOf is a primary, its replica, and three sentinels that monitor them.
type SentinelOf struct {
	Data      []*Node
	Sentinels []*Node
	t         testing.TB
}

// Sentinel starts a primary, a replica and three sentinels.
func Sentinel(t testing.TB, opts ...Option) *SentinelOf {
	t.Helper()
	o := applyOptions(opts)
	from := serverSource(t)
	if o.image == "" && from == fromAddress {
		Skip(t, "sentinels do not come from an address: unset "+envSource+" or "+envAddr)
	}
	s := &SentinelOf{t: t, Data: []*Node{startNode(t, o, "--repl-diskless-sync-delay", "0"), startNode(t, o, "--repl-diskless-sync-delay", "0")}}
	host, port, _ := net.SplitHostPort(s.Data[0].Direct())
	s.Data[1].Do("replicaof", host, port)
	waitUntil(t, "the replica is in sync", 30*time.Second, func() bool {
		return s.Data[1].Info("replication")["master_link_status"] == "up"
	})
	config := "sentinel monitor " + masterName + " " + host + " " + port + " 2\n" +
		"sentinel down-after-milliseconds " + masterName + " " + strconv.FormatInt(NodeTimeout.Milliseconds(), 10) + "\n" +
		"sentinel failover-timeout " + masterName + " 10000\n"
	for range 3 {
		s.Sentinels = append(s.Sentinels, startSentinel(t, o, config))
	}
	waitUntil(t, "the sentinels know all", 30*time.Second, func() bool {
		for _, n := range s.Sentinels {
			reply, err := n.Try("sentinel", "master", masterName)
			if err != nil {
				return false
			}
			if m := parsePairs(reply); m["num-slaves"] != "1" || m["num-other-sentinels"] != "2" {
				return false
			}
		}
		return true
	})
	t.Logf("primary, replica and sentinels: %s", s.Data[0].Version())
	return s
}

func startSentinel(t testing.TB, o options, config string) *Node {
	t.Helper()
	n := &Node{t: t}
	switch {
	case o.image != "":
		n.machine = startSentinelContainer(t, o.image, config)
	case serverSource(t) == fromDocker:
		n.machine = startSentinelContainer(t, mustImage(t), config)
	default:
		n.machine = startSentinelProcess(t, config)
	}
	n.ctl = redis.NewClient(&redis.Options{Addr: n.machine.Addr()})
	t.Cleanup(func() { _ = n.ctl.Close() })
	return n
}

// Client returns a client that finds the primary through the sentinels.
func (s *SentinelOf) Client(change func(*redis.FailoverOptions)) *redis.Client {
	o := &redis.FailoverOptions{MasterName: masterName}
	for _, n := range s.Sentinels {
		o.SentinelAddrs = append(o.SentinelAddrs, n.Addr())
	}
	if change != nil {
		change(o)
	}
	rdb := redis.NewFailoverClient(o)
	s.t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Primary returns the node that the sentinels report as the primary.
func (s *SentinelOf) Primary() *Node {
	s.t.Helper()
	for _, n := range s.Sentinels {
		reply, err := n.Try("sentinel", "get-master-addr-by-name", masterName)
		if addr, ok := reply.([]any); err == nil && ok && len(addr) == 2 {
			at := net.JoinHostPort(addr[0].(string), addr[1].(string))
			for _, d := range s.Data {
				if d.Direct() == at {
					return d
				}
			}
		}
	}
	s.t.Fatal("servers: no sentinel knows the primary")
	return nil
}

// Promote makes the replica the primary through the sentinels.
func (s *SentinelOf) Promote() {
	s.t.Helper()
	before := s.Primary()
	s.Sentinels[0].Do("sentinel", "failover", masterName)
	waitUntil(s.t, "the sentinels have promoted the replica", 30*time.Second, func() bool { return s.Primary() != before })
}

// parsePairs parses a flat list or a RESP3 map of names and values.
func parsePairs(reply any) map[string]string {
	m := map[string]string{}
	switch r := reply.(type) {
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			name, _ := r[i].(string)
			m[name], _ = r[i+1].(string)
		}
	case map[any]any:
		for k, v := range r {
			name, _ := k.(string)
			m[name], _ = v.(string)
		}
	}
	return m
}
