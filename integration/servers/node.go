package servers

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Node is one server. Its methods fail the test if they cannot do their work.
type Node struct {
	machine
	t     testing.TB
	proxy *Proxy // nil: clients connect directly
	ctl   *redis.Client
	bus   *busProxy // nil: other nodes reach its bus directly
}

// Option changes how servers are started.
type Option func(*options)

type options struct {
	args       []string
	image      string
	proxied    bool
	busProxied bool
}

// Args appends arguments to each server's command line.
func Args(args ...string) Option { return func(o *options) { o.args = append(o.args, args...) } }

// Image runs the servers in containers of this image and ignores REDBREAKER_SERVERS.
func Image(name string) Option { return func(o *options) { o.image = name } }

// Proxied puts a proxy in front of each server, which Partition needs.
func Proxied() Option { return func(o *options) { o.proxied = true } }

func applyOptions(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// startNode starts one server.
func startNode(t testing.TB, o options, args ...string) *Node {
	t.Helper()
	args = append(args, o.args...)
	n := &Node{t: t}
	switch from := serverSource(t); {
	case o.image != "":
		n.machine = startContainer(t, o.image, args)
	case from == fromDocker:
		n.machine = startContainer(t, mustImage(t), args)
	default:
		n.machine = startProcess(t, args)
	}
	n.ctl = redis.NewClient(&redis.Options{Addr: n.machine.Addr(), MaintNotificationsConfig: nil})
	t.Cleanup(func() { _ = n.ctl.Close() })
	return n
}

func mustImage(t testing.TB) string {
	t.Helper()
	name := availableImage()
	if name == "" {
		Skip(t, "there is no Docker engine, or no image "+os.Getenv(envImage)+": make server-images builds some")
	}
	return name
}

// Standalone returns one server. Without Args it may be one that other tests use too,
// so use a namespace.
func Standalone(t testing.TB, opts ...Option) *Node {
	t.Helper()
	o := applyOptions(opts)
	var n *Node
	if o.image == "" && len(o.args) == 0 && serverSource(t) == fromAddress {
		n = &Node{t: t, machine: atAddress(t)}
		n.ctl = redis.NewClient(&redis.Options{Addr: n.machine.Addr()})
		t.Cleanup(func() { _ = n.ctl.Close() })
	} else {
		n = startNode(t, o)
	}
	if o.proxied {
		n.proxy = newProxy(t, n.machine.Addr())
	}
	t.Logf("server: %s", n.Version())
	return n
}

// Addr returns the address at which clients reach the server.
func (n *Node) Addr() string {
	if n.proxy != nil {
		return n.proxy.Addr()
	}
	return n.machine.Addr()
}

// Direct returns the address of the server itself, without the proxy.
func (n *Node) Direct() string { return n.machine.Addr() }

// Client returns a client of the server that is closed at the test's end.
// change, which may be nil, adjusts its options.
func (n *Node) Client(change func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: n.Addr()}
	if change != nil {
		change(o)
	}
	rdb := redis.NewClient(o)
	n.t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Partition drops the data between clients and the server until Heal.
func (n *Node) Partition() {
	n.t.Helper()
	if n.proxy == nil {
		n.t.Fatal("servers: Partition needs servers started Proxied")
	}
	n.proxy.Blackhole()
}

// Heal ends a partition.
func (n *Node) Heal() {
	n.t.Helper()
	n.proxy.Heal()
}

// Do runs a command without the proxy, and fails the test on an error.
func (n *Node) Do(args ...any) any {
	n.t.Helper()
	reply, err := n.Try(args...)
	if err != nil {
		n.t.Fatalf("servers: %v at %s: %v", args, n.Direct(), err)
	}
	return reply
}

// Try runs a command without the proxy and returns its error.
func (n *Node) Try(args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return n.ctl.Do(ctx, args...).Result()
}

// Info returns a section of INFO as a map.
func (n *Node) Info(section string) map[string]string {
	n.t.Helper()
	text := fmt.Sprint(n.Do("info", section))
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			info[name] = value
		}
	}
	return info
}

// Version returns the server's product and version, such as Valkey 8.1.1.
func (n *Node) Version() string {
	n.t.Helper()
	info := n.Info("server")
	if v := info["valkey_version"]; v != "" {
		return "Valkey " + v
	}
	return "Redis " + info["redis_version"]
}

// Stat is the statistics of one command on a server.
type Stat struct{ Calls, Rejected, Failed int64 }

// CommandStats returns the server's count of each command since its start.
func (n *Node) CommandStats() map[string]Stat {
	n.t.Helper()
	stats := map[string]Stat{}
	for name, text := range maps.All(n.Info("commandstats")) {
		var s Stat
		for _, pair := range strings.Split(text, ",") {
			key, value, _ := strings.Cut(pair, "=")
			count, _ := strconv.ParseInt(value, 10, 64)
			switch key {
			case "calls":
				s.Calls = count
			case "rejected_calls":
				s.Rejected = count
			case "failed_calls":
				s.Failed = count
			}
		}
		stats[strings.TrimPrefix(name, "cmdstat_")] = s
	}
	return stats
}

func (n *Node) hostPort() (string, string) {
	host, port, err := net.SplitHostPort(n.Addr())
	mustSucceed(n.t, "split an address", err)
	return host, port
}

// doesAnswer reports whether a server at addr replies, with or without an error.
func doesAnswer(addr string) bool {
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: time.Second})
	defer rdb.Close()
	err := rdb.Ping(context.Background()).Err()
	var answer redis.Error
	return err == nil || asError(err, &answer)
}

// waitUntil polls until ok, for at most d.
func waitUntil(t testing.TB, what string, d time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("servers: not after %v: %s", d, what)
		}
	}
}
