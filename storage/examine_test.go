package storage_test

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/storage"
)

// selfish is a wrapper that returns itself.
type selfish struct{ tracer }

func (w selfish) Unwrap() redis.UniversalClient { return w }

// Examine says which client was recognized, and warns of one that is hidden.
func TestExamine_client(t *testing.T) {
	m := miniredis.RunT(t)
	client := open(t, &redis.Options{Addr: m.Addr()})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"shard": m.Addr()}})
	t.Cleanup(func() { _, _ = ring.Close(), cluster.Close() })
	for want, test := range map[string]struct {
		client redis.UniversalClient
		opts   []storage.Option
	}{
		"client: *redis.Client, of a single server, " + m.Addr():                           {client: client},
		"client: *redis.ClusterClient, of a cluster":                                       {client: cluster},
		"client: *redis.Ring, of a ring":                                                   {client: ring},
		"client: *redis.ClusterClient, of a cluster, inside a storage_test.openTracer":     {client: openTracer{tracer{cluster}}},
		"client: *redis.ClusterClient, of a cluster, inside a storage_test.tracer":         {client: tracer{cluster}, opts: []storage.Option{storage.WithUnderlying(cluster)}},
		"warning: client: a storage_test.tracer hides the client that it wraps; if that ":  {client: tracer{cluster}},
		"warning: client: a storage_test.selfish hides the client that it wraps; if that ": {client: selfish{tracer{cluster}}},
	} {
		found, err := newStorage(t, test.client, test.opts...).Examine(ctx)
		must(t, err)
		if got := found[0].String(); !strings.HasPrefix(got, want) || strings.Contains(want, "inside") != strings.Contains(got, "inside") {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// Examine warns of what Ping cannot refuse.
func TestExamine_warnings(t *testing.T) {
	m := miniredis.RunT(t)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if cmd != "INFO" {
			return false
		}
		switch args[0] {
		case "server":
			c.WriteBulk("# Server\r\nredis_version:7.2.4\r\nvalkey_version:8.1.1\r\n")
		case "memory":
			c.WriteBulk("maxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n")
		}
		return true
	})
	s := newStorage(t, open(t, &redis.Options{Addr: m.Addr(), ReadTimeout: -1, ConnMaxIdleTime: -1}), storage.WithReporter("host"), storage.WithWatch())
	wantFindings(t, s,
		"warning: connections: ReadTimeout is disabled",
		"connections: idle connections are kept without limit",
		`reporter: this process reports as "host"`,
		"watch: on",
		"server: valkey 8.1.1",
		"warning: memory: at 1000 bytes the server evicts keys (allkeys-lru)",
		"distance: a round trip takes ",
	)
}

// Examine returns the error of Ping, and what it can say without the server.
func TestExamine_noServer(t *testing.T) {
	s := newStorage(t, open(t, &redis.Options{Addr: closedPort(t), DialerRetries: 1}))
	found, err := s.Examine(ctx)
	wantSays(t, err, "check the address")
	if len(found) == 0 || found[0].About != "client" {
		t.Errorf("got %v, want a finding about the client", found)
	}
}

// wantFindings wants a finding that begins with each of the texts, and no warning that
// does not.
func wantFindings(t *testing.T, s *storage.Redis, want ...string) {
	t.Helper()
	found, err := s.Examine(ctx)
	must(t, err)
	var lines []string
	for _, f := range found {
		lines = append(lines, f.String())
	}
	for _, text := range want {
		if !strings.Contains("\n"+strings.Join(lines, "\n"), "\n"+text) {
			t.Errorf("no finding %q in\n%s", text, strings.Join(lines, "\n"))
		}
	}
	if text := strings.Join(lines, "\n"); strings.Count(text, "warning:") != strings.Count(strings.Join(want, "\n"), "warning:") {
		t.Errorf("other warnings than wanted:\n%s", text)
	}
}
