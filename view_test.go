//go:build go1.25

package redbreaker_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// timed is a policy with a time window that allows a staleness of up to 1 s.
var timed = redbreaker.Policy{Window: redbreaker.Window{Period: 10 * time.Second, FailureRate: 0.5}, OpenFor: 5 * time.Second}

// streak is a policy without a window.
var streak = redbreaker.Policy{ConsecutiveFailures: 5, OpenFor: 5 * time.Second}

// viewTest is a breaker with a view over a simulated store, in a bubble.
type viewTest struct {
	*testing.T
	store   *sharedStore
	b       *redbreaker.Breaker
	storage *cas.Storage
}

// inView runs a test with a staleness of a second, and a round trip of a millisecond.
func inView(t *testing.T, p redbreaker.Policy, test func(v *viewTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := &viewTest{T: t, store: newSharedStore(time.Millisecond)}
		v.b, v.storage = v.store.join(t, "a", p, redbreaker.WithMaxStaleness(time.Second), redbreaker.WithHooks(quietHooks))
		if !v.b.HasViewForTest() {
			t.Fatal("the breaker has no view")
		}
		v.b.KeepLedgerForTest()
		test(v)
		v.b.Stop()
		closeAll(t, v.storage)
	})
}

// call makes n calls with a pause after each, and returns how many were admitted.
func (v *viewTest) call(n int, pause time.Duration, f func() error) (admitted int) {
	for range n {
		err := v.b.Do(ctx, func(ctxOfCall) error { admitted++; return f() })
		if err != nil && !errors.Is(err, errDown) && !errors.Is(err, redbreaker.ErrRejected) {
			v.Fatal(err)
		}
		time.Sleep(pause)
	}
	return admitted
}

func works() error { return nil }
func dies() error  { return errDown }

// rest waits until the view is at rest.
func (v *viewTest) rest() {
	v.Helper()
	time.Sleep(3 * time.Second)
	synctest.Wait()
	if !v.b.RestsForTest() {
		v.Error("the view keeps working memory, though nothing uses it")
	}
}

func TestView_stepsWhileHealthy(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(20_000, time.Millisecond, works) // the quota grows from ten calls on
		v.store.takeSteps()
		v.call(20_000, time.Millisecond, works)
		if steps := v.store.takeSteps(); steps > 20*22/10+1 {
			v.Errorf("%d steps in 20 s, want at most 2.2 in 1 s", steps)
		}
	})
}

func TestView_stepsWhileFailing(t *testing.T) {
	p := redbreaker.Policy{Window: redbreaker.Window{Period: 10 * time.Second, FailureRate: 0.9}, OpenFor: 5 * time.Second}
	inView(t, p, func(v *viewTest) {
		n := 0
		half := func() error {
			if n++; n%2 == 0 {
				return errDown
			}
			return nil
		}
		v.call(20_000, time.Millisecond, half)
		v.store.takeSteps()
		v.call(10_000, time.Millisecond, half)
		if steps := v.store.takeSteps(); steps > 10*9 {
			v.Errorf("%d steps in 10 s, want at most 9 in 1 s", steps)
		}
	})
}

func TestView_neverMoreStepsThanStrict(t *testing.T) {
	for _, pause := range []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond, 2 * time.Second} {
		inView(t, streak, func(v *viewTest) {
			v.call(1, pause, works)
			v.store.takeSteps()
			v.call(100, pause, works)
			if steps := v.store.takeSteps(); steps > 201 {
				v.Errorf("%d steps for 100 calls, one in %v, want at most 2 a call", steps, pause)
			}
		})
	}
}

func TestView_restsWhenUnused(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(100, 10*time.Millisecond, works)
		v.rest()
		v.store.takeSteps()
		time.Sleep(time.Hour)
		if steps := v.store.takeSteps(); steps > 0 {
			v.Errorf("%d steps in an hour without calls", steps)
		}
	})
}

// A call may take longer than the staleness: its outcome belongs to the epoch.
func TestView_longCallsOpen(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		for range 5 {
			_ = v.b.Do(ctx, func(ctxOfCall) error { time.Sleep(5 * time.Second); return errDown })
		}
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
	})
}

func TestView_longCallsAtOnceOpen(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				_ = v.b.Do(ctx, func(ctxOfCall) error { time.Sleep(5 * time.Second); return errDown })
			})
		}
		all.Wait()
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
	})
}

// A rejection is answered locally, and ends when the open period does.
func TestView_openRejectsLocally(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		v.call(5, 0, dies)
		start := time.Now()
		v.store.takeSteps()
		v.call(1000, 4*time.Millisecond, works)
		if steps := v.store.takeSteps(); steps > 5 {
			v.Errorf("%d steps for 1000 rejected calls in 4 s, want about one in 1 s", steps)
		}
		r := wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
		if r.Opened == nil || r.Opened.Cause != redbreaker.CauseConsecutive {
			v.Errorf("rejected by %+v, want the transition that opened the circuit", r.Opened)
		}
		time.Sleep(r.RetryAfter())
		if err := v.b.Do(ctx, succeed); err != nil {
			v.Errorf("after the open period, %v: %v", time.Since(start), err)
		}
	})
}

// The round of probes needs two successes of a lone caller: after its first probe it
// must not be rejected by what it was answered before.
func TestView_loneProbes(t *testing.T) {
	p := streak
	p.HalfOpen = redbreaker.HalfOpen{Probes: 3, Successes: 3}
	inView(t, p, func(v *viewTest) {
		v.call(5, 0, dies)
		time.Sleep(p.OpenFor)
		if admitted := v.call(4, 0, works); admitted != 4 {
			v.Errorf("%d of 4 calls admitted, want all: three probes, then closed", admitted)
		}
	})
}

// While a slow probe holds the only slot, calls are rejected locally.
func TestView_slowProbe(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		v.call(5, 0, dies)
		time.Sleep(streak.OpenFor)
		probe := acquire(v.T, v.b)
		time.Sleep(5 * time.Second) // the hint grows with the round
		v.store.takeSteps()
		if admitted := v.call(2000, 5*time.Millisecond, works); admitted > 0 {
			v.Errorf("%d calls admitted beside the only probe", admitted)
		}
		if steps := v.store.takeSteps(); steps > 12 {
			v.Errorf("%d steps for 2000 calls in 10 s, want about one in 1 s", steps)
		}
		probe.Success()
		if admitted := v.call(1, 0, works); admitted != 1 {
			v.Error("rejected after the own probe closed the circuit")
		}
	})
}

func TestView_commands(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(100, time.Millisecond, works)
		control(v.T, v.b, redbreaker.Command{Action: redbreaker.ActionForceOpen, For: 300 * time.Millisecond})
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonForced)
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonForced)
		time.Sleep(300 * time.Millisecond)
		if admitted := v.call(1, 0, works); admitted != 1 {
			v.Error("rejected after the end of the forced mode")
		}
		control(v.T, v.b, redbreaker.Command{Action: redbreaker.ActionForceClosed, For: 300 * time.Millisecond})
		v.call(20, 0, dies)
		time.Sleep(300 * time.Millisecond)
		v.call(10, 0, dies)
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
		control(v.T, v.b, redbreaker.Command{Action: redbreaker.ActionShadow, For: 300 * time.Millisecond})
		if admitted := v.call(10, 10*time.Millisecond, works); admitted != 10 {
			v.Errorf("%d of 10 calls admitted in shadow", admitted)
		}
		time.Sleep(300 * time.Millisecond)
	})
}

// A command of another process is followed within d.
func TestView_foreignCommand(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		other, storage := v.store.join(v.T, "b", timed)
		v.call(100, time.Millisecond, works)
		control(v.T, other, redbreaker.Command{Action: redbreaker.ActionTrip})
		v.call(int(time.Second/time.Millisecond), time.Millisecond, works)
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
		other.Stop()
		closeAll(v.T, storage)
	})
}

// An own command while outcomes are pending or in flight: what belongs to the epoch
// before is stale.
func TestView_commandWhileFlushing(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(200, 5*time.Millisecond, works)
		v.store.slowDown(50 * time.Millisecond)
		v.call(30, time.Millisecond, works)
		control(v.T, v.b, redbreaker.Command{Action: redbreaker.ActionTrip, For: time.Second})
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
		v.store.slowDown(time.Millisecond)
		time.Sleep(2 * time.Second)
		v.call(100, time.Millisecond, works)
		v.rest()
		if l := v.b.LedgerForTest(); l.Applied+l.Stale != 329 || l.Stale == 0 || l.Pending+l.Failed+l.Dropped != 0 {
			v.Errorf("%+v, want 230 calls before and 99 after the probe, some stale", l)
		}
	})
}

func TestView_ramp(t *testing.T) {
	p := streak
	p.Ramp = redbreaker.Ramp{Over: 10 * time.Second, From: 0.1}
	inView(t, p, func(v *viewTest) {
		v.call(5, 0, dies)
		time.Sleep(p.OpenFor)
		v.call(1, 0, works)
		v.store.takeSteps()
		first := v.call(1000, time.Millisecond, works)
		v.call(4000, 2*time.Millisecond, works)
		last := v.call(1000, time.Millisecond, works)
		if steps := v.store.takeSteps(); steps > 200 {
			v.Errorf("%d steps for 6000 calls", steps)
		}
		if first < 80 || first > 260 || last < 820 || last > 990 {
			v.Errorf("admitted %d of the first 1000 calls and %d of the last, want about 150 and 950", first, last)
		}
		if err := v.b.Do(ctx, succeed); err != nil {
			wantRejected(v.T, err, redbreaker.ReasonRamping)
		}
	})
}

// Stop returns at once, and what was reported before still arrives.
func TestView_stopSendsPending(t *testing.T) {
	for name, end := range map[string]func(v *viewTest){
		"stop, then close": func(v *viewTest) {
			start := time.Now()
			v.b.Stop()
			if took := time.Since(start); took > 0 {
				v.Errorf("Stop took %v", took)
			}
			wantErr(v.T, v.b.Do(ctx, succeed), redbreaker.ErrStopped)
			closeAll(v.T, v.storage)
		},
		"close":    func(v *viewTest) { closeAll(v.T, v.storage) },
		"shutdown": func(v *viewTest) { v.Log(v.b.Shutdown(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			inView(t, timed, func(v *viewTest) {
				v.call(1000, time.Millisecond, works)
				end(v)
				reader, storage := v.store.join(v.T, "reader", timed)
				if n := inspect(v.T, reader).Calls; n != 1000 {
					v.Errorf("the record has %d calls, want 1000", n)
				}
				reader.Stop()
				closeAll(v.T, storage)
			})
		})
	}
}

// A storage that is gone delays no one.
func TestView_stopWithoutStorage(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(1000, time.Millisecond, works)
		v.store.breaks(func(string) error { return errStore })
		if err := v.b.Shutdown(ctx); err != nil {
			v.Error(err)
		}
		if l := v.b.LedgerForTest(); l.Applied+l.Failed != 1000 || l.Failed == 0 {
			v.Errorf("%+v, want 1000 in all, the last of them failed", l)
		}
	})
}

// The store and the dependency die together: the local breaker gets the outcomes that
// the store did not take, and opens as soon as in strict mode.
func TestView_storeAndDependencyDie(t *testing.T) {
	dead := func(staleness time.Duration) (admitted int) {
		synctest.Test(t, func(t *testing.T) {
			s := newSharedStore(time.Millisecond)
			b, storage := s.join(t, "a", streak, redbreaker.WithMaxStaleness(staleness), redbreaker.WithHooks(quietHooks))
			v := &viewTest{T: t, store: s, b: b, storage: storage}
			v.call(1000, time.Millisecond, works)
			s.breaks(func(string) error { return errStore })
			admitted = v.call(1000, time.Millisecond, dies)
			b.Stop()
			closeAll(t, storage)
		})
		return admitted
	}
	strict, seen := dead(0), dead(time.Second)
	if seen > strict {
		t.Errorf("%d calls admitted, in strict mode %d", seen, strict)
	}
}

// A store that admits but takes no results is no free pass: the local breaker decides
// until it takes them again.
func TestView_readOnlyStore(t *testing.T) {
	refused := func(staleness time.Duration) (admitted int) {
		synctest.Test(t, func(t *testing.T) {
			s := newSharedStore(time.Millisecond)
			b, storage := s.join(t, "a", streak, redbreaker.WithMaxStaleness(staleness), redbreaker.WithHooks(quietHooks))
			v := &viewTest{T: t, store: s, b: b, storage: storage}
			v.call(1000, time.Millisecond, works)
			s.breaks(func(op string) error {
				if op == "swap" {
					time.Sleep(200 * time.Millisecond)
					return &redbreaker.StorageError{Class: redbreaker.ClassRefused, Err: errStore}
				}
				return nil
			})
			var calls sync.WaitGroup
			var mu sync.Mutex
			for range 10_000 {
				calls.Go(func() {
					n := v.call(1, 0, dies)
					mu.Lock()
					defer mu.Unlock()
					admitted += n
				})
				time.Sleep(time.Millisecond)
			}
			calls.Wait()
			s.breaks(nil)
			time.Sleep(10 * time.Second)
			v.call(10, time.Second, works)
			if b.Status().Degraded {
				t.Error("still degraded")
			}
			v.call(1000, time.Millisecond, works)
			s.takeSteps()
			v.call(1000, time.Millisecond, works)
			if steps := s.takeSteps(); staleness > 0 && steps > 30 {
				t.Errorf("%d steps for 1000 calls after the outage", steps)
			}
			b.Stop()
			closeAll(t, storage)
		})
		return admitted
	}
	strict, seen := refused(0), refused(time.Second)
	t.Logf("%d calls admitted, in strict mode %d", seen, strict)
	if seen > strict+strict/4 {
		t.Errorf("%d calls admitted, in strict mode %d", seen, strict)
	}
}

// An outage ends for the events too, though calls no longer ask the storage.
func TestView_outageEnds(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(100, time.Millisecond, works)
		v.store.breaks(func(string) error { return errStore })
		v.call(2000, time.Millisecond, works)
		if !v.b.Status().Degraded {
			v.Error("not degraded, though the store is down")
		}
		v.store.breaks(nil)
		v.call(10_000, time.Millisecond, works)
		if v.b.Status().Degraded {
			v.Error("still degraded, 10 s after the store is back")
		}
	})
}

// TestView_ledger settles every outcome: reported = applied + stale + failed + dropped.
func TestView_ledger(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			f := drawFleet(seed)
			f.processes = 1
			f.breakStoreAtTimes(seed)
			b, storage := f.store.join(t, "a", f.policy, redbreaker.WithMaxStaleness(f.staleness), redbreaker.WithHooks(quietHooks))
			b.KeepLedgerForTest()
			var reported, late int64
			var mu sync.Mutex
			var all sync.WaitGroup
			start := time.Now()
			for i := range 2000 {
				fails := f.rnd.Float64() < f.failing(0, time.Since(start))
				takes := time.Duration(f.rnd.Float64() * float64(f.takes))
				all.Go(func() {
					h := b.HandleForTest()
					ticket, err := h.Acquire(ctx)
					if err != nil {
						return
					}
					time.Sleep(takes)
					if ticket.Epoch <= 0 || ticket.Lease != 0 {
						_, _ = h.Report(ctx, ticket, redbreaker.Success, 0, nil)
						return
					}
					outcome := redbreaker.Success
					if fails {
						outcome = redbreaker.Failure
					}
					_, err = h.Report(ctx, ticket, outcome, 0, &engine.Detail{})
					mu.Lock()
					defer mu.Unlock()
					reported++
					if errors.Is(err, redbreaker.ErrStopped) {
						late++
					}
				})
				time.Sleep(3 * time.Millisecond)
				if i == 1900 {
					b.Stop()
				}
			}
			all.Wait()
			closeAll(t, storage)
			l := b.LedgerForTest()
			if sum := l.Applied + l.Stale + l.Failed + l.Dropped; sum != reported-late || l.Pending != 0 {
				t.Errorf("seed %d: %+v, in all %d, of %d reported before Stop", seed, l, sum, reported-late)
			}
		})
	}
}
