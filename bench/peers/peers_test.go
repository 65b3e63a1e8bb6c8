package peers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// never is more failures in a row than any benchmark makes.
const never = 1e9

// The windows of the rules that have one.
const (
	calls    = 1000
	period   = 10 * time.Second
	buckets  = 10
	rate     = 0.5
	minCalls = 10

	openFor = time.Hour
)

// peer is a library and the rules that it offers. Each rule makes a breaker that opens
// after a number of failures in a row, or by its window.
type peer struct {
	name                     string
	consecutive, count, time func(b *testing.B, failures int) protected
}

// protected is one breaker around two calls, written directly against the library so
// that no wrapper adds cost. Both return [errDown] if the call was made and failed.
type protected struct {
	succeed, fail func() error
}

var peers = []peer{
	redbreakerPeer, gobreakerPeer, failsafePeer, failsafeRunPeer, resiliencyPeer, mercariPeer,
	rubyistPeer, bytedancePeer, cep21Peer, gozeroPeer, aegisPeer, hystrixPeer, // last, since it leaves goroutines behind
}

// BenchmarkPeers measures a call that an in-process breaker protects.
func BenchmarkPeers(b *testing.B) {
	for _, p := range peers {
		b.Run("breaker="+p.name, func(b *testing.B) {
			byRule(b, "consecutive", p.consecutive)
			byRule(b, "count", p.count)
			byRule(b, "time", p.time)
		})
	}
}

// byRule measures the paths of one rule, if the peer has it.
func byRule(b *testing.B, rule string, breaker func(*testing.B, int) protected) {
	if breaker == nil {
		return
	}
	for _, path := range []struct {
		name string
		run  func(b *testing.B, goroutines int)
	}{
		{"success", func(b *testing.B, n int) { closed(b, n, breaker(b, never), never) }},
		{"failures", func(b *testing.B, n int) { closed(b, n, breaker(b, never), 100) }},
		{"rejected", func(b *testing.B, n int) { open(b, n, breaker(b, 5)) }},
	} {
		for _, n := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("rule=%s/path=%s/goroutines=%d", rule, path.name, n), func(b *testing.B) { path.run(b, n) })
		}
	}
}

// closed measures calls on a closed breaker, one in every of which fails.
func closed(b *testing.B, goroutines int, p protected, every int) {
	var rejections atomic.Int64
	together(b, goroutines, func(first, share int) {
		rejected := int64(0)
		for i := first + 1; i <= first+share; i++ {
			call := p.succeed
			if i%every == 0 {
				call = p.fail
			}
			if err := call(); err != nil && !errors.Is(err, errDown) {
				rejected++
			}
		}
		rejections.Add(rejected)
	})
	// A peer that rejects by chance may reject a few calls; an open one rejects most.
	if n := rejections.Load(); n > int64(b.N/100) {
		b.Fatalf("%d of %d calls were rejected, and none was to be", n, b.N)
	}
}

// open measures calls on a breaker that has opened.
func open(b *testing.B, goroutines int, p protected) {
	exhaust(b, p)
	var rejections atomic.Int64
	together(b, goroutines, func(_, share int) {
		rejected := int64(0)
		for range share {
			if !errors.Is(p.fail(), errDown) {
				rejected++
			}
		}
		rejections.Add(rejected)
	})
	b.ReportMetric(100*float64(rejections.Load())/float64(b.N), "rejected-%")
}

// exhaust makes calls fail until a hundred in a row are rejected; a single rejection
// may be chance.
func exhaust(b *testing.B, p protected) {
	b.Helper()
	row := 0
	for range 100_000 {
		if errors.Is(p.fail(), errDown) {
			row = 0
		} else if row++; row == 100 {
			return
		}
	}
	b.Fatal("the breaker does not open")
}

// together makes b.N calls on n goroutines. run makes a share of them; first differs
// for each goroutine.
func together(b *testing.B, n int, run func(first, share int)) {
	b.Helper()
	b.ReportAllocs()
	var all sync.WaitGroup
	b.ResetTimer()
	for g := range n {
		all.Go(func() { run(g, (b.N+g)/n) })
	}
	all.Wait()
	b.StopTimer()
}

var ctx = context.Background()

var (
	errDown     = errors.New("down")
	errRejected = errors.New("rejected") // by a breaker that returns only a bool
)

// The protected calls, in the forms that the libraries accept.

func succeed() error { return nil }
func fail() error    { return errDown }

func succeedCtx(context.Context) error { return nil }
func failCtx(context.Context) error    { return errDown }

func succeedValue() (int, error) { return 0, nil }
func failValue() (int, error)    { return 0, errDown }

func succeedAny() (any, error) { return nil, nil }
func failAny() (any, error)    { return nil, errDown }
