//go:build go1.25

package redbreaker_test

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage/cas"
)

var manyBreakers = flag.Int("breakers", 2000, "breakers of the registry of TestView_manyBreakers")

// A registry's breakers share one timer and some dozens of goroutines while all are in
// use. They own nothing once they are idle, and nothing is left after Close.
func TestView_manyBreakers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := goroutines()
		s := newSharedStore(time.Millisecond)
		storage, err := cas.New(s)
		if err != nil {
			t.Fatal(err)
		}
		const d, callers = 10 * time.Second, 64
		p := redbreaker.Policy{Window: redbreaker.Window{Period: 10 * d, FailureRate: 0.5}}
		r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: p, Max: *manyBreakers}, redbreaker.WithStorage(storage), redbreaker.WithMaxStaleness(d))
		if err != nil {
			t.Fatal(err)
		}
		for round := range 5 {
			// At a rate at which each view is used again before it is renewed.
			most, began := callEach(t, r, callers), time.Now()
			// Two for each caller and each of 32 flushes, since package cas has another one for
			// a step, and as many again that have ended their work and not their stack.
			if limit := 2 * (2*callers + 2*32); most-own > limit {
				t.Errorf("%d goroutines, want at most %d", most-own, limit)
			}
			steps := s.takeSteps()
			t.Logf("round %d: at most %d goroutines, %d steps for %d calls", round, most-own, steps, *manyBreakers)
			if steps > 2**manyBreakers {
				t.Errorf("%d steps for %d calls, want at most 2 a call", steps, *manyBreakers)
			}
			time.Sleep(time.Until(began.Add(d / 4)))
		}
		time.Sleep(10 * d)
		synctest.Wait()
		for name, b := range r.All() {
			if !b.RestsForTest() {
				t.Fatalf("%s is not at rest", name)
			}
		}
		s.takeSteps()
		time.Sleep(time.Hour)
		if steps := s.takeSteps(); steps > 0 || goroutines() > own {
			t.Errorf("idle for an hour: %d steps, %d goroutines more than before", steps, goroutines()-own)
		}
		callEach(t, r, callers)
		if err := r.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		closeAll(t, storage)
		synctest.Wait()
		if n := goroutines() - own; n > 0 {
			t.Errorf("%d goroutines are left after Close", n)
		}
	})
}

// callEach makes a call through each breaker of the registry, from some goroutines, and
// returns the most goroutines that there were.
func callEach(t *testing.T, r *redbreaker.Registry, callers int) (most int) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	for c := range callers {
		all.Go(func() {
			for i := c; i < *manyBreakers; i += callers {
				b, err := r.Get(fmt.Sprint("dep", i))
				if err == nil {
					err = b.Do(ctx, succeed)
				}
				if err != nil {
					t.Error(err)
				}
				n := goroutines()
				mu.Lock()
				most = max(most, n)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return most
}
