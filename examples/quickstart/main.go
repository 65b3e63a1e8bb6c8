// Command quickstart is the quick start of the README: one call behind a breaker
// that a fleet shares through Redis. Without a Redis it works too, on the
// fallback, and logs so.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

func main() {
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                 []string{"localhost:6379"},
		ContextTimeoutEnabled: true, // gives up on a reply at the timeout
		DialerRetries:         1,    // errors then name the last dial error
	})
	store, err := storage.NewRedis(rdb, storage.WithNamespace("shop"))
	if err != nil {
		log.Fatal(err)
	}
	payments, err := redbreaker.New("payments", redbreaker.Policy{
		ConsecutiveFailures: 5,
		OpenFor:             time.Minute,
	}, redbreaker.WithStorage(store))
	if err != nil {
		log.Fatal(err)
	}

	err = payments.Do(context.Background(), charge)
	var rejected *redbreaker.RejectedError
	if errors.As(err, &rejected) {
		fmt.Println("payments are down, retry in", rejected.RetryAfter())
		return
	}
	fmt.Println("charged:", err)
}

// charge is your call to the dependency.
func charge(ctx context.Context) error { return ctx.Err() }
