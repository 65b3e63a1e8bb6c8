package peers

import (
	"testing"

	"github.com/afex/hystrix-go/hystrix"
)

var hystrixPeer = peer{
	name: "hystrix-go",
	time: func(b *testing.B, _ int) protected {
		name := b.Name() // circuits are global to the process, by name
		hystrix.ConfigureCommand(name, hystrix.CommandConfig{
			Timeout:                int(openFor.Milliseconds()),
			MaxConcurrentRequests:  1 << 16, // calls release their slots after they have returned, under load long after
			RequestVolumeThreshold: minCalls,
			SleepWindow:            int(openFor.Milliseconds()),
			ErrorPercentThreshold:  rate * 100,
		})
		b.Cleanup(hystrix.Flush)
		return protected{
			succeed: func() error { return hystrix.Do(name, succeed, nil) },
			fail:    func() error { return hystrix.Do(name, fail, nil) },
		}
	},
}
