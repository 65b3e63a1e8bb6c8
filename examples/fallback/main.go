// Command fallback shows what a service goes through when its Redis dies and
// comes back: the calls do not notice, a dependency that fails meanwhile still
// trips the circuit of this process, and the fleet's circuit is back afterwards.
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
	// The guard asks Redis again after a while, at a call; then the shared record
	// wins: the fleet's circuit never opened.
	for ctx, cancel := context.WithTimeout(ctx, 20*time.Second); ; {
		defer cancel()
		err := payments.Do(ctx, works)
		select {
		case <-back:
			fmt.Println("the circuit is", payments.State())
			return nil
		case <-time.After(20 * time.Millisecond):
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no answer from Redis yet: %w", errors.Join(ctx.Err(), err))
		}
	}
}
