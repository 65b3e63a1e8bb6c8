package engine

import (
	"math"
	"sync/atomic"
	"time"
)

// The scheme of the lock-free part
//
// Each record in memory has a mutex, but most calls never take it. They load one
// atomic pointer to the published [decision], which decides about calls for as long
// as the record does not change. Successes, which must be counted, are added
// to stripes: counters, each on a cache line of its own, that belong to the
// decision and are folded into the record later.
//
// The results are those of the pure machine, one call at a time, because every
// call takes effect at one instant:
//
//   - A goroutine that holds the mutex works alone. Before it unlocks, it
//     publishes a decision that is true of the record.
//   - An admission, a rejection, and a success that changes nothing take effect
//     when they load the decision.
//   - A success that counts takes effect when its atomic add to a stripe
//     succeeds, or when it reads that the stripe already holds enough successes.
//   - The holder of the mutex begins by sealing: it swaps every stripe for the
//     value [sealed] and folds the sums into the record. A success added before
//     the swap is in the sum. One that comes later reads the seal and takes the
//     mutex. Without the seal, a success added after the fold would be reported
//     as counted and lost if the circuit then opens.
//   - A goroutine may be delayed between loading a decision and adding to its
//     stripe, for any time. So a decision that is replaced stays sealed forever;
//     only one that is published again unchanged is unsealed.
//
// So a failure is judged against every success whose report returned before the
// failure's report began. Striping leaves open only the order of successes among
// themselves, and successes are equal.

// decision is the published part of a record: what a call may decide without the
// record's mutex.
type decision struct {
	verdict
	// rejection is the result of Acquire in answersEpoch; nil admits uncounted. In
	// half-open, where nothing is answered, it is that of the open period before.
	rejection *RejectedError
	stripes   []stripe    // stripeCount of them, if stripeLimit is above 0
	contended atomic.Bool // goroutines met on the only stripe
}

// verdict is the immutable part of a decision. It is comparable, and follows from
// the record alone, not from a handle's policy: handles of several policies may
// share a record. The zero verdict decides nothing, so all calls take the mutex.
type verdict struct {
	// admitsEpoch is the epoch whose tickets Acquire gives at any time, and whose
	// fast successes need no mutex; 0: none.
	admitsEpoch int64
	// answersEpoch is the epoch in which every Acquire from fromNS until untilNS
	// gets the same result, without a ticket; 0: none.
	answersEpoch int64
	// window identifies the record's window, see [WindowShape.code]. A handle whose
	// policy has another window may change the record's by a success, so it takes
	// the mutex.
	window int64
	// timed limits the counting of successes to the time from fromNS until untilNS,
	// in which the window's current bucket is current.
	timed       bool
	stripeCount int32
	// fromNS and untilNS are nanoseconds of the engine's clock.
	fromNS, untilNS int64
	// stripeLimit is how many successes a stripe counts: after that many since the
	// last other outcome, one more success changes nothing in the record. 0: the
	// next success already changes nothing.
	stripeLimit int64
}

// verdict returns what the record, as it is, decides for calls.
func (r *Record) verdict(stripeCount int32) verdict {
	switch {
	case !r.exists || len(r.junk) > 0:
		return verdict{}
	case r.mode == ModeForcedOpen, r.mode == ModeForcedClosed:
		return r.forcedVerdict()
	case r.mode != ModeAuto:
		return verdict{}
	case r.state == StateOpen:
		// Before fromNS the clock has gone back, and a step must mend until.
		return verdict{answersEpoch: r.epoch, fromNS: nanosOf(max(r.since, r.until-r.openFor)), untilNS: nanosOf(r.until)}
	case r.state == StateClosed && r.rampMS == 0:
		return r.closedVerdict(stripeCount)
	}
	return verdict{}
}

func (r *Record) forcedVerdict() verdict {
	v := verdict{answersEpoch: r.epoch, fromNS: nanosOf(r.since), untilNS: math.MaxInt64}
	if r.modeUntil > 0 {
		v.fromNS, v.untilNS = nanosOf(max(r.since, r.modeUntil-r.modeFor)), nanosOf(r.modeUntil)
	}
	return v
}

func (r *Record) closedVerdict(stripeCount int32) verdict {
	v := verdict{admitsEpoch: r.epoch, window: r.shape.code(), stripeCount: stripeCount}
	switch r.shape.Kind {
	case windowTime:
		v.timed, v.stripeLimit = true, math.MaxInt64
		v.fromNS = nanosOf(max(r.since, r.shapeSince, r.cell*r.shape.bucketMS()))
		v.untilNS = nanosOf((r.cell + 1) * r.shape.bucketMS())
	case windowCount:
		if r.clean < r.shape.Size { // until the ring is full of successes
			v.stripeLimit = r.shape.Size
		}
	default:
		if r.streak > 0 { // the next success ends the streak
			v.stripeLimit = 1
		}
	}
	return v
}

// answerAcquire returns the result of Acquire in answersEpoch.
func (d *decision) answerAcquire() (Ticket, error) {
	if d.rejection == nil {
		return Ticket{}, nil
	}
	return Ticket{}, d.rejection
}

// openedBefore returns the transition that began the last open period, if it is
// known.
func (d *decision) openedBefore() *Transition {
	if d.rejection == nil {
		return nil
	}
	return d.rejection.Opened
}

// code identifies the shape: a positive size in calls, a negative one in ms, 0
// without a window.
func (s WindowShape) code() int64 {
	switch s.Kind {
	case windowCount:
		return s.Size
	case windowTime:
		return -s.Size
	}
	return 0
}

// nanosOf converts an instant of the record to the engine's clock.
func nanosOf(ms int64) int64 { return ms * int64(time.Millisecond) }
