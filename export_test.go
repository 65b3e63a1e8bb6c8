package redbreaker

import (
	"context"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// HandleForTest returns the handle that decides about the breaker's calls.
func (b *Breaker) HandleForTest() engine.Handle { return b.handle }

// WaitForHooksForTest waits until no event waits for hooks.
func (b *Breaker) WaitForHooksForTest(ctx context.Context) error { return b.waitForHooks(ctx) }

// HasViewForTest reports whether the breaker decides by a local view.
func (b *Breaker) HasViewForTest() bool {
	_, ok := b.handle.(*view)
	return ok
}

// RestsForTest reports whether the breaker's view is at rest.
func (b *Breaker) RestsForTest() bool {
	v := b.handle.(*view)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.work == nil && v.published.Load() == nil
}

// Ledger counts the outcomes of a view by how they ended.
type Ledger struct{ Applied, Stale, Failed, Dropped, Pending int64 }

// KeepLedgerForTest makes the view count what becomes of its outcomes.
func (b *Breaker) KeepLedgerForTest() {
	v := b.handle.(*view)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ledger = &viewLedger{}
}

// LedgerForTest returns what became of the view's outcomes so far.
func (b *Breaker) LedgerForTest() Ledger {
	v := b.handle.(*view)
	v.lockAndFold()
	l := Ledger{Applied: v.ledger.applied, Stale: v.ledger.stale, Failed: v.ledger.failed, Dropped: v.ledger.dropped}
	if w := v.work; w != nil {
		l.Pending = w.pending.count() + w.sending
	}
	v.settleAndUnlock(v.Now())
	return l
}

// AgeViewForTest makes the published decision older, as a process does that was stopped:
// its timers have not fired yet.
func (b *Breaker) AgeViewForTest(d time.Duration) {
	p := b.handle.(*view).published.Load()
	p.untilNS.Add(-int64(d))
}

// ObserveForTest shows an observation to the view.
func (b *Breaker) ObserveForTest(o engine.Observation) { b.handle.(*view).observe(o) }

// AnswersForTest reports whether the view decides about the next call.
func (b *Breaker) AnswersForTest() bool { return b.handle.(*view).published.Load() != nil }

// StripesForTest returns how many stripes count the successes of the published decision.
func (b *Breaker) StripesForTest() int {
	if v, ok := b.handle.(*view); ok {
		if d := v.published.Load(); d != nil {
			return len(d.stripes)
		}
	}
	return 0
}

// ShowStandingForTest makes the view judge from a closed record without outcomes.
func (b *Breaker) ShowStandingForTest() {
	v := b.handle.(*view)
	v.lockAndFold()
	w := v.workLocked()
	w.standing, w.outlook = engine.Standing{Known: true}, nil
	w.flushBy(v.Now() + 1)
	v.mu.Unlock()
}

// CancelTaskForTest takes the view out of the scheduler, as while Due runs.
func (b *Breaker) CancelTaskForTest() {
	v := b.handle.(*view)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.params.scheduler.Cancel(&v.work.task)
}

// HasClosingForTest reports whether a breaker that was removed has outcomes left to send.
func (r *Registry) HasClosingForTest() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.listClosingLocked()) > 0
}
