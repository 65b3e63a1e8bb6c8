package cas_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// The guard and the fallback work over a custom store as they do over Redis: an
// outage costs a few calls, a local breaker decides meanwhile, and the shared
// record wins afterwards.
func TestCAS_guardAndFallback(t *testing.T) {
	var down atomic.Bool
	var asked atomic.Int64
	s := &wrapped{memStore: newMemStore()}
	s.load = func(ctx context.Context, name string) ([]byte, int64, error) {
		if down.Load() {
			asked.Add(1)
			return nil, 0, errors.New("down")
		}
		return s.memStore.Load(ctx, name)
	}
	restored := make(chan redbreaker.Event, 1)
	b, err := redbreaker.New(name, redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: time.Hour},
		redbreaker.WithStorage(newCAS(t, s)),
		redbreaker.WithHooks(redbreaker.Hooks{
			OnDegraded: func(redbreaker.Event) {},
			OnRestored: func(e redbreaker.Event) { restored <- e },
		}))
	must(t, err)
	defer b.Stop()
	works := func(context.Context) error { return nil }
	must(t, b.Do(ctx, works))

	down.Store(true)
	for range 100 {
		must(t, b.Do(ctx, works))
	}
	if n := asked.Load(); n > 10 {
		t.Errorf("the store was asked %d times while it was down", n)
	}
	if !b.Status().Degraded {
		t.Error("not degraded")
	}
	for range 3 {
		_ = b.Do(ctx, func(context.Context) error { return errors.New("gateway timeout") })
	}
	if err := b.Do(ctx, works); !errors.Is(err, redbreaker.ErrRejected) {
		t.Errorf("the local breaker let it through: %v", err)
	}
	_, err = b.Inspect(ctx)
	wantClass(t, err, engine.ClassNotExecuted, "inspect")

	down.Store(false)
	waitFor(t, func() bool {
		_ = b.Do(ctx, works)
		return len(restored) > 0
	})
	if e := <-restored; e.Rejected == 0 || e.Outage == 0 {
		t.Errorf("%+v", e)
	}
	if got := b.State(); got != engine.StateClosed {
		t.Errorf("the shared record has not won: %v", got)
	}
}
