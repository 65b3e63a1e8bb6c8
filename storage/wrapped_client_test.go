package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// tracer is a client that wraps another one, as tools for tracing do.
type tracer struct{ redis.UniversalClient }

// openTracer has a method that returns it.
type openTracer struct{ tracer }

func (w openTracer) Unwrap() redis.UniversalClient { return w.UniversalClient }

// A wrapper does not hide the cluster: each master has a guard of its own, so that
// the death of one leaves the breakers of the others alone.
func TestWrappedClient_cluster(t *testing.T) {
	for what, wrap := range map[string]func(redis.UniversalClient) (redis.UniversalClient, []storage.Option){
		"Unwrap": func(c redis.UniversalClient) (redis.UniversalClient, []storage.Option) {
			return openTracer{tracer{c}}, nil
		},
		"Unwrap twice": func(c redis.UniversalClient) (redis.UniversalClient, []storage.Option) {
			return openTracer{tracer{openTracer{tracer{c}}}}, nil
		},
		"WithUnderlying": func(c redis.UniversalClient) (redis.UniversalClient, []storage.Option) {
			return tracer{c}, []storage.Option{storage.WithUnderlying(c)}
		},
	} {
		t.Run(what, func(t *testing.T) {
			servers := redistest.StartCluster(t, 3)
			c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{servers[0].Addr()}, ContextTimeoutEnabled: true, MaxRedirects: 2, PoolSize: 1000})
			t.Cleanup(func() { _ = c.Close() })
			client, opts := wrap(c)
			s := newStorage(t, client, append(opts, storage.WithTimeout(5*time.Second))...)
			wantGuardsApart(t, s, 30, func() { servers[2].Kill() })
		})
	}
}

// A ring's shard that is dead keeps the breakers of the others neither from their
// servers nor from InspectMany.
func TestRing(t *testing.T) {
	addrs := map[string]string{}
	var servers []*miniredis.Miniredis
	for i := range 3 {
		m := miniredis.RunT(t)
		servers = append(servers, m)
		addrs[fmt.Sprint("shard", i)] = m.Addr()
	}
	// The ring finds out by itself that a shard is down, and then moves its keys; until
	// then the guard must.
	ring := redis.NewRing(&redis.RingOptions{Addrs: addrs, HeartbeatFrequency: time.Hour, MaxRetries: -1, DialerRetries: 1, PoolSize: 1000})
	t.Cleanup(func() { _ = ring.Close() })
	s := newStorage(t, ring, storage.WithTimeout(5*time.Second))
	wantGuardsApart(t, s, 30, servers[1].Close)
}

// wantGuardsApart wants breakers on servers that live to be answered, each call of
// them, while those of a dead one are kept from it; InspectMany too.
func wantGuardsApart(t *testing.T, s *storage.Redis, n int, kill func()) {
	t.Helper()
	handles, names := make([]engine.Handle, n), make([]string, n)
	for i := range n {
		names[i] = fmt.Sprint(name, i)
		var err error
		handles[i], err = s.Bind(names[i], neverOpens, nil)
		must(t, err)
		acquire(t, handles[i])
	}
	kill()
	dead := map[int]bool{}
	for round := range 8 {
		for i, h := range handles {
			_, err := h.Acquire(ctx)
			switch {
			case err != nil && round == 0:
				dead[i] = true
			case err != nil && !dead[i]:
				t.Fatalf("round %d: a breaker on a server that lives got %v", round, err)
			}
		}
	}
	if len(dead) < n/10 || len(dead) > n*9/10 {
		t.Fatalf("%d of %d breakers are on the dead server", len(dead), n)
	}
	snapshots, err := s.InspectMany(ctx, names)
	if err == nil || len(snapshots) != n {
		t.Fatalf("InspectMany: %d snapshots, %v", len(snapshots), err)
	}
	for i, snapshot := range snapshots {
		if snapshot.Exists == dead[i] {
			t.Errorf("InspectMany of %s, whose server is dead: %v: exists %v", names[i], dead[i], snapshot.Exists)
		}
	}
}
