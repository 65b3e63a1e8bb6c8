package engine_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// TestMemory_heap bounds the heap of a handle and its record, closed and quiet: so
// that a breaker takes less than 1 KB besides the content of its window.
func TestMemory_heap(t *testing.T) {
	// Many, so that a few KB which other tests leave behind do not matter.
	const n = 5000
	for name, test := range map[string]struct {
		window engine.Window
		most   uint64
	}{
		"consecutive": {most: 800},
		"count":       {window: engine.Window{Calls: 100, FailureRate: 0.5}, most: 800 + 2*100},
		"time":        {window: engine.Window{Period: time.Hour, FailureRate: 0.5}, most: 800 + 320},
	} {
		t.Run(name, func(t *testing.T) {
			m := engine.NewMemory()
			handles := make([]engine.Handle, n)
			names := make([]string, n)
			for i := range names {
				names[i] = strconv.Itoa(i)
			}
			before := heapBytes()
			for i := range handles {
				handles[i], _ = m.Bind(names[i], engine.Policy{Window: test.window}, nil)
				for range 200 {
					ticket, _ := handles[i].Acquire(context.Background())
					_, _ = handles[i].Report(context.Background(), ticket, engine.Success, 0, nil)
				}
			}
			each := (heapBytes() - before) / n
			if t.Logf("%d B", each); each > test.most {
				t.Errorf("a breaker takes %d B, want at most %d", each, test.most)
			}
			runtime.KeepAlive(handles)
			runtime.KeepAlive(names)
		})
	}
}

// heapBytes returns the heap in use after a collection.
func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
