package redbreaker

import (
	"context"
	"sync/atomic"
)

// Permit is one call that was let through, to be settled by exactly one of its
// methods; the first one counts, also among goroutines, the others do nothing.
// A probe that is never settled holds its slot until its lease runs out. Do not
// copy a Permit. The zero Permit, which comes with an error, does nothing.
type Permit struct {
	b     *Breaker
	epoch int64
	start int64
	state uint32 // the lease, then settled: a fifth field would cost more than it is worth
}

// settled in place of a lease says that the permit was used; leases end at 2^31.
const settled = 1<<32 - 1

// Success counts the call as a success.
func (p *Permit) Success() {
	if t, ok := p.take(); ok {
		p.b.conclude(context.Background(), t, p.start, p.b.clock(p.start), Success, nil)
	}
}

// Failure counts the call as a failure, whatever err is and whatever a
// [Classifier] would make of it. A [RetryAfterError] is heeded; err may be nil.
func (p *Permit) Failure(err error) {
	if t, ok := p.take(); ok {
		p.b.conclude(context.Background(), t, p.start, p.b.clock(p.start), Failure, p.b.detail(Failure, err))
	}
}

// Ignore counts the call neither way; a probe gives its slot back.
func (p *Permit) Ignore() {
	if t, ok := p.take(); ok {
		p.b.conclude(context.Background(), t, p.start, p.b.clock(p.start), Ignored, nil)
	}
}

// Done judges *err as [Breaker.Do] would, but that it knows no context: every
// context.Canceled is ignored. Defer it itself, on a named result:
//
//	defer permit.Done(&err)
//
// A panic then counts as a failure and goes on. It cannot see a runtime.Goexit;
// Do can.
func (p *Permit) Done(err *error) {
	if r := recover(); r != nil {
		p.end(nil, false)
		panic(r)
	}
	if err == nil {
		p.end(nil, true)
		return
	}
	p.end(*err, true)
}

// end settles by the classifiers, as Do does.
func (p *Permit) end(err error, returned bool) {
	if t, ok := p.take(); ok {
		p.b.settle(gone, t, p.start, 0, err, returned)
	}
}

// gone stands in for the context that Done does not know: whatever was
// cancelled is taken for the caller's. A report heeds no cancellation.
var gone = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// take gives the ticket to the first that asks.
func (p *Permit) take() (Ticket, bool) {
	if p.b == nil {
		return Ticket{}, false
	}
	lease := atomic.SwapUint32(&p.state, settled)
	return Ticket{Epoch: p.epoch, Lease: int64(lease)}, lease != settled
}
