package redbreaker

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/redbreaker/redbreaker/engine"
)

// The scheme of a local view
//
// With [WithMaxStaleness] a breaker decides by what a reply of the storage said, for at
// most d after the step was sent. The view lies between the breaker and the fallback:
// inside, the fallback would take local admissions for answers of the storage, and
// would not learn that a flush failed.
//
//   - A reply to any step of the handle becomes a [viewDecision] behind one atomic
//     pointer. Calls load it and take no lock. nil means that the storage is asked.
//   - Fast successes are counted in stripes of the decision, see view_stripes.go. All
//     other outcomes take the view's lock and are appended to the pending runs, in the
//     order in which the calls ended.
//   - A flush sends the pending runs as one step. One is in flight at a time. When it
//     is due says view_schedule.go, how much may be pending view_quota.go.
//   - Each failure and slow call is judged by an [engine.Outlook]: if it may open the
//     circuit, its report ends the decision, flushes, and waits for the reply. So a
//     process that trips the circuit is rejected at its next call.
//   - A view that is not used ends, and its working memory with it.
//
// The observer runs under a lock of the handle, which therefore comes before the
// view's lock: with that lock held, no method of the handle is called but Now and
// Decision, which take none. I/O is done without the lock.

// view is the handle of a breaker with bounded staleness.
type view struct {
	*fallbackHandle // asks the storage; Status, Control and Now are its own
	params          *viewParams
	published       atomic.Pointer[viewDecision]

	mu    sync.Mutex // guards the fields below
	work  *viewWork  // nil at rest
	epoch int64      // of the last reply; 0: there was none
	quota viewQuota  // outlives the working memory: what was sent lately does not change at rest
	// The last event of another epoch: a step that was sent before it shows an older record.
	voidedNS, voidedEpoch int64
	stopped               bool // Close was called
	closed                bool // the handle is closed
	ended                 chan struct{}
	ledger                *viewLedger // nil except in tests
}

// observedHandle is a storage's handle that a view can follow.
type observedHandle interface {
	engine.Handle
	engine.Observable
	// Decision and OutlookFrom are those of [engine.Tracker].
	Decision(r *engine.Reply, i int64) (Ticket, error)
	OutlookFrom(s *engine.Standing) engine.Outlook
}

func (v *view) observed() observedHandle { return v.fallbackHandle.Handle.(observedHandle) }

// viewWork is the working memory of a view, while it is used or outcomes are pending.
type viewWork struct {
	task engine.Task
	// current is the decision whose stripes may count; it ends with the lock held, or
	// without by leaving published.
	current *viewDecision
	pending outcomeList

	standing engine.Standing // of the last reply
	inFlight []engine.Run    // not counted by standing yet
	// outlook judges standing, then inFlight, then pending; nil until a failure or slow call
	// needs it.
	outlook *engine.Outlook

	// Numbers of outcomes since the work began, in the order in which they were added:
	// those up to settled were sent, the next ones are in flight, the others are pending.
	// Outcomes that are dropped while they are pending give their numbers back.
	settled, sending int64

	flushNS int64 // when a flush is due; 0: none is
	renewNS int64 // when the decision has to be renewed
	wakeNS  int64 // when the scheduler calls Due; 0: it does not
	sentNS  int64 // when the last flush was sent

	flushing bool          // a flush is in flight: its sender has the turn
	queued   bool          // a worker will call Run
	waiters  []*viewWaiter // reports that wait until their outcome is settled
	flushed  chan struct{} // closed when outcomes are settled; nil unless a report waits
}

// viewWaiter is a report that waits until its outcome is settled.
type viewWaiter struct {
	number  int64 // of its outcome
	settled bool
	stale   bool // as far as is known: an outcome whose flush failed is not
}

// viewLedger counts what became of outcomes that took the lock or came from stripes.
type viewLedger struct{ applied, stale, failed, dropped int64 }

func newView(f *fallbackHandle, h observedHandle, p *viewParams) *view {
	v := &view{fallbackHandle: f, params: p}
	h.Observe(v.observe)
	return v
}

// Acquire decides by the published decision, or asks the storage. A step then carries
// the admission only, so that calls which come together share it.
func (v *view) Acquire(ctx context.Context) (Ticket, error) {
	if d := v.published.Load(); d != nil {
		if t, err, ok := d.answerCall(v); ok {
			return t, err
		}
	}
	return v.acquireStrictly(ctx)
}

func (v *view) acquireStrictly(ctx context.Context) (Ticket, error) {
	v.mu.Lock()
	stopped := v.stopped
	v.mu.Unlock()
	if stopped {
		return Ticket{}, ErrStopped
	}
	return v.fallbackHandle.Acquire(ctx)
}

// Report counts an outcome. Only one that may open the circuit, or that finds too many
// pending, waits for the storage.
func (v *view) Report(ctx context.Context, t Ticket, o Outcome, at int64, d *engine.Detail) (stale bool, err error) {
	if o == Success && t.Lease == 0 && t.Epoch > 0 {
		if p := v.published.Load(); p != nil && p.epoch == t.Epoch && p.countSuccess(v) {
			return false, nil
		}
	}
	if t.Lease != 0 || t.Epoch <= 0 || !isReportable(o, d) {
		return v.fallbackHandle.Report(ctx, t, o, at, d) // a probe, a ticket of the local breaker, or an error
	}
	if o == Ignored {
		return false, nil
	}
	return v.reportPending(ctx, t, o, d)
}

// isReportable reports whether the outcome fits a batch. One that does not would make
// the whole flush fail.
func isReportable(o Outcome, d *engine.Detail) bool {
	return o >= Success && o <= TripNow && (d == nil || d.OpenFor >= 0 && d.OpenFor <= engine.MaxDuration)
}

// reportPending appends an outcome to those that are pending.
func (v *view) reportPending(ctx context.Context, t Ticket, o Outcome, d *engine.Detail) (stale bool, err error) {
	v.lockAndFold()
	now := v.Now()
	if v.stopped {
		v.settleAndUnlock(now)
		return false, ErrStopped
	}
	// The epoch of the last reply decides, not that of the decision: a call may take
	// longer than the decision lasts.
	if t.Epoch != v.epoch {
		v.countLedgerLocked(viewLedger{stale: 1})
		v.settleAndUnlock(now)
		return true, nil
	}
	w := v.workLocked()
	trips := v.addOutcomeLocked(w, engine.Run{Outcome: o, N: 1}, d)
	if trips {
		v.endDecisionLocked()
		w.pending.pinDetail()
	}
	if trips || w.pending.isOverfull(v.params) {
		stale = v.sendThroughLocked(ctx, w, now)
		now = v.Now()
	} else if o != Success {
		w.flushBy(max(now, w.sentNS+v.params.staleNS/8))
	}
	v.settleAndUnlock(now)
	return stale, nil
}

// addOutcomeLocked appends a run and reports whether it may open the circuit.
func (v *view) addOutcomeLocked(w *viewWork, run engine.Run, d *engine.Detail) bool {
	if run.Outcome != Success && w.outlook == nil {
		v.judgePendingLocked(w)
	}
	w.pending.add(run, d)
	return w.outlook != nil && w.outlook.Add(run)
}

// workLocked returns the working memory, which it makes at the first use.
func (v *view) workLocked() *viewWork {
	if v.work == nil {
		w := &viewWork{}
		w.task.Init(v)
		v.work = w
	}
	return v.work
}

// lockAndFold locks the view and appends what the stripes have counted.
func (v *view) lockAndFold() {
	v.mu.Lock()
	w := v.work
	if w == nil || w.current == nil {
		return
	}
	if n := w.current.sealStripes(); n > 0 {
		v.addOutcomeLocked(w, engine.Run{Outcome: Success, N: n}, nil)
	}
	if w.current != v.published.Load() {
		w.current = nil // ended without the lock; its stripes stay sealed
	}
}

// settleAndUnlock plans the next flush and the next wake, lets the stripes count again,
// and unlocks the view.
func (v *view) settleAndUnlock(now int64) {
	v.settleLocked(now)
	v.closeAndUnlock()
}

// settleLocked leaves nothing undone that follows from what has changed. A view with
// nothing to do goes to rest.
func (v *view) settleLocked(now int64) {
	w := v.work
	if w == nil {
		return
	}
	if w.current != nil && (now >= w.current.untilNS.Load() || v.params.scheduler.IsClosing()) {
		v.endDecisionLocked() // a task that is planned while the scheduler closes is not called again
	}
	v.planFlushLocked(w, now)
	if w.isIdle() {
		v.params.scheduler.Cancel(&w.task)
		v.work = nil
		return
	}
	v.planWakeLocked(w, now)
	v.unsealLocked(w, now)
}

// closeAndUnlock unlocks the view, and closes the handle if Close waited for that.
func (v *view) closeAndUnlock() {
	closes := v.stopped && !v.closed && v.work == nil
	v.closed = v.closed || closes
	v.mu.Unlock()
	if closes {
		v.closeHandle()
	}
}

// unsealLocked lets the stripes of the current decision count again.
func (v *view) unsealLocked(w *viewWork, now int64) {
	d := w.current
	if d == nil {
		return
	}
	if d.contended.Load() && len(d.stripes) == 1 {
		d = d.withMoreStripes()
		// Not if it has just ended without the lock.
		if !v.published.CompareAndSwap(w.current, d) {
			w.current = nil
			return
		}
		w.current = d
	}
	d.unsealStripes(v.roomLocked(w, now))
}

// isIdle reports whether nothing is left to do or to remember.
func (w *viewWork) isIdle() bool {
	return w.current == nil && w.pending.count() == 0 && !w.flushing && !w.queued && len(w.waiters) == 0
}
