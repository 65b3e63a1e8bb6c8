package transport

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// pipeline sends script calls to one node. While few round trips are in flight,
// each call is sent at once and by itself; what comes meanwhile is sent together,
// as a batch. So however many breakers a process has, it keeps few connections
// busy, and a server that is slow is not flooded. A pipeline that is idle owns no
// goroutine.
//
// inFlight counts slots. A flight that is sent by itself holds one from enqueueCall
// to releaseSlot, a driver from releaseSlot until takeBatch returns an empty batch.
// Flights wait only while all slots are taken. So when a slot is given back and
// something waits, the slot passes to a driver and inFlight stays the same: the
// number never falls while a flight waits, or that flight would wait without end.
//
// A batch has one fate on the wire, written or not, in its own state. What was
// executed is decided for each flight by its attempt.
type pipeline struct {
	transport *Transport

	mu       sync.Mutex
	inFlight int       // round trips
	waiting  []*Flight // in the order of their arrival
}

const (
	// maxInFlight is how many round trips to one server may be in flight: one that
	// travels while the other is worked on.
	maxInFlight = 2
	// maxPipelined is the most calls of a batch: its first reply waits for the
	// last.
	maxPipelined = 128
)

// enqueueCall returns true if the flight waits for the next batch, which then goes on
// with it. Otherwise the flight has a round trip of its own.
func (p *pipeline) enqueueCall(f *Flight) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inFlight < maxInFlight && len(p.waiting) == 0 {
		p.inFlight++
		f.slot.Store(p)
		return false
	}
	p.waiting = append(p.waiting, f)
	return true
}

// releaseSlot ends a round trip. What waits is sent in its place.
func (p *pipeline) releaseSlot() {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The driver needs a goroutine of its own: the one that gives the slot back may be a
	// caller, which must not wait for the commands of others.
	if len(p.waiting) > 0 && p.transport.tasks.Spawn(p.drivePipeline) {
		return
	}
	p.inFlight--
	for _, f := range p.waiting { // the storage is closed
		f.finishFlight(nil, engine.ErrStopped)
	}
	p.waiting = nil
}

// drivePipeline sends what waits until nothing does.
func (p *pipeline) drivePipeline() {
	for b := p.takeBatch(); len(b.flights) > 0; b = p.takeBatch() {
		p.transport.sendBatch(b)
		runtime.Gosched() // callers that have their results may have more to send
	}
}

// batch is the calls of one round trip.
type batch struct {
	state    atomic.Int32 // waiting, sent or left, as of an attempt
	deadline time.Time    // when the driver leaves it
	flights  []*Flight
}

// takeBatch returns the next batch; an empty one stops the driver. It ends the
// flights whose callers have left.
func (p *pipeline) takeBatch() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	b := &batch{deadline: now.Add(p.transport.timeout)}
	n := 0
	for ; n < len(p.waiting) && len(b.flights) < maxPipelined; n++ {
		// A flight whose time is over is not sent, even if its caller has not noticed yet: it
		// would get a reply that it cannot use.
		if f := p.waiting[n]; f.leavesAt().After(now) && f.claim(b) {
			b.flights = append(b.flights, f)
		} else {
			f.finishFlight(nil, callerLeftError{})
		}
	}
	// A copy, so that the array of a long queue does not keep finished flights alive.
	p.waiting = append(p.waiting[:0:0], p.waiting[n:]...)
	// Under the same lock that found nothing to send: a flight that comes later sees the
	// free slot.
	if len(b.flights) == 0 {
		p.inFlight--
	}
	return b
}

// writeBatch records that the batch is written now. It returns false if it must not
// be: it took so long to get a connection that all of its callers have left.
func (b *batch) writeBatch() bool {
	return b.state.CompareAndSwap(waiting, sent) || b.state.Load() == sent
}

// replyDeadline implements deadliner.
func (b *batch) replyDeadline() (time.Time, bool) {
	return b.deadline, b.state.Load() == sent
}

// sendBatch sends a batch and waits until it is done. No caller of a batch waits
// longer than its deadline, so then it leaves the client behind.
func (t *Transport) sendBatch(b *batch) {
	done := make(chan struct{})
	if !t.tasks.Spawn(func() {
		defer close(done)
		t.pipelineBatch(b)
	}) {
		for _, f := range b.flights {
			f.unclaim()
			f.finishFlight(nil, engine.ErrStopped)
		}
		return
	}
	timer := time.NewTimer(time.Until(b.deadline))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		// If nothing was written so far, nothing will be: the client gets callerLeftError when
		// it asks for the bytes. The goroutine above stays with it until it returns.
		b.state.CompareAndSwap(waiting, left)
	}
}

// pipelineBatch sends a batch in one round trip and goes on with its flights.
func (t *Transport) pipelineBatch(b *batch) {
	ctx := t.newContext(b.flights[0].ctx.values, b)
	// Deferred, because the user's code may end the goroutine.
	defer func() {
		for _, f := range b.flights {
			f.unclaim()
			f.proceed()
		}
	}()
	t.tryPipeline(ctx, b)
}

// tryPipeline turns a panic of the client into the error of all calls.
func (t *Transport) tryPipeline(ctx *clientContext, b *batch) {
	ended := errGoroutineEnded
	defer func() {
		if ended != nil {
			for _, f := range b.flights {
				f.cmd.SetErr(ended)
			}
		}
	}()
	defer recoverPanic(&ended)
	_, refused := t.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, f := range b.flights {
			_ = p.Process(ctx, command{f.cmd})
		}
		return nil
	})
	for _, f := range b.flights {
		setMissingError(f.cmd, refused)
	}
	ended = nil
}

// setMissingError sets the error of a pipeline on a command that has neither a reply
// nor an error. go-redis leaves commands in that state if the server refuses the
// connection itself, as it does for a wrong password.
func setMissingError(cmd *redis.Cmd, err error) {
	if err != nil && cmd.Err() == nil && cmd.Val() == nil {
		cmd.SetErr(err)
	}
}
