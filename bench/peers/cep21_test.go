package peers

import (
	"testing"

	"github.com/cep21/circuit/v4"
	"github.com/cep21/circuit/v4/closers/hystrix"
	"github.com/cep21/circuit/v4/closers/simplelogic"
)

var cep21Peer = peer{
	name: "cep21",
	consecutive: func(_ *testing.B, failures int) protected {
		return cep21By(simplelogic.ConsecutiveErrOpenerFactory(simplelogic.ConfigConsecutiveErrOpener{ErrorThreshold: int64(failures)}))
	},
	time: func(*testing.B, int) protected {
		return cep21By(hystrix.OpenerFactory(hystrix.ConfigureOpener{
			ErrorThresholdPercentage: rate * 100,
			RequestVolumeThreshold:   minCalls,
			RollingDuration:          period,
			NumBuckets:               buckets,
		}))
	},
}

func cep21By(opener func() circuit.ClosedToOpen) protected {
	breaker := circuit.NewCircuitFromConfig("bench", circuit.Config{
		General: circuit.GeneralConfig{
			ClosedToOpenFactory: opener,
			OpenToClosedFactory: hystrix.CloserFactory(hystrix.ConfigureCloser{SleepWindow: openFor}),
		},
		Execution: circuit.ExecutionConfig{Timeout: -1, MaxConcurrentRequests: -1},
	})
	return protected{
		succeed: func() error { return breaker.Run(ctx, succeedCtx) },
		fail:    func() error { return breaker.Run(ctx, failCtx) },
	}
}
