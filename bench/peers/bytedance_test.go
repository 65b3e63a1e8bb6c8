package peers

import (
	"testing"

	"github.com/bytedance/gopkg/cloud/circuitbreaker"
)

var bytedancePeer = peer{
	name: "bytedance",
	consecutive: func(b *testing.B, failures int) protected {
		return bytedanceBy(b, circuitbreaker.ConsecutiveTripFunc(int64(failures)))
	},
	time: func(b *testing.B, _ int) protected {
		return bytedanceBy(b, circuitbreaker.RateTripFunc(rate, minCalls))
	},
}

func bytedanceBy(b *testing.B, trips circuitbreaker.TripFunc) protected {
	panel, err := circuitbreaker.NewPanel(nil, circuitbreaker.Options{
		ShouldTrip:     trips,
		BucketTime:     period / 100, // the fewest that it accepts
		BucketNums:     100,
		CoolingTimeout: openFor,
		EnableShardP:   true,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(panel.Close)
	call := func(f func() error) error {
		if !panel.IsAllowed("bench") {
			return errRejected
		}
		err := f()
		if err != nil {
			panel.Fail("bench")
		} else {
			panel.Succeed("bench")
		}
		return err
	}
	return protected{
		succeed: func() error { return call(succeed) },
		fail:    func() error { return call(fail) },
	}
}
