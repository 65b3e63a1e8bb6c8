package redbreaker

import (
	"math"
	"slices"

	"github.com/redbreaker/redbreaker/engine"
)

// observe is the observer of the storage's handle. It gets replies in the order of the
// steps, and runs under a lock of the handle.
func (v *view) observe(o engine.Observation) {
	v.lockAndFold()
	now := v.Now()
	switch {
	case o.Reply != nil:
		v.applyReplyLocked(o, now)
	case o.Epoch == 0:
		v.forgetLocked() // a command: nothing is known
	case o.Epoch != v.epoch:
		v.voidedNS, v.voidedEpoch = now, o.Epoch
		v.forgetLocked()
	}
	v.settleAndUnlock(now)
}

// forgetLocked ends the decision, because the record may have changed.
func (v *view) forgetLocked() {
	v.endDecisionLocked()
	if w := v.work; w != nil {
		w.standing, w.outlook = engine.Standing{}, nil
	}
}

// endDecisionLocked makes calls ask the storage. The stripes of the decision were
// sealed when the lock was taken, and stay so.
func (v *view) endDecisionLocked() {
	v.published.Store(nil)
	if v.work != nil {
		v.work.current = nil
	}
}

// applyReplyLocked publishes what follows from a reply.
func (v *view) applyReplyLocked(o engine.Observation, now int64) {
	if o.Reply.Epoch != v.epoch {
		v.enterEpochLocked(o.Reply.Epoch)
	}
	v.publishLocked(o, now)
	if w := v.work; w != nil {
		w.standing, w.outlook = o.Reply.Standing, nil
		if isFlush(o.Batch) && o.AskedNS >= w.sentNS {
			w.inFlight = nil // the standing has them
		}
		v.expediteLocked(w, now)
	}
}

// isFlush reports whether the step carried a flush. Only a flush has outcomes without
// a lease, and one is in flight at a time. The reply to another step does not show
// whether the storage has counted the outcomes in flight. The late reply to a flush that
// timed out does not either: it was asked before the next flush began.
func isFlush(b *engine.Batch) bool {
	return slices.ContainsFunc(b.Results, func(r engine.Result) bool { return r.Lease == 0 })
}

// enterEpochLocked drops the outcomes of the epoch before: the storage would.
func (v *view) enterEpochLocked(epoch int64) {
	v.epoch, v.quota = epoch, viewQuota{}
	v.endDecisionLocked()
	if w := v.work; w != nil {
		v.dropPendingLocked(viewLedger{stale: w.pending.count()})
		w.inFlight, w.flushNS = nil, 0
	}
}

// dropPendingLocked drops the pending outcomes, which cannot count any more.
func (v *view) dropPendingLocked(as viewLedger) {
	v.countLedgerLocked(as)
	w := v.work
	w.pending = outcomeList{}
	// Outcomes in flight stay so: the end of their flush says what became of them, since
	// the storage may have counted them before the epoch ended.
	inFlight := w.settled + w.sending
	w.settleWaiters(inFlight+1, math.MaxInt64, func(int64) bool { return as.stale > 0 })
}

// judgePendingLocked judges the outcomes in flight and pending from the last standing on,
// and reports whether one of those pending may open the circuit.
func (v *view) judgePendingLocked(w *viewWork) (trips bool) {
	outlook := v.observed().OutlookFrom(&w.standing)
	for _, run := range w.inFlight {
		outlook.Add(run)
	}
	for _, run := range w.pending.runs {
		trips = outlook.Add(run) || trips
	}
	w.outlook = &outlook
	return trips
}

// expediteLocked makes a flush due now if a new standing shows that a pending outcome may
// open the circuit.
func (v *view) expediteLocked(w *viewWork, now int64) {
	if w.pending.bad > 0 && v.judgePendingLocked(w) {
		w.flushBy(now)
	}
}

// publishLocked replaces the decision by that of a reply, or by none.
func (v *view) publishLocked(o engine.Observation, now int64) {
	d, until := v.decideFromLocked(o.Batch, o.Reply, o.AskedNS)
	mayPublish := d != nil && now < until && v.mayPublishLocked(o, d)
	w := v.work
	if d != nil && w != nil && w.current != nil && w.current.hasTicketOf(d) {
		switch {
		case mayPublish:
			w.current.untilNS.Store(until)
			w.renewNS = v.params.renewalOf(o.AskedNS, until, now)
		case now >= w.renewNS:
			w.renewNS = math.MaxInt64 // else the renewal is due again at once, and so is the next
		}
		return
	}
	v.endDecisionLocked()
	if !mayPublish {
		return
	}
	d.untilNS.Store(until)
	// A decision without tickets needs no working memory and no place in the scheduler: each
	// call reads the clock. It stays referenced until a call finds it over, some hundred
	// bytes, which costs less than a timer for each open breaker of a registry.
	if d.epoch != 0 {
		d.stripes = newSealedStripes(1) // until the lock is released
		w = v.workLocked()
		w.current, w.renewNS = d, v.params.renewalOf(o.AskedNS, until, now)
	}
	v.published.Store(d)
}

// mayPublishLocked reports whether the reply may be shown to calls. It may not if an
// event has shown a later record. One that admits calls may not while operations fail: a
// server that admits calls but takes no results must not admit them for d without asking.
func (v *view) mayPublishLocked(o engine.Observation, d *viewDecision) bool {
	if v.stopped || v.params.scheduler.IsClosing() || o.AskedNS < v.voidedNS && o.Reply.Epoch != v.voidedEpoch {
		return false
	}
	outage := v.outage.Load()
	return outage == nil || outage.failing.Load() == 0 || !d.admitsCalls()
}

// countLedgerLocked counts what became of outcomes.
func (v *view) countLedgerLocked(n viewLedger) {
	if l := v.ledger; l != nil {
		l.applied += n.applied
		l.stale += n.stale
		l.failed += n.failed
		l.dropped += n.dropped
	}
}
