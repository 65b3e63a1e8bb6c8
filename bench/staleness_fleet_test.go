package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// fleetTime is how long the fleets of BenchmarkStalenessFleet make calls.
const fleetTime = 500 * time.Millisecond

// BenchmarkStalenessFleet measures one breaker that a fleet shares, by the number of its
// processes and the share of their calls that fails: in strict mode, through views, and as
// one EVALSHA of "return 1" for each decision, which nothing can be cheaper than that asks
// a script. A process is a storage with a client of its own; all of them share the
// processors of the benchmark. They make calls without a pause from 64 goroutines, or from
// one each if they are more.
func BenchmarkStalenessFleet(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("processes=%d/failing=0/mode=evalsha", n), func(b *testing.B) {
			s, clients := startFleet(b, n)
			load(b, s.client)
			key := keys(b, 1)[0]
			s.reportFleet(b, func() int64 { return askFor(b, clients, key, fleetTime) })
		})
		for _, every := range []int{0, 100, 10, 2} {
			for _, mode := range modes {
				b.Run(fmt.Sprintf("processes=%d/failing=%s/mode=%s", n, shareOf(every), mode.name), func(b *testing.B) {
					s, clients := startFleet(b, n)
					breakers := fleetBreakers(b, clients, mode.d)
					callFor(b, breakers, 300*time.Millisecond, every) // see warmUp
					s.reportFleet(b, func() int64 { return callFor(b, breakers, fleetTime, every) })
				})
			}
		}
	}
}

// startFleet starts a server and makes a client for each process.
func startFleet(b *testing.B, processes int) (*site, []redis.UniversalClient) {
	b.Helper()
	s := startRedis(b)
	clients := make([]redis.UniversalClient, processes)
	for i := range clients {
		client := connect(redistest.Addr(b))
		b.Cleanup(func() { client.Close() })
		must(b, client.Ping(ctx).Err())
		clients[i] = client
	}
	return s, clients
}

// fleetBreakers makes the breaker of each process.
func fleetBreakers(b *testing.B, clients []redis.UniversalClient, d time.Duration) []*redbreaker.Breaker {
	b.Helper()
	namespace := redistest.Namespace(b)
	list := make([]*redbreaker.Breaker, len(clients))
	for i, client := range clients {
		store, err := storage.NewRedis(client, storage.WithNamespace(namespace), storage.WithTimeout(ample))
		must(b, err)
		b.Cleanup(func() { store.Close() })
		list[i], err = redbreaker.New(fleetName, unbiased, redbreaker.WithStorage(store),
			redbreaker.WithFallback(redbreaker.FallbackDeny), redbreaker.WithMaxStaleness(d))
		must(b, err)
		b.Cleanup(list[i].Stop)
		must(b, touch(list[i]))
	}
	return list
}

// reportFleet reports the rate of the calls that run makes, and of the server's steps.
func (s *site) reportFleet(b *testing.B, run func() int64) {
	b.Helper()
	before := s.work(b)
	b.ResetTimer()
	var calls int64
	for range b.N {
		calls += run()
	}
	b.StopTimer()
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(calls)/seconds, "calls/s")
	b.ReportMetric(s.work(b).since(before).calls/seconds, "steps/s")
	b.ReportMetric(0, "ns/op")
}

// askFor sends two EVALSHA for each call, and returns the number of calls.
func askFor(b *testing.B, clients []redis.UniversalClient, key string, length time.Duration) int64 {
	b.Helper()
	var calls atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for g := range max(64, len(clients)) {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				for range 2 {
					if err := askNothing(clients[g%len(clients)], key); err != nil {
						failed.Store(&err)
						return
					}
				}
				calls.Add(1)
			}
		}()
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return calls.Load()
}
