package redbreaker_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// A closed and idle breaker takes at most 1 KB of heap, with everything that refers
// to it.
func TestBreaker_heap(t *testing.T) {
	const n = 800 // beyond 896 the maps double, which takes up to 25 B of each in either of them
	for name, open := range map[string]func() func(name string) (*redbreaker.Breaker, error){
		"one storage": func() func(string) (*redbreaker.Breaker, error) {
			m := engine.NewMemory()
			return func(name string) (*redbreaker.Breaker, error) {
				return redbreaker.New(name, redbreaker.Policy{}, redbreaker.WithStorage(m))
			}
		},
		"registry": func() func(string) (*redbreaker.Breaker, error) {
			r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			return r.Get
		},
	} {
		t.Run(name, func(t *testing.T) {
			get := open()
			list := make([]*redbreaker.Breaker, n)
			before := heap()
			for i := range list {
				var err error
				if list[i], err = get(strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
				if err := list[i].Do(t.Context(), func(context.Context) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			each := (heap() - before) / n
			if t.Logf("%d B", each); each > 1024 {
				t.Errorf("a breaker takes %d B, want at most 1024", each)
			}
			runtime.KeepAlive(get)
			runtime.KeepAlive(list)
		})
	}
}

// heap returns the bytes in use after a garbage collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
