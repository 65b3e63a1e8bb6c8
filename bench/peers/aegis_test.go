package peers

import (
	"testing"

	"github.com/go-kratos/aegis/circuitbreaker/sre"
)

var aegisPeer = peer{
	name: "aegis",
	time: func(*testing.B, int) protected {
		breaker := sre.NewBreaker(sre.WithSuccess(rate), sre.WithRequest(minCalls), sre.WithWindow(period), sre.WithBucket(buckets))
		call := func(f func() error) error {
			if err := breaker.Allow(); err != nil {
				breaker.MarkFailed() // as kratos does, which keeps the circuit open
				return err
			}
			err := f()
			if err != nil {
				breaker.MarkFailed()
			} else {
				breaker.MarkSuccess()
			}
			return err
		}
		return protected{
			succeed: func() error { return call(succeed) },
			fail:    func() error { return call(fail) },
		}
	},
}
