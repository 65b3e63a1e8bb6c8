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

// The windows, where there are windows.
const (
	calls    = 1000
	period   = 10 * time.Second
	buckets  = 10
	rate     = 0.5
	minCalls = 10

	openFor = time.Hour
)

// peer is a library, with the rules that it knows. Each makes a breaker that
// opens after so many failures in a row, or by its window.
type peer struct {
	name                     string
	consecutive, count, time func(b *testing.B, failures int) protected
}

// protected is one breaker around two calls, in the library's own words so that
// nothing is added to them. Both return [errDown] if the call was made and failed.
type protected struct {
	succeed, fail func() error
}

var peers = []peer{
	redbreakerPeer, gobreakerPeer, failsafePeer, failsafeRunPeer, resiliencyPeer, mercariPeer,
	rubyistPeer, bytedancePeer, cep21Peer, gozeroPeer, aegisPeer, hystrixPeer, // the last leaves goroutines behind
}

// BenchmarkPeers is what a call costs that a breaker in process protects.
func BenchmarkPeers(b *testing.B) {
	for _, p := range peers {
		b.Run("breaker="+p.name, func(b *testing.B) {
			byRule(b, "consecutive", p.consecutive)
			byRule(b, "count", p.count)
			byRule(b, "time", p.time)
		})
	}
}

// byRule measures the paths of one rule, if the peer knows it.
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

// closed measures calls that are all made, of which every so many'th fails.
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
	// What rejects by chance may have had bad luck; what has opened rejects most.
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

// exhaust makes calls fail until a hundred in a row are rejected: one is not
// enough where chance decides.
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

// together makes b.N calls on n goroutines. run makes a share of them; first is
// for each goroutine another number.
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
	errRejected = errors.New("rejected") // by a breaker that only says no
)

// The calls that are protected, in the forms in which libraries take them.

func succeed() error { return nil }
func fail() error    { return errDown }

func succeedCtx(context.Context) error { return nil }
func failCtx(context.Context) error    { return errDown }

func succeedValue() (int, error) { return 0, nil }
func failValue() (int, error)    { return 0, errDown }

func succeedAny() (any, error) { return nil, nil }
func failAny() (any, error)    { return nil, errDown }
