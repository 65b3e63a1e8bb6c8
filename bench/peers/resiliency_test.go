package peers

import (
	"testing"

	"github.com/eapache/go-resiliency/breaker"
)

var resiliencyPeer = peer{
	name: "go-resiliency",
	consecutive: func(_ *testing.B, failures int) protected {
		breaker := breaker.New(failures, 1, openFor)
		return protected{
			succeed: func() error { return breaker.Run(succeed) },
			fail:    func() error { return breaker.Run(fail) },
		}
	},
}
