package storage_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// Ping of a storage that watches hears itself.
func TestPing_hearsItself(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		must(t, newStorage(t, rdb, storage.WithWatch()).Ping(ctx))
		must(t, newStorage(t, rdb, storage.WithWatch(), storage.WithColocation("tag")).Ping(ctx))
	})
}

// Ping names what keeps a storage from watching.
func TestPing_cannotWatch(t *testing.T) {
	server := redistest.Start(t)
	s := newStorage(t, user(t, server.Addr(), leastRights), storage.WithWatch())
	wantSays(t, wantClass(t, s.Ping(ctx), engine.ClassRefused, "ping"), "may not run SUBSCRIBE")
	must(t, newStorage(t, user(t, server.Addr(), leastRights)).Ping(ctx))

	prefixed := open(t, &redis.Options{Addr: server.Addr()})
	prefixed.AddHook(prefixHook{"tenant1:"})
	s = newStorage(t, prefixed, storage.WithWatch(), storage.WithTimeout(time.Second))
	wantSays(t, wantClass(t, s.Ping(ctx), engine.ClassRefused, "ping"), "is not received here")
}

// Ping of a ring asks each shard: whether the user may do all, and whether it receives
// what it publishes.
func TestPing_ring(t *testing.T) {
	addrs := map[string]string{}
	servers := map[string]*redis.Client{}
	for _, shard := range []string{"a", "b", "c"} {
		server := redistest.Start(t)
		addrs[shard], servers[shard] = server.Addr(), server.Client()
		user(t, server.Addr(), leastRights+" "+watchRights)
	}
	rdb := redis.NewRing(&redis.RingOptions{Addrs: addrs, Username: "breaker", Password: "secret"})
	t.Cleanup(func() { _ = rdb.Close() })
	watched := newStorage(t, rdb, storage.WithWatch())
	must(t, watched.Ping(ctx))
	must(t, newStorage(t, rdb, storage.WithWatch(), storage.WithColocation("tag")).Ping(ctx))
	for shard, admin := range servers {
		must(t, admin.Do(ctx, "acl", "setuser", "breaker", "-hset").Err())
		wantSays(t, wantClass(t, newStorage(t, rdb).Ping(ctx), engine.ClassRefused, "ping"), "may not run HSET")
		must(t, admin.Do(ctx, "acl", "setuser", "breaker", "+hset", "-subscribe").Err())
		must(t, newStorage(t, rdb).Ping(ctx))
		if err := watched.Ping(ctx); err == nil {
			t.Errorf("shard %s refuses SUBSCRIBE, and Ping finds nothing", shard)
		} else {
			wantSays(t, wantClass(t, err, engine.ClassRefused, "ping"), "may not run SUBSCRIBE")
		}
		must(t, admin.Do(ctx, "acl", "setuser", "breaker", "+subscribe").Err())
	}
	must(t, watched.Ping(ctx))
}

// prefixHook puts a prefix before the key of each command, as tenants' clients do.
type prefixHook struct{ prefix string }

func (h prefixHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h prefixHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.rewrite(cmd)
		return next(ctx, cmd)
	}
}

func (h prefixHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			h.rewrite(cmd)
		}
		return next(ctx, cmds)
	}
}

func (h prefixHook) rewrite(cmd redis.Cmder) {
	args := cmd.Args()
	place, hasKey := map[string]int{"evalsha": 3, "eval": 3, "hget": 1}[cmd.Name()]
	if hasKey && !strings.HasPrefix(args[place].(string), h.prefix) {
		args[place] = h.prefix + args[place].(string)
	}
}
