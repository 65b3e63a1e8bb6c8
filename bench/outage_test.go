package bench

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// BenchmarkOutage measures calls of 256 goroutines while the shared Redis is healthy,
// takes a second to answer, swallows packets, or refuses connections: processor time
// of this process for a call, the 99th percentile, and the lines that the breaker and
// its client log. The goroutines work for a millisecond between two calls, as services
// do, so that all runs make calls at the same rate.
func BenchmarkOutage(b *testing.B) {
	b.Run("redis=healthy", func(b *testing.B) { outage(b, faultproxy.Pass()) })
	b.Run("redis=slow", func(b *testing.B) { outage(b, faultproxy.Delay(500*time.Millisecond)) })
	b.Run("redis=blackholed", func(b *testing.B) { outage(b, faultproxy.Blackhole()) })
	b.Run("redis=refusing", func(b *testing.B) { outage(b, faultproxy.Refuse()) })
}

func outage(b *testing.B, fault faultproxy.Fault) {
	proxy := faultproxy.Start(b, redistest.Addr(b))
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr(), ContextTimeoutEnabled: true, PoolSize: 32})
	defer rdb.Close()
	store, err := storage.NewRedis(rdb, storage.WithNamespace(redistest.Namespace(b)))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	var log, clients lines
	redis.SetLogger(&clients)
	breaker, err := redbreaker.New("bench", redbreaker.Policy{}, redbreaker.WithStorage(store),
		redbreaker.WithHooks(redbreaker.LogHooks(slog.New(slog.NewTextHandler(&log, nil)))))
	if err != nil {
		b.Fatal(err)
	}
	defer breaker.Stop()
	_ = breaker.Do(ctx, succeed)
	proxy.Set(fault)
	_ = breaker.Do(ctx, succeed)

	const goroutines = 256
	took := make([][]time.Duration, goroutines)
	before := processorTime()
	b.ResetTimer()
	var all sync.WaitGroup
	for g := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for range b.N {
				start := time.Now()
				_ = breaker.Do(ctx, succeed)
				took[g] = append(took[g], time.Since(start))
				time.Sleep(time.Millisecond)
			}
		}()
	}
	all.Wait()
	b.StopTimer()
	spent := processorTime() - before
	every := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(spent.Nanoseconds())/float64(len(every)), "cpu-ns/call")
	b.ReportMetric(float64(every[len(every)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(every[len(every)-1].Milliseconds()), "max-ms")
	b.ReportMetric(float64(log.count()), "log-lines")
	b.ReportMetric(float64(clients.count()), "client-log-lines")
	b.ReportMetric(0, "ns/op") // with the pauses it means nothing
	proxy.Set(faultproxy.Pass())
}

// processorTime returns the processor time that this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// lines counts log lines. It is also a logger of go-redis.
type lines struct {
	mu sync.Mutex
	n  int
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

// Printf is called for each line.
func (l *lines) Printf(context.Context, string, ...any) { _, _ = l.Write([]byte("\n")) }

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}
