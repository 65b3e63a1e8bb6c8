package storage_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// Breakers with a bounded staleness on a real server: what a view decides, and what the
// record then holds. The view itself is tested in the root package.

// newView returns a breaker whose view may be d old.
func newView(t *testing.T, rdb redis.UniversalClient, p engine.Policy, d time.Duration, opts ...storage.Option) (*redbreaker.Breaker, *storage.Redis) {
	t.Helper()
	s := newStorage(t, rdb, append(opts, storage.WithTimeout(20*time.Second))...)
	b, err := redbreaker.New(name, p, redbreaker.WithStorage(s), redbreaker.WithMaxStaleness(d))
	must(t, err)
	t.Cleanup(b.Stop)
	return b, s
}

var errDown = errors.New("dependency is down")

// Every outcome reaches the record, once.
func TestView_countsExactly(t *testing.T) {
	for kind, p := range map[string]engine.Policy{
		"time window":  {Window: engine.Window{Period: time.Hour, FailureRate: 1}},
		"count window": {Window: engine.Window{Calls: 10_000, FailureRate: 1}},
	} {
		t.Run(kind, func(t *testing.T) {
			b, s := newView(t, redistest.Client(t), p, 20*time.Millisecond, storage.WithNamespace(redistest.Namespace(t)))
			var failed atomic.Int64
			var all sync.WaitGroup
			for g := range 8 {
				all.Add(1)
				go func() {
					defer all.Done()
					for i := range 5000 {
						err := b.Do(ctx, func(context.Context) error {
							if (i+g)%50 == 0 {
								return errDown
							}
							return nil
						})
						if err != nil {
							failed.Add(1)
						}
						if err != nil && !errors.Is(err, errDown) {
							t.Error(err)
						}
					}
				}()
			}
			all.Wait()
			must(t, b.Shutdown(ctx))
			snapshot := inspect(t, s)
			if kind == "count window" {
				if snapshot.Calls != 10_000 {
					t.Errorf("the window holds %d calls, want 10 000", snapshot.Calls)
				}
				return
			}
			if snapshot.Calls != 40_000 || snapshot.Failures != failed.Load() {
				t.Errorf("the record has %d calls and %d failures, want 40 000 and %d", snapshot.Calls, snapshot.Failures, failed.Load())
			}
		})
	}
}

// A process that trips the circuit is rejected at its next call, and so is another one
// after d.
func TestView_trips(t *testing.T) {
	rdb := redistest.Client(t)
	p := engine.Policy{ConsecutiveFailures: 5, OpenFor: time.Minute}
	namespace := storage.WithNamespace(redistest.Namespace(t))
	a, _ := newView(t, rdb, p, 100*time.Millisecond, namespace)
	b, _ := newView(t, rdb, p, 100*time.Millisecond, namespace)
	for range 100 {
		must(t, a.Do(ctx, func(context.Context) error { return nil }))
		must(t, b.Do(ctx, func(context.Context) error { return nil }))
	}
	for range 5 {
		_ = a.Do(ctx, func(context.Context) error { return errDown })
	}
	if err := a.Do(ctx, func(context.Context) error { return nil }); !errors.Is(err, engine.ErrRejected) {
		t.Errorf("the process that tripped gets %v, want a rejection", err)
	}
	// After d, and after the delay with which a busy machine runs the timer.
	eventually(t, "a rejection of the other process", func() bool {
		return errors.Is(b.Do(ctx, func(context.Context) error { return nil }), engine.ErrRejected)
	})
}

// A pushed transition ends the view long before d.
func TestView_push(t *testing.T) {
	rdb := redistest.Client(t)
	p := engine.Policy{OpenFor: 5 * time.Minute}
	namespace := storage.WithNamespace(redistest.Namespace(t))
	b, _ := newView(t, rdb, p, 2*time.Minute, namespace, storage.WithWatch())
	other := newStorage(t, rdb, namespace)
	succeed := func() error { return b.Do(ctx, func(context.Context) error { return nil }) }
	for range 100 {
		must(t, succeed())
	}
	_, err := other.Control(ctx, name, engine.Command{Action: engine.ActionTrip, For: time.Minute})
	must(t, err)
	// The view would be renewed after 52 s at the earliest.
	eventually(t, "a rejection", func() bool { return errors.Is(succeed(), engine.ErrRejected) })
}
