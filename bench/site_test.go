package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// connections is the size of every client's pool for each server. Plain commands of a
// thousand goroutines were no faster over a larger pool.
const connections = 64

// ample replaces every timeout: the benchmarks measure how long calls wait, so no
// call may give up.
const ample = time.Minute

// site is the storage of the breakers and the servers whose work is counted.
type site struct {
	client  redis.UniversalClient // nil: in memory
	servers []*redis.Client       // empty: no work is counted
}

// storages are the sites by the name of their storage. The shared ones start a server
// or skip the benchmark.
var storages = []struct {
	name  string
	start func(b *testing.B) *site
}{
	{"memory", startMemory},
	{"miniredis", startMini},
	{"redis", startRedis},
	{"cluster", startCluster},
}

func startMemory(*testing.B) *site { return &site{} }

func startMini(b *testing.B) *site {
	m, _ := redistest.Mini(b)
	return newSite(b, m.Addr())
}

func startRedis(b *testing.B) *site {
	s := newSite(b, redistest.Addr(b))
	s.servers = []*redis.Client{redistest.Client(b)}
	return s
}

func startCluster(b *testing.B) *site {
	masters := redistest.StartCluster(b, 3)
	addrs := make([]string, len(masters))
	for i, m := range masters {
		addrs[i] = m.Addr()
	}
	s := newSite(b, addrs...)
	for _, m := range masters {
		s.servers = append(s.servers, m.Client())
	}
	return s
}

// newSite connects as the quick start does, and opens all connections of the pool.
func newSite(b *testing.B, addrs ...string) *site {
	client := connect(addrs...)
	b.Cleanup(func() { client.Close() })
	var err error
	switch c := client.(type) {
	case *redis.Client:
		err = fill(ctx, c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, fill)
	}
	must(b, err)
	return &site{client: client}
}

func connect(addrs ...string) redis.UniversalClient {
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: addrs, ContextTimeoutEnabled: true,
		PoolSize: connections, PoolTimeout: ample, ReadTimeout: ample, WriteTimeout: ample,
	})
}

// fill opens all connections of the pool.
func fill(ctx context.Context, c *redis.Client) error {
	for range connections {
		conn := c.Conn() // holds one connection until it is closed
		defer conn.Close()
		if err := conn.Ping(ctx).Err(); err != nil {
			return err
		}
	}
	return nil
}

// options returns the options of breakers in a new namespace. A storage error becomes
// a rejection with reason unavailable, which fails a run.
func (s *site) options(b *testing.B) []redbreaker.Option {
	b.Helper()
	opts := []redbreaker.Option{
		redbreaker.WithFallback(redbreaker.FallbackDeny),
		redbreaker.WithClassifier(redbreaker.Ignore(errMoot)),
	}
	if s.client == nil {
		return opts
	}
	store, err := storage.NewRedis(s.client, storage.WithNamespace(redistest.Namespace(b)), storage.WithTimeout(ample))
	must(b, err)
	b.Cleanup(func() { store.Close() })
	return append(opts, redbreaker.WithStorage(store))
}

// breakers makes n new breakers and their records.
func (s *site) breakers(b *testing.B, n int, p redbreaker.Policy) []*redbreaker.Breaker {
	b.Helper()
	opts := s.options(b)
	list := make([]*redbreaker.Breaker, n)
	for i := range list {
		var err error
		list[i], err = redbreaker.New(fmt.Sprintf("breaker-%d", i), p, opts...)
		must(b, err)
	}
	b.Cleanup(func() {
		for _, breaker := range list {
			breaker.Stop()
		}
	})
	must(b, spread(n, func(i int) error { return touch(list[i]) }))
	return list
}

// touch makes the record of a breaker.
func touch(breaker *redbreaker.Breaker) error {
	permit, err := breaker.Acquire(ctx)
	permit.Ignore()
	return err
}

// spread runs f for each number below n on several goroutines, and returns the errors
// of those that failed.
func spread(n int, f func(i int) error) error {
	next := make(chan int)
	failed := make(chan error, connections)
	for range connections {
		go func() {
			var err error
			for i := range next {
				if err == nil {
					err = f(i)
				}
			}
			failed <- err
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var err error
	for range connections {
		err = errors.Join(err, <-failed)
	}
	return err
}

// work is the number and time of commands, as the servers count them.
type work struct{ calls, micros float64 }

func (w work) since(before work) work { return work{w.calls - before.calls, w.micros - before.micros} }

// work returns the work of the servers for scripts and pings so far.
func (s *site) work(b *testing.B) (sum work) {
	b.Helper()
	for _, server := range s.servers {
		info, err := server.Info(ctx, "commandstats").Result()
		must(b, err)
		for _, command := range []string{"evalsha", "eval", "ping"} {
			_, stat, _ := strings.Cut(info, "cmdstat_"+command+":")
			sum.calls += field(stat, "calls=")
			sum.micros += field(stat, "usec=")
		}
	}
	return sum
}

// field returns the number after a name in a line of INFO; 0 if the name is missing.
func field(stat, name string) float64 {
	_, rest, _ := strings.Cut(stat, name)
	n, _ := strconv.ParseFloat(rest[:max(0, strings.IndexAny(rest, ",\r\n"))], 64)
	return n
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
