package storage_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

// Many goroutines on many breakers, while the servers lose their scripts: every
// failure that was reported as counted is in its record, and none twice.
func TestLoad(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		rdb := redistest.Start(t).Client()
		load(t, rdb, func() { _ = rdb.ScriptFlush(ctx).Err() })
	})
	t.Run("cluster", func(t *testing.T) {
		var addrs []string
		for _, s := range redistest.StartCluster(t, 3) {
			addrs = append(addrs, s.Addr())
		}
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = rdb.Close() })
		load(t, rdb, func() {
			_ = rdb.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.ScriptFlush(ctx).Err() })
		})
	})
}

func load(t *testing.T, rdb redis.UniversalClient, disturb func()) {
	const breakers, goroutines, each = 60, 128, 30
	sent := &shares{}
	rdb.AddHook(sent)
	s := newStorage(t, rdb)
	handles := make([]engine.Handle, breakers)
	for i := range handles {
		h, err := s.Bind(fmt.Sprint(name, i), neverOpens, nil)
		must(t, err)
		handles[i] = h
	}
	var counted [breakers]atomic.Int64
	var all sync.WaitGroup
	for g := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := range each {
				i := (g + n) % breakers
				report(inGoroutine(t), handles[i], acquire(inGoroutine(t), handles[i]), engine.Failure)
				counted[i].Add(1)
				if n%10 == 9 && g == 0 {
					disturb()
				}
			}
		}()
	}
	all.Wait()
	for i := range handles {
		snapshot, err := s.Inspect(ctx, fmt.Sprint(name, i))
		must(t, err)
		if snapshot.Streak != counted[i].Load() {
			t.Errorf("breaker %d counts %d failures, want %d", i, snapshot.Streak, counted[i].Load())
		}
	}
	const decisions = 2 * goroutines * each
	t.Logf("%d decisions took %d script calls in %d pipelines and %d alone", decisions, sent.scripts.Load(), sent.pipelines.Load(), sent.alone.Load())
	if sent.pipelines.Load() == 0 || sent.scripts.Load() >= decisions {
		t.Errorf("nothing was shared: %d decisions took %d script calls, %d pipelines", decisions, sent.scripts.Load(), sent.pipelines.Load())
	}
}

// shares counts in how many ways a client's script calls left.
type shares struct{ scripts, alone, pipelines atomic.Int64 }

func (s *shares) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *shares) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			s.scripts.Add(1)
			s.alone.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (s *shares) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		s.pipelines.Add(1)
		s.scripts.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}
