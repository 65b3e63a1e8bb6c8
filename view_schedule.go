package redbreaker

import (
	"math"
	"math/rand/v2"
	"time"
)

// flushBy makes a flush due at that time, unless one is due before.
func (w *viewWork) flushBy(dueNS int64) {
	if w.flushNS == 0 || dueNS < w.flushNS {
		w.flushNS = dueNS
	}
}

// planFlushLocked makes a flush due now if outcomes must not wait, and queues one that
// is due. Without a decision they do not wait, since the next call asks the storage and
// has to find them counted.
func (v *view) planFlushLocked(w *viewWork, now int64) {
	if w.pending.count() > 0 && (v.published.Load() == nil || v.stopped || w.pending.isFull(v.params) || v.exceedsQuotaLocked(w, now)) {
		w.flushBy(now)
	}
	if w.flushNS == 0 || w.flushNS > now || w.flushing || w.queued {
		return
	}
	w.queued = true
	if !v.params.scheduler.Enqueue(&w.task) { // the storage is closed
		w.queued, w.flushNS = false, 0
		v.dropPendingLocked(viewLedger{dropped: w.pending.count()})
	}
}

// planWakeLocked has the scheduler call Due when the decision ends or something is
// due. While a flush is due or in flight, only the end of the decision is waited for.
// A call that comes too early does nothing, so a later time needs no change.
func (v *view) planWakeLocked(w *viewWork, now int64) {
	due := int64(math.MaxInt64)
	if w.current != nil {
		due = w.current.untilNS.Load()
	}
	if !w.flushing && !w.queued {
		if w.current != nil {
			due = min(due, w.renewNS)
		}
		if w.flushNS > 0 {
			due = min(due, w.flushNS)
		}
	}
	if due < math.MaxInt64 && (w.wakeNS == 0 || due < w.wakeNS) {
		w.wakeNS = due
		v.params.scheduler.Schedule(&w.task, time.Duration(due-now))
	}
}

// Due implements [engine.Scheduled]: it renews a decision that is used, and ends one
// that is not.
func (v *view) Due() {
	v.lockAndFold()
	now := v.Now()
	if w := v.work; w != nil {
		w.wakeNS = 0
		switch d := w.current; {
		case v.params.scheduler.IsClosing():
			v.endDecisionLocked()
		case d == nil || now < w.renewNS || w.flushing || w.queued:
		case d.used.Swap(false) || w.pending.count() > 0:
			w.flushBy(now)
		default:
			v.endDecisionLocked()
		}
	}
	v.settleAndUnlock(now)
}

// renewalOf returns when a decision has to be renewed: after half of d, but early
// enough for two round trips, minus a random eighth, so that the breakers and
// processes of a fleet spread. If the storage is too far for that, it is after a quarter
// of the time that remains: a renewal at once would end the decision, which no call has
// used yet.
func (p *viewParams) renewalOf(askedNS, untilNS, now int64) int64 {
	length := min(p.staleNS/2, p.staleNS-2*(now-askedNS))
	if length > 8 {
		length -= rand.Int64N(length / 8)
	}
	return max(askedNS+length, now+(untilNS-now)/4)
}
