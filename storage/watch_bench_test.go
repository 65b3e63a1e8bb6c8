package storage_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// BenchmarkWatch_latency measures how long it takes until another process has a trip,
// from before the report that makes it, and a bare PUBLISH in turn.
func BenchmarkWatch_latency(b *testing.B) {
	server := redistest.Start(b)
	o := *server.Client().Options()
	o.ContextTimeoutEnabled = true
	rdb := redis.NewClient(&o)
	b.Cleanup(func() { _ = rdb.Close() })
	active, _ := bind(b, newStorage(b, rdb), opensAtOnce)
	must(b, act(active, 1))
	delivered := make(chan struct{}, 1)
	watched := newStorage(b, server.Client(), storage.WithWatch())
	idle, err := watched.Bind(name, opensAtOnce, func(e engine.Event) {
		if e.Kind == engine.EventTransition {
			delivered <- struct{}{}
		}
	})
	must(b, err)
	eventually(b, "a baseline", func() bool { return idle.Status().Age >= 0 })
	eventually(b, "a subscription", func() bool { return subscribedNode(b, []*redistest.Server{server}, nil) == 0 })

	publisher := server.Client()
	bare := server.Client().Subscribe(ctx, "bare")
	defer bare.Close()
	_, err = bare.Receive(ctx)
	must(b, err)

	var seen, published []time.Duration
	for b.Loop() {
		must(b, act(active, 1))
		<-delivered
		ticket := acquire(b, active)
		start := time.Now()
		report(b, active, ticket, engine.Failure)
		<-delivered
		seen = append(seen, time.Since(start))

		start = time.Now()
		must(b, publisher.Publish(context.Background(), "bare", key+" 7 6 8 1795502821113 closed>open operator by=web-2").Err())
		_, err := bare.ReceiveMessage(ctx)
		must(b, err)
		published = append(published, time.Since(start))
	}
	for what, share := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		got, base := quantile(seen, share), quantile(published, share)
		b.ReportMetric(float64(got.Microseconds()), what+"-us")
		b.ReportMetric(float64(got)/float64(base), what+"/publish")
	}
	b.ReportMetric(0, "ns/op")
}

func quantile(list []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[int(share*float64(len(sorted)-1))]
}
