package peers

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkFloor measures the operations that make up the peers' costs.
func BenchmarkFloor(b *testing.B) {
	start := time.Now()
	var ran atomic.Int64
	var mu sync.Mutex
	var held int
	for _, floor := range []struct {
		do string
		f  func() error
	}{
		{"nothing", succeed},
		{"two_adds", func() error { ran.Add(1); ran.Add(1); return nil }},
		{"load_add", func() error {
			if ran.Load() >= 0 {
				ran.Add(1)
			}
			return nil
		}},
		{"mutex", func() error {
			mu.Lock()
			held++
			mu.Unlock()
			return nil
		}},
		{"now", func() error { _ = time.Now(); return nil }},
		{"since", func() error { _ = time.Since(start); return nil }},
	} {
		for _, n := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("do=%s/goroutines=%d", floor.do, n), func(b *testing.B) {
				closed(b, n, protected{succeed: floor.f}, never)
			})
		}
	}
}
