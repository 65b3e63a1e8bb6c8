package peers

import (
	"testing"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// failsafePeer acquires permits and records results; failsafeRunPeer executes through
// a policy, which costs much more.
var (
	failsafePeer    = failsafeAs("failsafe-go", askAndRecord)
	failsafeRunPeer = failsafeAs("failsafe-go-run", runThrough)
)

func failsafeAs(name string, use func(circuitbreaker.Builder[any]) protected) peer {
	return peer{
		name: name,
		consecutive: func(_ *testing.B, failures int) protected {
			// It keeps a bit for each call of the window.
			return use(circuitbreaker.NewBuilder[any]().WithFailureThreshold(uint(min(failures, calls))))
		},
		count: func(*testing.B, int) protected {
			return use(circuitbreaker.NewBuilder[any]().WithFailureThresholdRatio(rate*calls, calls))
		},
		time: func(*testing.B, int) protected {
			return use(circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(rate, minCalls, period))
		},
	}
}

func askAndRecord(with circuitbreaker.Builder[any]) protected {
	breaker := with.WithDelay(openFor).Build()
	call := func(f func() error) error {
		if !breaker.TryAcquirePermit() {
			return errRejected
		}
		err := f()
		if err != nil {
			breaker.RecordFailure()
		} else {
			breaker.RecordSuccess()
		}
		return err
	}
	return protected{
		succeed: func() error { return call(succeed) },
		fail:    func() error { return call(fail) },
	}
}

func runThrough(with circuitbreaker.Builder[any]) protected {
	executor := failsafe.With(with.WithDelay(openFor).Build())
	return protected{
		succeed: func() error { return executor.Run(succeed) },
		fail:    func() error { return executor.Run(fail) },
	}
}
