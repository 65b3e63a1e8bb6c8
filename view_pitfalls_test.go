//go:build go1.25

package redbreaker_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// Each test here is for a mistake that is easily made, named in its comment.

// Mistake: only timers end a decision. Those of a process that was stopped, or is
// starved, are late; so successes read the clock, one in 64 of each stripe.
func TestView_lateTimers(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(2000, time.Millisecond, works)
		v.b.AgeViewForTest(time.Hour)
		v.store.takeSteps()
		n := 0
		for n < 1000 && v.b.AnswersForTest() {
			v.call(1, 0, works)
			n++
		}
		if n > 64 {
			v.Errorf("%d calls were admitted by a decision that had ended", n)
		}
	})
}

// Mistake: the age of a reply counts from when it came. It may show the record as it was
// when the step was sent.
func TestView_slowReply(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.store.slowDown(200 * time.Millisecond)
		v.call(1, 0, works) // asks; the outcome is sent in the background
		time.Sleep(2 * time.Second)
		start := time.Now()
		p := acquire(v.T, v.b)
		time.Sleep(time.Until(start.Add(time.Second - time.Millisecond)))
		if !v.b.AnswersForTest() {
			v.Log("ended early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if v.b.AnswersForTest() {
			v.Error("the decision lasts longer than d after the step was sent")
		}
		p.Success()
	})
}

// Mistake: a reply that is older than d is published.
func TestView_replyTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore(30 * time.Millisecond)
		b, storage := s.join(t, "a", timed, redbreaker.WithMaxStaleness(20*time.Millisecond))
		v := &viewTest{T: t, store: s, b: b, storage: storage}
		v.call(1, time.Second, works)
		s.takeSteps()
		for range 10 {
			acquire(t, b)
		}
		if steps := s.takeSteps(); steps != 10 {
			t.Errorf("%d steps for 10 admissions, want one for each", steps)
		}
		b.Stop()
		closeAll(t, storage)
	})
}

// Mistake: a step that was sent before an event, and answered after it, brings the view
// back to the epoch before the event.
func TestView_replyCrossesEvent(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(100, time.Millisecond, works)
		h := v.b.HandleForTest()
		asked := h.Now()
		epoch := acquireTicket(v.T, v.b).Epoch
		v.b.ObserveForTest(engine.Observation{Epoch: epoch + 1})
		if v.b.AnswersForTest() {
			v.Fatal("the view outlives the event of another epoch")
		}
		late := engine.Reply{Epoch: epoch}
		v.b.ObserveForTest(engine.Observation{Batch: &engine.Batch{}, Reply: &late, AskedNS: asked - 1})
		if v.b.AnswersForTest() {
			v.Error("the reply of a step that was sent before the event is published")
		}
		time.Sleep(time.Millisecond)
		v.b.ObserveForTest(engine.Observation{Batch: &engine.Batch{}, Reply: &late, AskedNS: h.Now()})
		if !v.b.AnswersForTest() {
			v.Error("the reply of a later step is not published")
		}
	})
}

func acquireTicket(t *testing.T, b *redbreaker.Breaker) redbreaker.Ticket {
	t.Helper()
	ticket, err := b.HandleForTest().Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// Mistake: what does not fit into one flush is lost, or memory grows without end. Reports
// wait once twice as much is pending as fits.
func TestView_backlog(t *testing.T) {
	p := redbreaker.Policy{Window: redbreaker.Window{Period: 10 * time.Second, FailureRate: 1}, OpenFor: 5 * time.Second}
	inView(t, p, func(v *viewTest) {
		v.call(100, time.Millisecond, works)
		v.store.slowDown(50 * time.Millisecond)
		start := time.Now()
		for i := range 2000 {
			v.call(1, 0, []func() error{works, dies}[i%2])
		}
		if took := time.Since(start); took < 200*time.Millisecond {
			v.Errorf("2000 runs took %v, though a flush takes 256 of them and 100 ms", took)
		}
		v.rest()
		if l := v.b.LedgerForTest(); l.Applied != 2100 {
			v.Errorf("%+v, want 2100 applied", l)
		}
	})
}

// Mistake: a report that must wait gets a time bound for the flush before it and another
// one for its own.
func TestView_oneTimeBound(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		v.call(100, time.Millisecond, works)
		v.store.breaks(func(string) error { time.Sleep(240 * time.Millisecond); return errStore })
		var longest atomic.Int64
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				p, err := v.b.Acquire(ctx)
				if err != nil {
					return
				}
				start := time.Now()
				p.Failure(errDown)
				for took := int64(time.Since(start)); ; {
					if most := longest.Load(); took <= most || longest.CompareAndSwap(most, took) {
						break
					}
				}
			})
		}
		all.Wait()
		if took := time.Duration(longest.Load()); took > 250*time.Millisecond {
			v.Errorf("a report took %v, want at most the timeout of 250ms", took)
		}
		v.store.breaks(nil)
		time.Sleep(10 * time.Second)
	})
}

// Mistake: successes are folded without a seal, so that some come after the last fold
// of their decision. This one runs in real time, with real parallelism.
func TestView_noSuccessIsLost(t *testing.T) {
	s := newSharedStore(0)
	p := redbreaker.Policy{Window: redbreaker.Window{Calls: 1000, FailureRate: 1}}
	b, storage := s.join(t, "a", p, redbreaker.WithMaxStaleness(2*time.Millisecond), redbreaker.WithHooks(quietHooks))
	b.KeepLedgerForTest()
	h := b.HandleForTest()
	var reported atomic.Int64
	ended := make(chan struct{})
	var ender, all sync.WaitGroup
	ender.Go(func() { // ends the decision again and again, as commands do
		for {
			select {
			case <-ended:
				return
			default:
				b.ObserveForTest(engine.Observation{})
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	for i := range 4 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for n := range 50_000 {
				ticket, err := h.Acquire(ctx)
				if err != nil || ticket.Epoch <= 0 || ticket.Lease != 0 {
					continue
				}
				o := redbreaker.Success
				if n%500 == i {
					o = redbreaker.Failure
				}
				if _, err := h.Report(ctx, ticket, o, 0, nil); err == nil {
					reported.Add(1)
				}
			}
		})
	}
	all.Wait()
	close(ended)
	ender.Wait()
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	closeAll(t, storage)
	l := b.LedgerForTest()
	if sum := l.Applied + l.Stale + l.Failed + l.Dropped; sum != reported.Load() || l.Pending != 0 {
		t.Errorf("%+v, in all %d, of %d reported", l, sum, reported.Load())
	}
}

// Mistake: outcomes in flight are not judged together with those that are pending. The
// third failure in a row opens the circuit, though the storage knows of none yet.
func TestView_judgesInFlight(t *testing.T) {
	p := redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: 5 * time.Second}
	inView(t, p, func(v *viewTest) {
		v.call(100, 10*time.Millisecond, works)
		time.Sleep(200 * time.Millisecond) // the next failure is sent at once
		v.store.slowDown(50 * time.Millisecond)
		v.call(2, 10*time.Millisecond, dies) // one is in flight, one waits
		if !v.b.AnswersForTest() {
			v.Fatal("the view has ended already")
		}
		v.call(1, 0, dies)
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
	})
}

// Mistake: the reply to any step clears the outcomes in flight. That of an admission
// which was sent before the flush does not have them.
func TestView_replyOfAnotherStep(t *testing.T) {
	p := redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: 5 * time.Second}
	inView(t, p, func(v *viewTest) {
		first, second := acquire(v.T, v.b), acquire(v.T, v.b)
		v.rest()
		v.store.slowDown(50 * time.Millisecond)
		var asks sync.WaitGroup
		asks.Go(func() { acquire(v.T, v.b).Ignore() })
		time.Sleep(20 * time.Millisecond)
		v.b.ShowStandingForTest() // the failure is judged as one that opens nothing
		first.Failure(errDown)    // its flush waits behind the admission
		asks.Wait()
		if !v.b.AnswersForTest() {
			v.Fatal("the admission published nothing")
		}
		second.Failure(errDown)
		wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
	})
}

// Mistake: a failure that comes while the one that trips waits for its flush replaces
// its open time.
func TestView_openTimeOfTheTrip(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		v.call(100, 10*time.Millisecond, works)
		time.Sleep(200 * time.Millisecond) // the next failure is sent at once
		a, b := acquire(v.T, v.b), acquire(v.T, v.b)
		v.store.slowDown(50 * time.Millisecond)
		v.call(1, 10*time.Millisecond, dies) // a flush is in flight
		var all sync.WaitGroup
		all.Go(func() { a.Failure(redbreaker.TripError(errDown, 10*time.Second)) })
		time.Sleep(10 * time.Millisecond)
		b.Failure(redbreaker.RetryAfterError(errDown, time.Hour))
		all.Wait()
		r := wantRejected(v.T, v.b.Do(ctx, succeed), redbreaker.ReasonOpen)
		if r.RetryAfter() > 10*time.Second {
			v.Errorf("open for %v, want the 10 s that the call asked for which tripped", r.RetryAfter())
		}
	})
}

// Mistake: a renewal that may not be published, because an admission failed, is due again
// at once.
func TestView_mutedRenewal(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(10_000, time.Millisecond, works)
		v.store.breaks(func(string) error { return errStore })
		_, _ = v.b.HandleForTest().Step(ctx, engine.Batch{Admissions: 1})
		v.store.breaks(nil)
		if !v.b.AnswersForTest() {
			v.Fatal("the view has ended")
		}
		v.store.takeSteps()
		v.call(1000, time.Millisecond, works)
		if steps := v.store.takeSteps(); steps > 100 {
			v.Errorf("%d steps in 1 s, want some 40: the quota grows again after the decision", steps)
		}
	})
}

// Mistake: the standing is kept after a flush that failed, which may have been counted.
func TestView_standingAfterFailedFlush(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		v.call(100, 10*time.Millisecond, works)
		time.Sleep(200 * time.Millisecond) // the next failure is sent at once
		first, second := acquire(v.T, v.b), acquire(v.T, v.b)
		v.store.breaks(func(string) error { return errStore })
		first.Failure(errDown)
		time.Sleep(10 * time.Millisecond)
		if !v.b.AnswersForTest() {
			v.Fatal("the decision does not live to its end")
		}
		second.Failure(errDown)
		if v.b.AnswersForTest() {
			v.Error("the next failure is judged by a standing from before the flush that failed")
		}
	})
}

// Mistake: the report of a probe publishes a rejection. The next probe may be this
// process's own.
func TestView_probeReportPublishesNothing(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		half := engine.Reply{Epoch: 9, State: redbreaker.StateHalfOpen, LeftMS: 500}
		probe := engine.Batch{Results: []engine.Result{{Ticket: engine.Ticket{Epoch: 9, Lease: 1}, Runs: []engine.Run{{Outcome: redbreaker.Success, N: 1}}}}}
		v.b.ObserveForTest(engine.Observation{Batch: &probe, Reply: &half, AskedNS: v.b.HandleForTest().Now()})
		if v.b.AnswersForTest() {
			v.Error("published after the report of a probe")
		}
		v.b.ObserveForTest(engine.Observation{Batch: &engine.Batch{Admissions: 1}, Reply: &half, AskedNS: v.b.HandleForTest().Now()})
		if !v.b.AnswersForTest() {
			v.Error("the rejection of an admission is not published")
		}
	})
}

// Mistake: the outcomes of a flush are judged twice once its reply came: in the standing
// and in flight.
func TestView_replyClearsInFlight(t *testing.T) {
	p := redbreaker.Policy{ConsecutiveFailures: 4, OpenFor: 5 * time.Second}
	inView(t, p, func(v *viewTest) {
		v.call(100, 10*time.Millisecond, works)
		time.Sleep(200 * time.Millisecond)    // the next failure is sent at once
		v.call(1, 200*time.Millisecond, dies) // so is the next one, alone
		second, third := acquire(v.T, v.b), acquire(v.T, v.b)
		v.store.slowDown(20 * time.Millisecond)
		v.store.takeSteps()
		second.Failure(errDown)
		time.Sleep(10 * time.Millisecond)
		third.Failure(errDown) // waits for an eighth of d
		time.Sleep(90 * time.Millisecond)
		if steps := v.store.takeSteps(); steps != 1 {
			v.Errorf("%d steps, want only that of the second failure of four", steps)
		}
	})
}

// Mistake: an outcome whose flush failed is reported as stale, like one of an epoch that
// has ended.
func TestView_failedIsNotStale(t *testing.T) {
	inView(t, streak, func(v *viewTest) {
		v.call(100, 10*time.Millisecond, works)
		ticket := acquireTicket(v.T, v.b)
		v.store.breaks(func(string) error { return errStore })
		if stale, _ := v.b.HandleForTest().Report(ctx, ticket, redbreaker.TripNow, 0, nil); stale {
			v.Error("stale, though the epoch has not ended")
		}
	})
}

// Mistake: a reply that is older than d replaces the end of a decision that goes on.
func TestView_lateReplyMovesNoEnd(t *testing.T) {
	inView(t, timed, func(v *viewTest) {
		v.call(2000, time.Millisecond, works)
		epoch := acquireTicket(v.T, v.b).Epoch
		asked := v.b.HandleForTest().Now() - int64(time.Second)
		v.b.ObserveForTest(engine.Observation{Batch: &engine.Batch{}, Reply: &engine.Reply{Epoch: epoch}, AskedNS: asked})
		if !v.b.AnswersForTest() {
			v.Error("the late reply has ended the decision")
		}
	})
}
