package storage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Finding is a fact about a storage that works: what it recognized, or what may fail
// later.
type Finding struct {
	// About is the subject: client, server, distance, connections, memory, reporter or
	// watch.
	About string
	// Text is a sentence. That of a warning says what to change.
	Text string
	// Warning is set if something should be changed.
	Warning bool
}

// String returns the finding as one line.
func (f Finding) String() string {
	if f.Warning {
		return "warning: " + f.About + ": " + f.Text
	}
	return f.About + ": " + f.Text
}

// Examine describes the storage for an operator: which client it has recognized, what
// the server is, how far away it is, and what may fail though [Redis.Ping] passes. The
// error is that of Ping; the findings that need no server are returned with it. What
// the user may not read is left out.
func (r *Redis) Examine(ctx context.Context) ([]Finding, error) {
	all := append(describeClient(r.client, r.transport.Underlying()), describeConnections(r.transport.Underlying())...)
	all = append(all, Finding{About: "reporter", Text: fmt.Sprintf("this process reports as %q; a policy with MinReporters counts processes of one name once", r.reporter)})
	if r.watcher == nil {
		all = append(all, Finding{About: "watch", Text: "off: a process learns of the transitions of others by its own calls"})
	} else {
		all = append(all, Finding{About: "watch", Text: "on"})
	}
	if err := r.Ping(ctx); err != nil {
		return all, err
	}
	all = append(all, r.describeServer(ctx)...)
	return append(all, r.describeDistance(ctx)...), nil
}

// describeClient names the kind of client that was recognized, and how.
func describeClient(client, underlying redis.UniversalClient) []Finding {
	how := ""
	if client != underlying {
		how = fmt.Sprintf(", inside a %T", client)
	}
	kind := ""
	switch c := underlying.(type) {
	case *redis.Client:
		kind = "of a single server, " + c.Options().Addr
	case *redis.ClusterClient:
		kind = "of a cluster"
	case *redis.Ring:
		kind = "of a ring"
	default:
		return []Finding{{About: "client", Warning: true, Text: fmt.Sprintf(
			"a %T hides the client that it wraps; if that is one of a cluster, all nodes have one guard: give it a method Unwrap() redis.UniversalClient, or use WithUnderlying", underlying)}}
	}
	return []Finding{{About: "client", Text: fmt.Sprintf("%T, %s%s", underlying, kind, how)}}
}

// shortestBalancer is the shortest time after which a balancer in use forgets an idle
// connection, that of Azure.
const shortestBalancer = 240 * time.Second

// describeConnections warns of settings that let connections die unnoticed.
func describeConnections(underlying redis.UniversalClient) []Finding {
	var read, idle time.Duration
	switch c := underlying.(type) {
	case *redis.Client:
		read, idle = c.Options().ReadTimeout, c.Options().ConnMaxIdleTime
	case *redis.ClusterClient:
		read, idle = c.Options().ReadTimeout, c.Options().ConnMaxIdleTime
	case *redis.Ring:
		read, idle = c.Options().ReadTimeout, c.Options().ConnMaxIdleTime
	default:
		return nil
	}
	var all []Finding
	if read <= 0 {
		all = append(all, Finding{About: "connections", Warning: true, Text: "ReadTimeout is disabled: each lost reply blocks a connection for good, and the storage fails once the pool has no other; set ReadTimeout"})
	}
	if idle <= 0 || idle > shortestBalancer {
		all = append(all, Finding{About: "connections", Text: fmt.Sprintf(
			"idle connections are kept %s; behind a balancer, set ConnMaxIdleTime below the time after which it forgets them (%v and longer)", describeLimit(idle), shortestBalancer)})
	}
	return all
}

func describeLimit(d time.Duration) string {
	if d <= 0 {
		return "without limit"
	}
	return fmt.Sprintf("for %v", d)
}

// describeServer names the server and warns of a memory policy that evicts breakers.
func (r *Redis) describeServer(ctx context.Context) []Finding {
	info, err := r.transport.Info(ctx, "server")
	if err != nil {
		return []Finding{{About: "server", Text: "unknown, the user may not run INFO"}}
	}
	all := []Finding{{About: "server", Text: describeVersion(readInfo(info))}}
	info, err = r.transport.Info(ctx, "memory")
	memory := readInfo(info)
	if policy := memory["maxmemory_policy"]; err == nil && policy != "" && policy != "noeviction" && memory["maxmemory"] != "0" {
		all = append(all, Finding{About: "memory", Warning: true, Text: fmt.Sprintf(
			"at %s bytes the server evicts keys (%s), breakers among them; use noeviction, or a server for breakers alone", memory["maxmemory"], policy)})
	}
	return all
}

// describeVersion returns the product and its version, as INFO has them.
func describeVersion(server map[string]string) string {
	for _, product := range []string{"valkey", "kvrocks", "dragonfly", "keydb", "garnet"} {
		if version := server[product+"_version"]; version != "" {
			return product + " " + version
		}
	}
	if version := server["redis_version"]; version != "" {
		return "redis " + version
	}
	return "it does not say its version"
}

// readInfo returns the fields of an answer to INFO.
func readInfo(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// describeDistance compares the timeout with the shortest of three round trips. Ping
// has made the connection and loaded the script before.
func (r *Redis) describeDistance(ctx context.Context) []Finding {
	key := r.transport.OneKeyPerShard(r.keys.PingKeys())[0]
	shortest := r.transport.Timeout()
	for range 3 {
		start := time.Now()
		if _, err := r.runPing(ctx, key); err != nil {
			return nil
		}
		shortest = min(shortest, time.Since(start))
	}
	f := Finding{About: "distance", Text: fmt.Sprintf("a round trip takes %v, the timeout is %v", shortest.Round(time.Microsecond), r.transport.Timeout())}
	if 3*shortest > r.transport.Timeout() {
		f.Warning = true
		f.Text += fmt.Sprintf("; use WithTimeout of at least three round trips, %v", (3 * shortest).Round(10*time.Millisecond))
	}
	return []Finding{f}
}
