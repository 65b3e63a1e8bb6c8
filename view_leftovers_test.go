//go:build go1.25

package redbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// Each test here is for a mistake at an edge, named in its comment: when a view rests, when
// operations fail, when an epoch ends while a flush is in flight.

// Mistake: a view that rests forgets what it has sent, so that each pause makes the
// next outcomes go one by one again.
func TestView_quotaOutlivesRest(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(10_000, time.Millisecond, works)
		v.rest()
		v.store.takeSteps()
		v.call(200, time.Millisecond, works)
		if steps := v.store.takeSteps(); steps > 3 {
			v.Errorf("%d steps for 200 calls in 0.2 s, though 10 000 outcomes were sent in the last 20 s", steps)
		}
	})
}

// Mistake: while results fail, rejections are not published either, and an open circuit
// costs a step for each call.
func TestView_mutedRejectsLocally(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		other, storage := v.store.join(v.T, "b", streak)
		v.call(100, time.Millisecond, works)
		v.store.breaks(func(op string) error {
			if op == "swap" {
				return errStore
			}
			return nil
		})
		v.call(1, time.Second, dies)
		v.store.breaks(nil)
		control(v.T, other, redbreaker.Command{Action: redbreaker.ActionTrip})
		v.store.takeSteps()
		for range 1000 {
			wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
			time.Sleep(time.Millisecond)
		}
		if steps := v.store.takeSteps(); steps > 3 {
			v.Errorf("%d steps for 1000 rejected calls in 1 s, want one or two", steps)
		}
		other.Stop()
		closeAll(v.T, storage)
	})
}

// Mistake: the late reply to a flush that timed out clears the outcomes of the next one,
// of which its standing knows nothing.
func TestView_lateReplyOfAFlush(t *testing.T) {
	p := redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: 5 * time.Second}
	inView(t, p, func(v *viewTest) {
		v.call(100, 10*time.Millisecond, works)
		time.Sleep(200 * time.Millisecond) // the next failure is sent at once
		h := v.b.HandleForTest()
		asked, epoch := h.Now(), acquireTicket(v.T, v.b).Epoch
		v.store.slowDown(50 * time.Millisecond)
		v.call(1, 10*time.Millisecond, dies) // in flight
		late := engine.Batch{Results: []engine.Result{{Ticket: engine.Ticket{Epoch: epoch}, Runs: []engine.Run{{Outcome: redbreaker.Success, N: 1}}}}}
		v.b.ObserveForTest(engine.Observation{Batch: &late, Reply: &engine.Reply{Epoch: epoch, Standing: engine.Standing{Known: true}}, AskedNS: asked - 1})
		v.call(2, 0, dies)
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
	})
}

// Mistake: a report that waits for a flush of another goroutine is answered before that
// flush has ended, by the end of the epoch which its reply brings. Exactly the outcomes
// that the storage did not count are stale.
func TestView_staleIsExact(t *testing.T) {
	for round := range 50 {
		inView(t, streak, func(v *viewTest) {
			v.call(20, 10*time.Millisecond, works)
			time.Sleep(200 * time.Millisecond) // the next failure is sent at once
			tickets := make([]redbreaker.Ticket, 12)
			for i := range tickets {
				tickets[i] = acquireTicket(v.T, v.b)
			}
			v.store.slowDown(20 * time.Millisecond)
			var all sync.WaitGroup
			var mu sync.Mutex
			stale := 0
			for _, ticket := range tickets {
				all.Go(func() {
					was, err := v.b.HandleForTest().Report(ctx, ticket, redbreaker.Failure, 0, nil)
					if err != nil {
						v.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if was {
						stale++
					}
				})
			}
			all.Wait()
			// Of those that waited, the ones that did not count know it; others did not wait.
			if l := v.b.LedgerForTest(); int64(stale) > l.Stale || l.Applied != 25 || l.Applied+l.Stale != 32 {
				v.Errorf("round %d: %d reports returned stale, of %+v", round, stale, l)
			}
		})
	}
}

// Mistake: Shutdown does not wait for the views of breakers that the garbage collector
// has taken.
func TestRegistry_shutdownWaitsForCollected(t *testing.T) {
	s, release := newSharedStore(0), make(chan struct{})
	storage, err := cas.New(s, cas.WithTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: timed, Max: 1}, redbreaker.WithStorage(storage), redbreaker.WithMaxStaleness(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	holdOutcome(t, r, s, release)
	limit := time.Now().Add(20 * time.Second)
	for i := 0; !r.HasClosingForTest(); i++ {
		runtime.GC()
		if _, err := r.Get(fmt.Sprint("other", i)); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(limit) {
			t.Fatal("the breaker was not collected")
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for range 2 {
		if err := r.Shutdown(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown returns %v, though an outcome of a collected breaker is in flight", err)
		}
	}
	close(release)
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	closeAll(t, storage)
}

// holdOutcome makes a call whose outcome the store does not take until it is released.
func holdOutcome(t *testing.T, r *redbreaker.Registry, s *sharedStore, release chan struct{}) {
	t.Helper()
	b, err := r.Get("dep")
	if err != nil {
		t.Fatal(err)
	}
	p := acquire(t, b)
	s.breaks(func(op string) error {
		if op == "swap" {
			<-release
		}
		return nil
	})
	p.Success()
}
