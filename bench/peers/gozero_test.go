package peers

import (
	"testing"

	"github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"
)

// go-zero logs processor statistics, which would disturb the measurement.
func init() { logx.Disable() }

var gozeroPeer = peer{
	name: "go-zero",
	time: func(*testing.B, int) protected {
		breaker := breaker.NewBreaker()
		return protected{
			succeed: func() error { return breaker.Do(succeed) },
			fail:    func() error { return breaker.Do(fail) },
		}
	},
}
