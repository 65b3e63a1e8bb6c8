package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/integration/servers"
	"github.com/redbreaker/redbreaker/storage"
)

// A record takes no more memory than docs/operations.md says.
func TestMemory(t *testing.T) {
	eachServer(t, images(t), func(t *testing.T, n *servers.Node) {
		rdb := n.Client(nil)
		ns := namespace()
		s, err := storage.NewRedis(rdb, storage.WithNamespace(ns), storage.WithTimeout(20*time.Second))
		check(t, err)
		defer s.Close()
		for _, c := range []struct {
			name    string
			policy  engine.Policy
			calls   int64
			fullLog bool
			limit   int64
		}{
			{name: "closed and quiet", calls: 1, limit: 1024},
			{name: "with a full log", calls: 1, fullLog: true, limit: 5 * 1024},
			{name: "time window", policy: engine.Policy{Window: engine.Window{Period: 10 * time.Second, FailureRate: 0.5}}, calls: 100, limit: 2 * 1024},
			{name: "time window with a full log", policy: engine.Policy{Window: engine.Window{Period: 10 * time.Second, FailureRate: 0.5}}, calls: 100, fullLog: true, limit: 5 * 1024},
			{name: "count window of 100", policy: engine.Policy{Window: engine.Window{Calls: 100, FailureRate: 0.5}}, calls: 100, limit: 1024 + 200},
			{name: "count window of 1000", policy: engine.Policy{Window: engine.Window{Calls: 1000, FailureRate: 0.5}}, calls: 1000, limit: 1024 + 2000},
			{name: "count window of 10000", policy: engine.Policy{Window: engine.Window{Calls: 10000, FailureRate: 0.5}}, calls: 10000, limit: 1024 + 20000},
		} {
			ctx := context.Background()
			h := bind(t, s, c.name, c.policy)
			if c.fullLog {
				for range 10 {
					_, err := h.Control(ctx, engine.Command{Action: engine.ActionTrip, Reason: "a drill of the team", Actor: "operator"})
					check(t, err)
					_, err = h.Control(ctx, engine.Command{Action: engine.ActionReset, Reason: "a drill of the team", Actor: "operator"})
					check(t, err)
				}
			}
			ticket, err := h.Acquire(ctx)
			check(t, err)
			_, err = h.Step(ctx, engine.Batch{Results: []engine.Result{{Ticket: ticket, Runs: []engine.Run{{Outcome: engine.Success, N: c.calls}}}}})
			check(t, err)
			bytes := usage(t, rdb, ns, c.name)
			t.Logf("%s: %d bytes", c.name, bytes)
			if bytes > c.limit {
				t.Errorf("%s: %d bytes, want at most %d", c.name, bytes, c.limit)
			}
		}
	})
}

func usage(t *testing.T, rdb *redis.Client, ns, name string) int64 {
	t.Helper()
	keys, err := cluster.New(ns)
	check(t, err)
	key, err := keys.Key(name)
	check(t, err)
	// 0 measures all elements; the default takes samples.
	bytes, err := rdb.MemoryUsage(context.Background(), key, 0).Result()
	check(t, err)
	return bytes
}
