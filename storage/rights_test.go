package storage_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// everything lets a user do all there is.
const everything = "~* &* +@all"

// user makes a user of the server with these rights, and returns its client.
func user(t *testing.T, addr, rights string) *redis.Client {
	t.Helper()
	admin := redis.NewClient(&redis.Options{Addr: addr})
	defer admin.Close()
	args := []any{"acl", "setuser", "breaker", "reset", "on", ">secret"}
	for _, right := range strings.Fields(rights) {
		args = append(args, right)
	}
	must(t, admin.Do(ctx, args...).Err())
	rdb := redis.NewClient(&redis.Options{Addr: addr, Username: "breaker", Password: "secret"})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}
