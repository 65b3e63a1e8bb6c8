//go:build go1.25

package bench

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage"
)

// BenchmarkWatchBubble measures the real time of an hour that a process watches in a
// testing/synctest bubble, without anything happening.
func BenchmarkWatchBubble(b *testing.B) {
	took := time.Duration(0)
	for range repeats * b.N {
		// A bubble needs a T.
		if !testing.RunTests(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{
			Name: "hour", F: func(t *testing.T) { synctest.Test(t, func(t *testing.T) { took += idleHour(t) }) },
		}}) {
			b.Fatal("the bubble failed")
		}
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(repeats*b.N), "hour-ns")
	b.ReportMetric(0, "ns/op")
}

// idleHour returns how much processor time an hour took.
func idleHour(t *testing.T) time.Duration {
	m := miniredis.NewMiniRedis()
	defer time.Sleep(time.Minute) // go-redis dials on for a while after its Close
	defer m.Close()
	client := redis.NewClient(&redis.Options{Addr: "192.0.2.1:6379", Dialer: func(context.Context, string, string) (net.Conn, error) {
		return m.Dial()
	}})
	defer client.Close()
	store, err := storage.NewRedis(client, storage.WithWatch())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Bind(tripped, engine.Policy{}, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	before := processorTime()
	time.Sleep(time.Hour)
	return processorTime() - before
}
