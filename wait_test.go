//go:build go1.25

package redbreaker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// bubbleStore is a storage on the clock of the bubble. It is not an *engine.Memory,
// so that Wait has to read it, and counts these reads.
type bubbleStore struct {
	*engine.Memory
	fails    atomic.Pointer[redbreaker.StorageError]
	readOnly atomic.Bool // it takes no results
	inspects int
}

func (s *bubbleStore) Inspect(ctx context.Context, name string) (redbreaker.Snapshot, error) {
	s.inspects++
	if err := s.fails.Load(); err != nil {
		return redbreaker.Snapshot{}, err
	}
	return s.Memory.Inspect(ctx, name)
}

func (s *bubbleStore) Bind(name string, p redbreaker.Policy, sink func(redbreaker.Event)) (engine.Handle, error) {
	h, err := s.Memory.Bind(name, p, sink)
	return &bubbleHandle{h, s}, err
}

type bubbleHandle struct {
	engine.Handle
	s *bubbleStore
}

func (h *bubbleHandle) Acquire(ctx context.Context) (redbreaker.Ticket, error) {
	if err := h.s.fails.Load(); err != nil {
		return redbreaker.Ticket{}, err
	}
	return h.Handle.Acquire(ctx)
}

func (h *bubbleHandle) Report(ctx context.Context, t redbreaker.Ticket, o redbreaker.Outcome, at int64, d *engine.Detail) (bool, error) {
	if h.s.readOnly.Load() {
		return false, readOnly("report")
	}
	return h.Handle.Report(ctx, t, o, at, d)
}

// took returns how long Wait took.
func took(t *testing.T, b *redbreaker.Breaker) time.Duration {
	t.Helper()
	start := time.Now()
	if err := b.Wait(ctx); err != nil {
		t.Fatalf("Wait: %v", err)
	}
	return time.Since(start)
}

func wantTook(t *testing.T, b *redbreaker.Breaker, want time.Duration) {
	t.Helper()
	if got := took(t, b); got != want {
		t.Errorf("Wait took %v, want %v", got, want)
	}
}

func TestWait_inMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 1, HalfOpen: redbreaker.HalfOpen{Lease: 7 * time.Second}})
		wantTook(t, b, 0) // it knows nothing yet
		_ = b.Do(ctx, fail)
		wantTook(t, b, time.Minute)
		probe := acquire(t, b)
		if d := took(t, b); d == 0 || d > 7*time.Second {
			t.Errorf("while the probe holds the only slot, Wait took %v, want at most the lease", d)
		}
		probe.Success()
		wantTook(t, b, 0)
		control(t, b, redbreaker.Command{Action: redbreaker.ActionForceOpen, For: 12 * time.Second})
		wantTook(t, b, 12*time.Second)
		_ = b.Do(ctx, fail)
		control(t, b, redbreaker.Command{Action: redbreaker.ActionShadow})
		wantTook(t, b, 0)
	})
}

func TestWait_endsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, opensAtOnce)
		_ = b.Do(ctx, fail)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := b.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if err := b.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with an ended context: %v", err)
		}
		time.AfterFunc(3*time.Second, b.Stop)
		if err := b.Wait(ctx); err != redbreaker.ErrStopped {
			t.Errorf("stopped while it waits: %v", err)
		}
		if err := b.Wait(ctx); err != redbreaker.ErrStopped {
			t.Errorf("after Stop: %v", err)
		}
	})
}

// Another process may end the open period early: Wait sees it within 5 s.
func TestWait_readsTheStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &bubbleStore{Memory: engine.NewMemory()}
		b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
		other := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
		_ = b.Do(ctx, succeed)
		wantTook(t, b, 0)
		if store.inspects != 0 {
			t.Errorf("%d reads of a circuit that is known as closed, want 0", store.inspects)
		}
		_ = b.Do(ctx, fail)
		wantTook(t, b, time.Minute)
		if store.inspects > 14 {
			t.Errorf("%d reads in a minute, want one in 5 s", store.inspects)
		}
		_ = b.Do(ctx, fail)
		controlAfter(t, 11*time.Second, other, redbreaker.ActionReset)
		wantTook(t, b, 15*time.Second)

		// Until released: there is no end to wait for.
		control(t, b, redbreaker.Command{Action: redbreaker.ActionForceOpen})
		controlAfter(t, time.Hour+time.Second, other, redbreaker.ActionRelease)
		wantTook(t, b, time.Hour+5*time.Second)
	})
}

// controlAfter applies a command to b after d.
func controlAfter(t *testing.T, d time.Duration, b *redbreaker.Breaker, a redbreaker.Action) {
	time.AfterFunc(d, func() {
		if _, err := b.Control(ctx, redbreaker.Command{Action: a}); err != nil {
			t.Errorf("Control(%v): %v", a, err)
		}
	})
}

// While the storage fails, Wait waits as the fallback rejects.
func TestWait_inAnOutage(t *testing.T) {
	for kind, want := range map[redbreaker.Fallback]time.Duration{
		redbreaker.FallbackAllow: 0,
		redbreaker.FallbackDeny:  35 * time.Second, // the first look after the storage is back
		redbreaker.FallbackLocal: time.Minute,      // the local breaker opened
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &bubbleStore{Memory: engine.NewMemory()}
			b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithFallback(kind),
				redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: func(redbreaker.Event) {}, OnRestored: func(redbreaker.Event) {}}))
			store.fails.Store(unreachable("acquire"))
			_ = b.Do(ctx, fail)
			if kind == redbreaker.FallbackDeny {
				time.AfterFunc(31*time.Second, func() { store.fails.Store(nil) })
			}
			wantTook(t, b, want)
		})
	}
}

// A storage that takes no results says closed while the local breaker rejects. A
// consumer that calls Wait after each rejection must not spin.
func TestWait_resultsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &bubbleStore{Memory: engine.NewMemory()}
		b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
		store.readOnly.Store(true)
		_ = b.Do(ctx, fail) // its result is refused
		_ = b.Do(ctx, fail) // counts locally, and opens the local breaker
		wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
		wantTook(t, b, time.Second) // then a result is tried again
		trial := acquire(t, b)
		wantRejected(t, b.Do(ctx, succeed), redbreaker.ReasonOpen)
		wantTook(t, b, time.Second) // while one call tries it, the others wait
		store.readOnly.Store(false)
		trial.Success()
		wantTook(t, b, 0)
	})
}

// Known as open before the outage, the circuit does not hold back what the fallback
// admits.
func TestWait_openBeforeAnOutage(t *testing.T) {
	for kind, want := range map[redbreaker.Fallback]time.Duration{
		redbreaker.FallbackAllow: 0,
		redbreaker.FallbackLocal: time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &bubbleStore{Memory: engine.NewMemory()}
			b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store), redbreaker.WithFallback(kind))
			_ = b.Do(ctx, fail)
			store.fails.Store(unreachable("inspect"))
			wantTook(t, b, want)
		})
	}
}

func TestWait_storageClosed(t *testing.T) {
	store := newFake()
	b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(store))
	_ = b.Do(ctx, fail)
	store.breaks("inspect", redbreaker.ErrStopped)
	if err := b.Wait(ctx); err != redbreaker.ErrStopped {
		t.Errorf("over a closed storage: %v", err)
	}
	c, cancel := context.WithCancel(ctx)
	store.breaks("inspect", contextEnds{cancel})
	if err := b.Wait(c); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled during a read: %v", err)
	}
}

// An outage that its breakers never end is forgotten after an hour, so that the log
// of the process keeps no storages alive.
func TestOutageLog_forgets(t *testing.T) {
	out := captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		fail := func(s redbreaker.Storage) {
			b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(s))
			_ = b.Do(ctx, succeed)
			awaitHooks(t, []*redbreaker.Breaker{b})
		}
		dead := func() *bubbleStore {
			s := &bubbleStore{Memory: engine.NewMemory()}
			s.fails.Store(unreachable("acquire"))
			return s
		}
		one := dead()
		fail(one)
		fail(one)
		time.Sleep(time.Hour)
		fail(dead()) // just in time: one is still known
		fail(one)
		time.Sleep(time.Hour + time.Second)
		fail(dead())
		fail(one) // forgotten, so this is an outage again
	})
	if got := strings.Count(out.String(), "storage unavailable"); got != 4 {
		t.Errorf("%d lines, want 4:\n%s", got, out.String())
	}
}
