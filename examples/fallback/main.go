// Command fallback runs a service whose Redis dies and comes back: calls still pass
// meanwhile, a dependency that fails trips the circuit of this process, and afterwards
// the fleet's circuit decides again.
//
//	go run ./fallback
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
		fmt.Fprintln(os.Stderr, "fallback:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	server, err := miniredis.Run()
	if err != nil {
		return err
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	defer rdb.Close()
	store, err := storage.NewRedis(rdb)
	if err != nil {
		return err
	}
	defer store.Close()

	back := make(chan struct{}, 1)
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: time.Minute},
		redbreaker.WithStorage(store),
		redbreaker.WithFallback(redbreaker.FallbackLocal), // the default; see also FallbackAllow and FallbackDeny
		redbreaker.WithHooks(redbreaker.Hooks{
			OnDegraded: func(redbreaker.Event) { fmt.Println("hook: Redis does not answer") },
			OnRestored: func(e redbreaker.Event) {
				fmt.Printf("hook: Redis is back; meanwhile %d calls were admitted and %d rejected here\n", e.Admitted, e.Rejected)
				back <- struct{}{}
			},
		}))
	if err != nil {
		return err
	}
	defer payments.Stop()

	works := func(context.Context) error { return nil }
	fails := func(context.Context) error { return errors.New("gateway timeout") }

	fmt.Println("Redis is up:", payments.Do(ctx, works))
	server.Close()
	fmt.Println("Redis is down:", payments.Do(ctx, works))
	for range 3 {
		_ = payments.Do(ctx, fails)
	}
	err = payments.Do(ctx, works)
	fmt.Println("3 calls failed since, the next is rejected:", errors.Is(err, redbreaker.ErrRejected))

	if err := server.Restart(); err != nil {
		return err
	}
	// The guard sends a trial to Redis after a pause, when a call comes. Then the
	// shared record decides again: the fleet's circuit never opened.
	if err := callUntil(ctx, payments, back); err != nil {
		return err
	}
	fmt.Println("the circuit is", payments.State())
	return nil
}

// callUntil makes calls until back, for at most 20 seconds.
func callUntil(ctx context.Context, b *redbreaker.Breaker, back <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := b.Do(ctx, func(context.Context) error { return nil })
		select {
		case <-back:
			return nil
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no answer from Redis: %w", errors.Join(ctx.Err(), err))
		}
	}
}
