// Command redis shares a breaker through Redis: what one replica sees fail, the
// other no longer calls.
//
//	go run ./redis                          # on an embedded miniredis
//	REDIS_URL=redis://localhost go run ./redis
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "redis:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		m, err := miniredis.Run()
		if err != nil {
			return err
		}
		defer m.Close()
		url = "redis://" + m.Addr()
	}
	// Two replicas of a service would each do this.
	one, err := newReplica(ctx, url)
	if err != nil {
		return err
	}
	defer one.close()
	two, err := newReplica(ctx, url)
	if err != nil {
		return err
	}
	defer two.close()

	// Reset what an earlier run has left, as an operator would for the whole fleet.
	if _, err := one.payments.Control(ctx, redbreaker.Command{Action: redbreaker.ActionReset, Actor: "example"}); err != nil {
		return err
	}
	for range 5 {
		_ = one.payments.Do(ctx, func(context.Context) error { return errors.New("gateway timeout") })
	}
	fmt.Println("replica one saw 5 calls fail")
	err = two.payments.Do(ctx, func(context.Context) error { return errors.New("must not be called") })
	if !errors.Is(err, redbreaker.ErrRejected) {
		return fmt.Errorf("replica two got %w", err)
	}
	fmt.Println("replica two does not even try: the circuit is", two.payments.State())

	snapshot, err := two.payments.Inspect(ctx)
	if err != nil {
		return err
	}
	last := snapshot.Log[len(snapshot.Log)-1]
	fmt.Printf("why: %v > %v (%s)\n", last.From, last.To, last.Cause)
	return nil
}

// replica holds what a service keeps for its lifetime.
type replica struct {
	rdb      redis.UniversalClient
	store    *storage.Redis
	payments *redbreaker.Breaker
}

func newReplica(ctx context.Context, url string) (*replica, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.ContextTimeoutEnabled = true // gives up on a reply at the timeout
	rdb := redis.NewClient(options)
	store, err := storage.NewRedis(rdb, storage.WithNamespace("example"))
	if err != nil {
		return nil, err
	}
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 5, OpenFor: time.Minute}, redbreaker.WithStorage(store))
	if err != nil {
		return nil, err
	}
	// New uses no network. Ping fails now if the password is wrong.
	return &replica{rdb, store, payments}, payments.Ping(ctx)
}

// close ends the parts in the order of their dependencies.
func (r *replica) close() {
	r.payments.Stop()
	_ = r.store.Close()
	_ = r.rdb.Close()
}
