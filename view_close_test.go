//go:build go1.25

package redbreaker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// Mistake: a view whose flush is dropped by the storage's Close waits for a worker that
// never comes, so that its handle is never closed.
func TestView_droppedFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore(time.Millisecond)
		storage, err := cas.New(s)
		if err != nil {
			t.Fatal(err)
		}
		permits, breakers := make([]*redbreaker.Permit, 200), make([]*redbreaker.Breaker, 200)
		for i := range breakers {
			b, err := redbreaker.New(fmt.Sprint("dep", i), timed, redbreaker.WithStorage(storage), redbreaker.WithMaxStaleness(time.Second), redbreaker.WithHooks(quietHooks))
			if err != nil {
				t.Fatal(err)
			}
			breakers[i], permits[i] = b, acquire(t, b)
		}
		s.slowDown(time.Hour)
		for _, p := range permits {
			p.Success() // 32 flushes are in flight, the others are queued
		}
		closeAll(t, storage)
		s.slowDown(time.Millisecond)
		for i, b := range breakers {
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			if err := b.Shutdown(limited); err != nil {
				t.Fatalf("breaker %d: %v, though the storage is closed", i, err)
			}
			cancel()
		}
	})
}

// Mistake: a decision whose task does not wait while the storage closes, because it is
// planned just then, lives on.
func TestView_closeWhilePlanning(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(100, time.Millisecond, works)
		v.b.CancelTaskForTest()
		closeAll(v.T, v.storage)
		v.b.HandleForTest().(engine.Scheduled).Run() // as the scheduler does with a task that is planned late
		if v.b.AnswersForTest() {
			v.Error("the view decides after the storage was closed")
		}
	})
}
