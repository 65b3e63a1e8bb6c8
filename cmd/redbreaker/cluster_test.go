package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/internal/redistest"
)

// The commands on all breakers work on a cluster, by the address of any of its nodes.
func TestCluster_commands(t *testing.T) {
	servers := redistest.StartCluster(t, 3)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{servers[0].Addr()}})
	t.Cleanup(func() { _ = client.Close() })
	s := server{servers[1].Addr(), "shop", client}
	const count = 30
	for i := range count {
		s.must(t, "trip", fmt.Sprintf("dep-%02d", i), "--create", "--for", "1h")
	}
	if got := namesIn(s.must(t, "ls", "--state", "open")); len(got) != count || got[0] != "dep-00" {
		t.Errorf("ls: %q", got)
	}
	lines := s.must(t, "export")
	if out, err := executeWith(lines, "import", "--redis", servers[2].Addr(), "-n", "shop2"); err != nil || !strings.Contains(out, "30 breakers were imported") {
		t.Fatalf("%v\n%s", err, out)
	}
	copied := server{servers[0].Addr(), "shop2", client}
	for i := range count {
		compareRecords(t, s, copied, fmt.Sprintf("dep-%02d", i))
	}
	if got := len(namesIn(copied.must(t, "ls"))); got != count {
		t.Errorf("%d breakers are listed, want %d", got, count)
	}
	if out := copied.must(t, "explain", "dep-07"); !strings.Contains(out, `"dep-07" has been open for `) {
		t.Errorf("explain: %s", out)
	}
	if out := copied.must(t, "log", "dep-07"); strings.Count(out, "\n") != 2 {
		t.Errorf("log: %s", out)
	}
}
