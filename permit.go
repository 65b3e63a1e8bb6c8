package redbreaker

import (
	"context"
	"sync/atomic"
)

// Permit is one admitted call. Exactly one of Success, Failure, Ignore, Settle
// and Done settles it: the first of them counts, the others do nothing, also
// when they run concurrently. A probe that is never settled occupies its slot
// until its lease ends. The zero Permit, which comes with an error, does nothing.
//
// A Permit must not be copied after [Breaker.Acquire] has returned it: the copy
// could settle the same call again. go vet reports copies. Keep a *Permit where
// it has to be stored.
type Permit struct {
	b     *Breaker
	epoch int64
	start int64       // 0 if the call is not timed, and negative after StopClock
	lease permitLease // one word: with a fifth field a Permit would not fit in registers
}

// permitLease is the lease of a probe, or 0, until the permit is settled. Its
// methods make the copylocks check of go vet report a copied Permit.
type permitLease struct{ n uint32 }

func (*permitLease) Lock()   {}
func (*permitLease) Unlock() {}

// Values of a permitLease after settlement. They lie above every lease, since
// leases end at 2^31, and keep what Probe has to answer.
const (
	settledCall = 1<<32 - 2 + iota
	settledProbe
)

// take returns the lease, and false if the permit was already settled.
func (l *permitLease) take() (int64, bool) {
	lease := atomic.LoadUint32(&l.n)
	settled := uint32(settledCall)
	if lease != 0 {
		settled = settledProbe
	}
	if lease >= settledCall || !atomic.CompareAndSwapUint32(&l.n, lease, settled) {
		return 0, false
	}
	return int64(lease), true
}

// isProbe reports whether the lease is, or was, that of a probe.
func (l *permitLease) isProbe() bool {
	n := atomic.LoadUint32(&l.n)
	return n != 0 && n != settledCall
}

// Probe reports whether the call is a probe of a half-open circuit, before and
// after settlement. The fleet waits for the result of a probe: settle it as soon
// as the dependency has shown that it works, such as at the first byte of a
// stream. A call of a closed circuit may be settled at its very end.
func (p *Permit) Probe() bool { return p.lease.isProbe() }

// StopClock ends the measured time of the call before the call itself ends, for
// example at the first byte of a stream, so that a long stream does not count as
// slow. A second StopClock does nothing. StopClock must not run concurrently with
// other methods of the permit.
func (p *Permit) StopClock() {
	if p.start > 0 {
		p.start = min(p.start-p.b.handle.Now(), -1)
	}
}

// readInterval returns the start and the end of the call, which is now. StopClock
// has left the negated length in p.start: then the interval is moved to end now,
// because the storage takes the end as the time of the report.
func (p *Permit) readInterval() (start, end int64) {
	end = p.b.readEnd(p.start)
	if p.start < 0 {
		return end + p.start, end
	}
	return p.start, end
}

// Success counts the call as a success.
func (p *Permit) Success() {
	if t, ok := p.take(); ok {
		start, end := p.readInterval()
		p.b.settleCall(context.Background(), t, start, end, nil, true)
	}
}

// Failure counts the call as a failure, whatever err is and whatever a
// [Classifier] would make of it. It honors a [RetryAfterError] and a [TripError]. err
// may be nil.
func (p *Permit) Failure(err error) {
	if t, ok := p.take(); ok {
		start, end := p.readInterval()
		e := callEnd{start: start, end: end, outcome: Failure, err: err, detail: p.b.failureDetail(Failure, err)}
		if findMark(err).trips {
			e.outcome = TripNow
		}
		p.b.finishCall(context.Background(), t, e)
	}
}

// Ignore counts the call neither as a success nor as a failure. A probe returns
// its slot.
func (p *Permit) Ignore() {
	if t, ok := p.take(); ok {
		start, end := p.readInterval()
		p.b.finishCall(context.Background(), t, callEnd{start: start, end: end, outcome: Ignored})
	}
}

// Settle counts the call as [Breaker.Do] counts a function that returned err: by
// the rules of [Classifier], with ctx as the caller's context: if ctx was cancelled,
// any err but a [TripError] is ignored. A nil err is a success.
func (p *Permit) Settle(ctx context.Context, err error) { p.settleError(ctx, err, true) }

// Done settles the call with *err by the rules of [Classifier]. It does not know
// the caller's context, so it ignores every context.Canceled; use
// [Permit.Settle] where a cancellation may come as another error, such as the
// status Canceled of gRPC. Defer Done directly, on a named result:
//
//	defer permit.Done(&err)
//
// A panic then counts as a failure and continues. Done cannot see a
// runtime.Goexit; Do can. A nil err, and a nil *err, is a success.
func (p *Permit) Done(err *error) {
	if r := recover(); r != nil {
		p.settleError(noCaller, nil, false)
		panic(r)
	}
	if err == nil {
		p.settleError(noCaller, nil, true)
		return
	}
	p.settleError(noCaller, *err, true)
}

// settleError settles the permit by the classifiers, as Do does.
func (p *Permit) settleError(ctx context.Context, err error, returned bool) {
	if t, ok := p.take(); ok {
		start, end := p.readInterval()
		p.b.settleCall(ctx, t, start, end, err, returned)
	}
}

// take returns the ticket of a permit that is not settled yet, and settles it.
func (p *Permit) take() (Ticket, bool) {
	if p.b == nil {
		return Ticket{}, false
	}
	lease, ok := p.lease.take()
	return Ticket{Epoch: p.epoch, Lease: lease}, ok
}
