// Command inprocess protects a call with a breaker that lives in this process:
// no storage, no network, nothing but the root package.
//
//	go run ./inprocess
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redbreaker/redbreaker"
)

func main() {
	down := true
	charge := func(context.Context) error {
		if down {
			return errors.New("gateway timeout")
		}
		return nil
	}

	payments, err := redbreaker.New("payments", redbreaker.Policy{
		ConsecutiveFailures: 3,
		OpenFor:             100 * time.Millisecond,
	})
	if err != nil {
		panic(err) // a bad policy, with all of its faults
	}
	defer payments.Stop()

	ctx := context.Background()
	for i := range 5 {
		err := payments.Do(ctx, charge)
		var rejected *redbreaker.RejectedError
		if errors.As(err, &rejected) {
			fmt.Printf("call %d: not made, the circuit is %v\n", i+1, rejected.State)
			continue
		}
		fmt.Printf("call %d: %v\n", i+1, err)
	}

	down = false
	time.Sleep(payments.Status().RetryAfter)
	fmt.Printf("call 6: %v, the circuit is %v\n", payments.Do(ctx, charge), payments.State())
}
