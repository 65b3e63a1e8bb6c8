package peers

import (
	"testing"

	"github.com/redbreaker/redbreaker"
)

var redbreakerPeer = peer{
	name: "redbreaker",
	consecutive: func(b *testing.B, failures int) protected {
		return redbreakerBy(b, redbreaker.Policy{ConsecutiveFailures: failures})
	},
	count: func(b *testing.B, _ int) protected {
		return redbreakerBy(b, redbreaker.Policy{Window: redbreaker.Window{Calls: calls, FailureRate: rate, MinCalls: minCalls}})
	},
	time: func(b *testing.B, _ int) protected {
		return redbreakerBy(b, redbreaker.Policy{Window: redbreaker.Window{Period: period, FailureRate: rate, MinCalls: minCalls}})
	},
}

func redbreakerBy(b *testing.B, p redbreaker.Policy) protected {
	p.OpenFor = openFor
	breaker, err := redbreaker.New("bench", p)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(breaker.Stop)
	return protected{
		succeed: func() error { return breaker.Do(ctx, succeedCtx) },
		fail:    func() error { return breaker.Do(ctx, failCtx) },
	}
}
