package peers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/internal/redistest"
)

// fleet is a group of callers that share one breaker through Redis.
type fleet struct {
	b    *testing.B
	addr string
	name string // of the breaker, and the prefix of its keys

	failures int           // in a row that open the circuit
	openFor  time.Duration // how long it stays open

	callers []protected
	// recorded returns the number of failures in the shared state.
	recorded func() int64

	made  atomic.Int64 // calls that were made
	trips atomic.Int64 // round trips to Redis
}

// sharers are the ways in which callers may share one breaker.
var sharers = []struct {
	name string
	join func(f *fleet, callers int)
}{
	{"gobreaker", joinGobreaker},
	{"redbreaker", joinRedbreaker},
	{"redbreaker-process", joinRedbreakerProcess},
}

// BenchmarkShared measures a call that a shared breaker protects, and the share of
// failures that the shared state loses.
func BenchmarkShared(b *testing.B) {
	addr := redistest.Addr(b)
	for _, breaker := range sharers {
		for _, path := range []string{"success", "failures"} {
			for _, n := range []int{1, 8, 64, 256} {
				b.Run(fmt.Sprintf("breaker=%s/path=%s/goroutines=%d", breaker.name, path, n), func(b *testing.B) {
					f := &fleet{b: b, addr: addr, name: redistest.Namespace(b), failures: never, openFor: openFor}
					breaker.join(f, n)
					f.measure(path == "failures")
				})
			}
		}
	}
}

// measure lets the fleet call and reports the metrics.
func (f *fleet) measure(failing bool) {
	took := make([][]time.Duration, len(f.callers))
	commands := f.commands()
	f.trips.Store(0)
	var all sync.WaitGroup
	f.b.ResetTimer()
	for g, c := range f.callers {
		call := c.succeed
		if failing {
			call = c.fail
		}
		all.Go(func() { took[g] = timed(call, (f.b.N+g)/len(f.callers)) })
	}
	all.Wait()
	f.b.StopTimer()
	commands = f.commands() - commands

	every := slices.Sorted(slices.Values(slices.Concat(took...)))
	calls, made := float64(f.b.N), float64(f.made.Load())
	f.b.ReportMetric(0, "ns/op") // with many callers at once it means nothing
	f.b.ReportMetric(made/f.b.Elapsed().Seconds(), "calls/s")
	f.b.ReportMetric(float64(every[len(every)/2]), "p50-ns")
	f.b.ReportMetric(float64(every[len(every)*99/100]), "p99-ns")
	f.b.ReportMetric(float64(commands)/calls, "commands/call")
	f.b.ReportMetric(float64(f.trips.Load())/calls, "round-trips/call")
	f.b.ReportMetric(100*(calls-made)/calls, "gave-up-%")
	if failing && made > 0 {
		f.b.ReportMetric(100*(made-float64(f.recorded()))/made, "lost-failures-%")
	}
}

// timed makes n calls and returns their durations. It ignores errors: calls that were
// not made are missing from the count of calls that were.
func timed(call func() error, n int) []time.Duration {
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		_ = call()
		took[i] = time.Since(start)
	}
	return took
}

// commands returns the number of commands that the server has executed, including those
// of scripts, without the INFO of this function.
func (f *fleet) commands() int64 {
	info, err := redistest.Client(f.b).Info(ctx, "commandstats").Result()
	if err != nil {
		f.b.Fatal(err)
	}
	var sum int64
	for line := range strings.Lines(info) {
		name, stat, ok := strings.Cut(line, ":calls=")
		if !ok || name == "cmdstat_info" || name == "cmdstat_ping" || name == "cmdstat_hello" || strings.HasPrefix(name, "cmdstat_client") {
			continue
		}
		var calls int64
		if _, err := fmt.Sscanf(stat, "%d,", &calls); err != nil {
			f.b.Fatalf("%q: %v", line, err)
		}
		sum += calls
	}
	return sum
}

// client returns a client of one caller that counts round trips.
func (f *fleet) client() *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: f.addr, ContextTimeoutEnabled: true})
	rdb.AddHook(counter{&f.trips})
	f.b.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// counter counts the round trips of a client.
type counter struct{ trips *atomic.Int64 }

func (counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.trips.Add(1)
		return next(ctx, cmd)
	}
}

func (c counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.trips.Add(1)
		return next(ctx, cmds)
	}
}
