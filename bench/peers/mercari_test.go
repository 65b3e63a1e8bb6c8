package peers

import (
	"testing"

	"github.com/mercari/go-circuitbreaker"
)

var mercariPeer = peer{
	name: "mercari",
	consecutive: func(_ *testing.B, failures int) protected {
		return mercariBy(circuitbreaker.NewTripFuncConsecutiveFailures(int64(failures)))
	},
	time: func(*testing.B, int) protected {
		return mercariBy(circuitbreaker.NewTripFuncFailureRate(minCalls, rate))
	},
}

func mercariBy(trips circuitbreaker.TripFunc) protected {
	breaker := circuitbreaker.New(
		circuitbreaker.WithTripFunc(trips),
		circuitbreaker.WithCounterResetInterval(period),
		circuitbreaker.WithOpenTimeout(openFor),
	)
	return protected{
		succeed: func() error { _, err := breaker.Do(ctx, succeedAny); return err },
		fail:    func() error { _, err := breaker.Do(ctx, failAny); return err },
	}
}
