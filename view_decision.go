package redbreaker

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// viewDecision is the published part of a view: what calls may do until untilNS
// without asking the storage. It follows from one reply.
type viewDecision struct {
	// epoch is that of the tickets that the decision gives; 0 if it gives none. Then
	// every call gets rejection, or is admitted uncounted if that is nil.
	epoch     int64
	rejection *RejectedError // for a ticket decision with a ramp: that of the calls it refuses
	ramp      viewRamp

	// untilNS is the end, on the handle's clock. A later reply with the same ticket moves it.
	untilNS atomic.Int64
	// used is set once a call was admitted since the last renewal.
	used atomic.Bool

	// The stripes of a ticket decision, see view_stripes.go.
	stripes   []viewStripe
	room      atomic.Int64 // how many successes a stripe takes before one needs the lock
	contended atomic.Bool  // goroutines met on the only stripe
}

// viewRamp is the ramp after recovery, as a reply described it.
type viewRamp struct {
	askedNS, leftNS int64 // leftNS is 0 without a ramp
	share           int64 // at askedNS, in 1/10 000
}

// rampScale is the unit of shares in replies.
const rampScale = 10_000

// drawAdmission admits a random share of the calls. The share grows with time as that
// of the storage does.
func (r *viewRamp) drawAdmission(nowNS int64) bool {
	if passed := nowNS - r.askedNS; passed < r.leftNS {
		share := float64(r.share) + float64(rampScale-r.share)*float64(passed)/float64(r.leftNS)
		return rand.Float64()*rampScale < share
	}
	return true
}

// isOver reports whether the decision has ended. It reads the clock.
func (d *viewDecision) isOver(v *view) bool { return v.Now() >= d.untilNS.Load() }

// answerCall decides about a call. ok is false if the storage has to be asked.
func (d *viewDecision) answerCall(v *view) (t Ticket, err error, ok bool) { //nolint:revive // the error is an answer
	if d.epoch != 0 && d.ramp.leftNS == 0 {
		// No clock: successes read it, see countSuccess.
		d.markUsed()
		return Ticket{Epoch: d.epoch}, nil, true
	}
	now := v.Now()
	switch {
	case now >= d.untilNS.Load():
		v.published.CompareAndSwap(d, nil)
		return Ticket{}, nil, false
	case d.epoch != 0 && d.ramp.drawAdmission(now):
		d.markUsed()
		return Ticket{Epoch: d.epoch}, nil, true
	case d.rejection != nil:
		return Ticket{}, d.rejection, true
	}
	return Ticket{}, nil, true
}

// markUsed writes only once per renewal, so that callers share the cache line.
func (d *viewDecision) markUsed() {
	if !d.used.Load() {
		d.used.Store(true)
	}
}

// decideFromLocked returns the decision that follows from a reply, and how long it lasts
// from when the step was sent, at most limit; nil if the storage decides about each
// call.
func (v *view) decideFromLocked(b *engine.Batch, r *engine.Reply, askedNS int64) (d *viewDecision, untilNS int64) {
	until := askedNS + v.params.staleNS
	if r.ModeLeftMS > 0 {
		until = min(until, endOf(askedNS, r.ModeLeftMS))
	}
	shadow := r.Mode == ModeShadow
	switch {
	case r.Mode == ModeForcedClosed, shadow && r.State == StateOpen:
		if shadow {
			until = min(until, endOf(askedNS, r.LeftMS))
		}
		return &viewDecision{}, until
	case r.Mode == ModeForcedOpen, !shadow && r.State == StateOpen:
		if r.LeftMS > 0 || r.State == StateOpen {
			until = min(until, endOf(askedNS, r.LeftMS))
		}
		return &viewDecision{rejection: v.rejectionOf(r)}, until
	case r.State == StateClosed:
		return v.ticketDecision(r, askedNS), until
	case !shadow && b.Admissions > r.Granted:
		// Half-open without a free slot. After the report of a probe nothing may be
		// published: the next probe may be this process's own, and at once.
		return &viewDecision{rejection: v.rejectionOf(r)}, min(until, endOf(askedNS, r.LeftMS))
	}
	return nil, 0
}

// endOf returns the end of a time that a reply gives in whole ms: it is rounded
// down, so 1 ms is taken off.
func endOf(askedNS, leftMS int64) int64 { return askedNS + (leftMS-1)*int64(time.Millisecond) }

// rejectionOf returns the error of the calls that the reply rejects, the same one as
// long as they are rejected for the same reason until the same time.
func (v *view) rejectionOf(r *engine.Reply) *RejectedError {
	refused := *r
	refused.Granted = 0
	_, err := v.observed().Decision(&refused, 0)
	rejection, _ := err.(*RejectedError) // Decision admits only in modes that reject no call
	return rejection
}

// ticketDecision returns the decision of a closed circuit.
func (v *view) ticketDecision(r *engine.Reply, askedNS int64) *viewDecision {
	d := &viewDecision{epoch: r.Epoch}
	if r.RampLeftMS > 0 && r.Mode != ModeShadow {
		d.ramp = viewRamp{askedNS: askedNS, leftNS: r.RampLeftMS * int64(time.Millisecond), share: r.RampShare}
		d.rejection = v.rejectionOf(r)
	}
	return d
}

// admitsCalls reports whether the decision admits some calls.
func (d *viewDecision) admitsCalls() bool { return d.epoch != 0 || d.rejection == nil }

// hasTicketOf reports whether both decisions give the same ticket without a ramp, so
// that one may go on in place of the other.
func (d *viewDecision) hasTicketOf(next *viewDecision) bool {
	return d.epoch != 0 && d.epoch == next.epoch && d.ramp.leftNS == 0 && next.ramp.leftNS == 0
}
