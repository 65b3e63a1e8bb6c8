package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
	"github.com/redbreaker/redbreaker/storage"
)

// envRedis names the Redis where --redis does not.
const envRedis = "REDBREAKER_REDIS"

// connection is the Redis that an operator's command works on.
type connection struct {
	redis     string
	namespace string
	timeout   time.Duration
}

func (c *connection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.redis, "redis", "", "Redis as host:port or URL; more nodes of a cluster as ?addr=host:port (default $"+envRedis+" or redis://127.0.0.1:6379)")
	f.StringVar(&c.namespace, "namespace", storage.DefaultNamespace, "namespace of the breaker")
	f.DurationVar(&c.timeout, "timeout", 2*time.Second, "how long to wait for the Redis")
}

// with opens the storage for the time of f.
func (c *connection) with(ctx context.Context, f func(*storage.Redis) error) error {
	t, err := target.Parse(cmp.Or(c.redis, os.Getenv(envRedis), "redis://127.0.0.1:6379"))
	if err != nil {
		return err
	}
	client := t.Client()
	defer client.Close()
	store, err := storage.NewRedis(client, storage.WithNamespace(c.namespace), storage.WithTimeout(c.timeout))
	if err != nil {
		return err
	}
	defer store.Close()
	return explain(better(ctx, store, f(store)), t, c.namespace)
}

// better asks the server what is wrong where an operation failed: the error of
// a ping says best what to change. Whether the operation was carried out, only
// its own error knows.
func better(ctx context.Context, store *storage.Redis, err error) error {
	var failure, why *redbreaker.StorageError
	if errors.As(err, &failure) && failure.Class != redbreaker.ClassForeign && errors.As(store.Ping(ctx), &why) {
		clearer := *failure
		clearer.Err = why.Err
		return &clearer
	}
	return err
}
