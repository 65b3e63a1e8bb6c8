package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// dialects are the ways of a client that a storage must not notice.
var dialects = []redis.Options{
	{Protocol: 2},
	{Protocol: 3, ContextTimeoutEnabled: true},
	{Protocol: 3},
	{Protocol: 2, ContextTimeoutEnabled: true},
}

func TestRedis_conformanceOnMiniredis(t *testing.T) {
	eachDialect(t, dialects[:2], func(t *testing.T, o redis.Options) {
		storagetest.Run(t, func(t testing.TB) storagetest.Harness { return openMini(t, o) })
	})
}

func TestRedis_conformance(t *testing.T) {
	o := redis.Options{Addr: redistest.Addr(t)} // skips here, once, if there is no server
	eachDialect(t, dialects, func(t *testing.T, d redis.Options) {
		d.Addr = o.Addr
		storagetest.Run(t, func(t testing.TB) storagetest.Harness { return openRedis(t, d) })
	})
}

func eachDialect(t *testing.T, dialects []redis.Options, f func(*testing.T, redis.Options)) {
	for _, o := range dialects {
		name := fmt.Sprintf("RESP%d/ContextTimeoutEnabled=%v", o.Protocol, o.ContextTimeoutEnabled)
		t.Run(name, func(t *testing.T) { f(t, o) })
	}
}

// openMini gives a miniredis whose time the suite moves.
func openMini(t testing.TB, o redis.Options) storagetest.Harness {
	m := miniredis.RunT(t)
	o.Addr = m.Addr()
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	m.SetTime(now)
	h := harness(t, o, storage.DefaultNamespace)
	h.Advance = func(d time.Duration) {
		now = now.Add(d)
		m.SetTime(now)
		m.FastForward(d)
	}
	return h
}

// openRedis gives a part of the shared server.
func openRedis(t testing.TB, o redis.Options) storagetest.Harness {
	return harness(t, o, redistest.Namespace(t))
}

// harness gives two storages with a client each, as two processes have them. Their
// clients have the hooks.
// Their time bound is far above what any call takes: no test is about speed.
func harness(t testing.TB, o redis.Options, namespace string, hooks ...redis.Hook) storagetest.Harness {
	o.ReadTimeout = 20 * time.Second // the largest batch takes seconds where the race detector runs
	open := func(reporter string) *storage.Redis {
		rdb := redis.NewClient(&o)
		for _, h := range hooks {
			rdb.AddHook(h)
		}
		t.Cleanup(func() { rdb.Close() })
		s, err := storage.NewRedis(rdb, storage.WithNamespace(namespace), storage.WithReporter(reporter), storage.WithTimeout(20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	keys, err := cluster.New(namespace)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&o)
	t.Cleanup(func() { rdb.Close() })
	onKey := func(name string, f func(key string) error) {
		key, err := keys.Key(name)
		if err == nil {
			err = f(key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return storagetest.Harness{
		A: open("web-1"), B: open("web-2"),
		Lose: func(name string) {
			onKey(name, func(key string) error { return rdb.Del(t.Context(), key).Err() })
		},
		Corrupt: func(name, field, text string) {
			onKey(name, func(key string) error { return rdb.HSet(t.Context(), key, field, text).Err() })
		},
		Reporters: true,
		Expires:   true,
	}
}
