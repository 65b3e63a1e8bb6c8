package peers

import (
	"testing"

	"github.com/sony/gobreaker/v2"
)

var gobreakerPeer = peer{
	name: "gobreaker",
	consecutive: func(_ *testing.B, failures int) protected {
		return gobreakerBy(gobreaker.Settings{ReadyToTrip: inARow(failures)})
	},
	time: func(*testing.B, int) protected {
		return gobreakerBy(gobreaker.Settings{Interval: period, BucketPeriod: period / buckets, ReadyToTrip: halfOfWindow})
	},
}

func inARow(failures int) func(gobreaker.Counts) bool {
	return func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(failures) }
}

func halfOfWindow(c gobreaker.Counts) bool {
	return c.Requests >= minCalls && float64(c.TotalFailures) >= rate*float64(c.Requests)
}

func gobreakerBy(s gobreaker.Settings) protected {
	s.Timeout = openFor
	breaker := gobreaker.NewCircuitBreaker[int](s)
	return protected{
		succeed: func() error { _, err := breaker.Execute(succeedValue); return err },
		fail:    func() error { _, err := breaker.Execute(failValue); return err },
	}
}
