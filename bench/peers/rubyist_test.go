package peers

import (
	"testing"

	"github.com/cenk/backoff"
	"github.com/rubyist/circuitbreaker"
)

var rubyistPeer = peer{
	name: "rubyist",
	consecutive: func(_ *testing.B, failures int) protected {
		return rubyistBy(circuit.ConsecutiveTripFunc(int64(failures)))
	},
	time: func(*testing.B, int) protected {
		return rubyistBy(circuit.RateTripFunc(rate, minCalls))
	},
}

func rubyistBy(trips circuit.TripFunc) protected {
	breaker := circuit.NewBreakerWithOptions(&circuit.Options{
		ShouldTrip:    trips,
		BackOff:       backoff.NewConstantBackOff(openFor),
		WindowTime:    period,
		WindowBuckets: buckets,
	})
	return protected{
		succeed: func() error { return breaker.Call(succeed, 0) },
		fail:    func() error { return breaker.Call(fail, 0) },
	}
}
