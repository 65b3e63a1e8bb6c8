package redbreaker

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Run implements [engine.Scheduled]: it sends one flush. If more is due after it, the
// view is queued again, behind those of other breakers.
func (v *view) Run() {
	v.lockAndFold()
	now := v.Now()
	w := v.work
	if w == nil {
		v.settleAndUnlock(now)
		return
	}
	w.queued = false
	if w.flushing || w.flushNS == 0 || w.flushNS > now { // a report has sent it
		v.settleAndUnlock(now)
		return
	}
	b := v.beginFlushLocked(w, now)
	v.settleAndUnlock(now)
	v.sendFlush(context.Background(), b)
}

// Drop implements [engine.Scheduled]: the storage is closed.
func (v *view) Drop() {
	v.lockAndFold()
	if w := v.work; w != nil {
		w.queued = false
		v.dropPendingLocked(viewLedger{dropped: w.pending.count()})
	}
	v.settleAndUnlock(v.Now())
}

// beginFlushLocked takes the turn and returns the batch of the pending outcomes. It is
// empty if none is pending: then it only renews the decision.
func (v *view) beginFlushLocked(w *viewWork, now int64) engine.Batch {
	w.flushing, w.flushNS, w.sentNS = true, 0, now
	b := engine.Batch{}
	if w.pending.detail != nil {
		b.Detail = *w.pending.detail
	}
	w.inFlight, w.sending = w.pending.takeRuns(v.params)
	if len(w.inFlight) > 0 {
		b.Results = []engine.Result{{Ticket: Ticket{Epoch: v.epoch}, Runs: w.inFlight}}
	}
	if w.pending.count() > 0 {
		w.flushBy(now)
	}
	return b
}

// sendFlush sends a batch, of which the fallback learns as of a report, and gives the
// turn back. A flush that failed is never sent again: it may have been counted. The
// fallback's local breaker has counted its outcomes.
func (v *view) sendFlush(ctx context.Context, b engine.Batch) {
	r, err := v.fallbackHandle.Step(context.WithoutCancel(ctx), b)
	v.lockAndFold()
	now := v.Now()
	if w := v.work; w != nil { // it cannot be at rest while a flush is in flight
		v.endFlushLocked(w, &b, &r, err, now)
	}
	v.settleAndUnlock(now)
}

// endFlushLocked notes what became of a flush.
func (v *view) endFlushLocked(w *viewWork, b *engine.Batch, r *engine.Reply, err error, now int64) {
	if err != nil {
		v.countLedgerLocked(viewLedger{failed: b.Outcomes()})
		w.standing = engine.Standing{} // the outcomes may have been counted
		w.renewNS = math.MaxInt64      // the decision lives to its end, and the next call asks
	} else {
		v.countLedgerLocked(viewLedger{applied: r.Applied, stale: r.Stale})
		if len(b.Results) > 0 && b.Results[0].Epoch == v.epoch {
			v.quota.addSent(r.Applied, now, v.params.quotaNS)
		}
	}
	first := w.settled + 1
	w.settled += w.sending
	w.sending, w.inFlight, w.flushing = 0, nil, false
	w.outlook = nil
	v.expediteLocked(w, now)
	w.settleWaiters(first, w.settled, func(n int64) bool { return err == nil && n >= first+r.Applied })
}

// settleWaiters settles the outcomes of waiting reports from one number to another, and
// wakes all reports that wait. The answer is noted now: once a report has the lock
// again, later flushes may have ended.
func (w *viewWork) settleWaiters(first, last int64, isStale func(n int64) bool) {
	for _, waiter := range w.waiters {
		if n := waiter.number; !waiter.settled && n >= first && n <= last {
			waiter.settled, waiter.stale = true, isStale(n)
		}
	}
	if w.flushed != nil {
		close(w.flushed)
		w.flushed = nil
	}
}

// sendThroughLocked flushes until the outcome that was added last is settled, and unlocks
// the view meanwhile. It waits no longer than one step may take from when the report
// arrived: then the flush goes on without it. It reports whether the outcome was stale, as
// far as is known.
func (v *view) sendThroughLocked(ctx context.Context, w *viewWork, arrivedNS int64) (stale bool) {
	waiter := &viewWaiter{number: w.settled + w.sending + w.pending.count()}
	w.waiters = append(w.waiters, waiter) // keeps the working memory
	if !w.flushing {
		b := v.beginFlushLocked(w, arrivedNS)
		v.settleAndUnlock(arrivedNS)
		v.sendFlush(ctx, b)
		v.lockAndFold()
	}
	limit := v.params.scheduler.Timeout() - time.Duration(v.Now()-arrivedNS)
	timer := time.NewTimer(max(0, limit))
	defer timer.Stop()
	for inTime := true; inTime && !waiter.settled; {
		inTime = v.waitForFlushLocked(w, timer.C)
	}
	w.waiters = slices.DeleteFunc(w.waiters, func(other *viewWaiter) bool { return other == waiter })
	return waiter.stale
}

// waitForFlushLocked waits for the end of a flush that is in flight or due now. It unlocks
// the view meanwhile. It returns false if the time ran out.
func (v *view) waitForFlushLocked(w *viewWork, timeout <-chan time.Time) (inTime bool) {
	now := v.Now()
	w.flushBy(now)
	if w.flushed == nil {
		w.flushed = make(chan struct{})
	}
	flushed := w.flushed
	v.settleAndUnlock(now)
	defer v.lockAndFold()
	select {
	case <-flushed:
		return true
	case <-timeout:
		return false
	}
}
