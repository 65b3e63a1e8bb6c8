package storage

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

// groupCommit lets one process's operations on one breaker share script calls.
//
// While one step is in flight, operations that come wait and share the next one.
// An operation that finds no step in flight is sent at once, by itself. So a
// breaker has one step in flight however many goroutines use it, and the order of
// its replies is that of its steps.
//
// busy is the right to send. A caller that sends its own step (tryInline) sets it, or
// the driver, a goroutine. Before either clears it, it must have sent the operations
// that arrived meanwhile (finishInline, takeNext). A group that is idle owns no
// goroutine.
type groupCommit struct {
	handle *redisHandle
	// readReply returns an operation's reply from that of its step; a test
	// replaces it by mistakes that must be found out.
	readReply func(p *pendingOp, r engine.Reply) engine.Reply

	mu      sync.Mutex
	busy    bool          // a step is in flight
	waiting []*sharedStep // in the order in which they are sent
}

// SendBatch implements handle.Sender. A batch whose caller leaves may still be
// executed if it was in flight; leases that it is granted are returned.
func (g *groupCommit) SendBatch(ctx context.Context, op string, b engine.Batch) (engine.Reply, error) {
	node := g.handle.node()
	permission, err := g.handle.Permit(node.Guard(), op)
	if err != nil {
		return engine.Reply{}, err
	}
	if err := ctx.Err(); err != nil {
		return engine.Reply{}, err
	}
	// The guard is asked before the operation waits: a rejection must be immediate. During an
	// outage a queue of calls would only wait for their timeouts.
	p := &pendingOp{op: op, batch: g.handle.WithStanding(b), since: time.Now()}
	if g.tryInline() {
		return g.sendInline(ctx, node, permission, p)
	}
	s := g.enqueueOp(ctx, p)
	if err := g.waitForReply(ctx, s, p); err != nil {
		return engine.Reply{}, ownError(p, err)
	}
	return g.readReply(p, s.reply), nil
}

// sendInline sends an operation as a step of its own and waits for it in the
// caller's goroutine. If the caller leaves while the step is in flight, a goroutine
// waits in its place.
func (g *groupCommit) sendInline(ctx context.Context, node *transport.Node, permission guard.Permission, p *pendingOp) (engine.Reply, error) {
	f, sent, err := g.handle.startStep(ctx, p.since, node, p.op, p.batch)
	if err != nil {
		g.finishInline()
		return engine.Reply{}, err
	}
	reply, ok, err := f.Await(ctx)
	// ok is false only while the step is in flight. If the storage is closed, no goroutine
	// can wait: the leases of that step lapse at the server.
	if !ok && g.handle.redis.transport.Spawn(func() { g.finishAbandoned(ctx, f, sent, permission, p) }) {
		return engine.Reply{}, err
	}
	// Decoded before the right to send is passed on: so the tracker follows replies in the
	// order of the steps.
	defer g.finishInline()
	r, err := g.handle.decodeStep(sent, p.since, p.op, p.batch, reply, err)
	permission.Release(err)
	return r, err
}

// finishAbandoned waits for a step whose caller has left, returns its leases, and
// finishes it as its caller would have.
func (g *groupCommit) finishAbandoned(ctx context.Context, f *transport.Flight, sent sentStep, permission guard.Permission, p *pendingOp) {
	reply, _, err := f.Await(context.WithoutCancel(ctx))
	r, err := g.handle.decodeStep(sent, p.since, p.op, p.batch, reply, err)
	permission.Release(err)
	g.mu.Lock()
	if err == nil {
		g.returnLeasesLocked(context.WithoutCancel(ctx), r)
	}
	g.mu.Unlock()
	g.finishInline()
}

// Trial implements handle.Sender.
func (g *groupCommit) Trial() error { return g.handle.runTrial() }

// ownError returns the error of an operation whose step failed or whose caller
// left: it names the operation, where the step's names the first.
func ownError(p *pendingOp, err error) error {
	var e *engine.StorageError
	if !errors.As(err, &e) {
		return err
	}
	own := *e
	own.Op = p.op
	return &own
}

// runExclusive gives f a turn to itself. If f did not run, or not to its end, the
// error is the context's or engine.ErrStopped.
func (g *groupCommit) runExclusive(ctx context.Context, f func(ctx context.Context, since time.Time)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	if g.tryInline() {
		defer g.finishInline()
		f(ctx, now)
		return nil
	}
	p := &pendingOp{since: now}
	s := newSharedStep(ctx, p)
	s.exclusive = f
	g.enqueueStep(s)
	// The function runs in the driver, which has given the turn to it alone.
	return g.waitForReply(ctx, s, p)
}

// tryInline reports whether the caller may send its own step now, instead of
// handing it to the driver. It then must call finishInline.
func (g *groupCommit) tryInline() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy {
		return false
	}
	g.busy = true
	return true
}

// finishInline passes the right to send to a driver if steps wait.
func (g *groupCommit) finishInline() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy = false
		return
	}
	g.startDriverLocked()
}

// enqueueOp adds an operation to the last step that waits, or to a new one.
func (g *groupCommit) enqueueOp(ctx context.Context, p *pendingOp) *sharedStep {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.enqueueOpLocked(ctx, p)
}

func (g *groupCommit) enqueueOpLocked(ctx context.Context, p *pendingOp) *sharedStep {
	if n := len(g.waiting); n > 0 && g.waiting[n-1].accepts(p) {
		// Only the last one: an operation that joined an earlier step would overtake those
		// between.
		s := g.waiting[n-1]
		s.ops = append(s.ops, p)
		return s
	}
	s := newSharedStep(ctx, p)
	g.enqueueLocked(s)
	return s
}

func (g *groupCommit) enqueueStep(s *sharedStep) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.enqueueLocked(s)
}

// enqueueLocked adds a step behind those that wait, and starts a driver if no
// step is in flight.
func (g *groupCommit) enqueueLocked(s *sharedStep) {
	g.waiting = append(g.waiting, s)
	if !g.busy {
		g.busy = true
		g.startDriverLocked()
	}
}

// startDriverLocked starts the driver. After Close it fails all steps that wait
// instead.
func (g *groupCommit) startDriverLocked() {
	if g.handle.redis.transport.Spawn(g.drive) {
		return
	}
	for _, s := range g.waiting {
		s.err = engine.ErrStopped
		close(s.done)
	}
	g.waiting, g.busy = nil, false
}

// drive sends steps until none waits.
func (g *groupCommit) drive() {
	for s := g.takeNext(); s != nil; s = g.takeNext() {
		if s.exclusive != nil {
			s.exclusive(s.ctx, s.since)
		} else {
			s.reply, s.err = g.sendShared(s)
		}
		g.finishStep(s)
		runtime.Gosched() // released callers may have more for the next step
	}
}

// sendShared sends a step. Its operations were let through by the guard when they
// came; that the handle was closed since does not stop them.
//
// A step that waited for its whole timeout fails without being sent, and without
// the guard's counting it: it says that the one before it was slow, which the guard
// knows.
func (g *groupCommit) sendShared(s *sharedStep) (engine.Reply, error) {
	op := s.ops[0].op
	if t := g.handle.redis.transport; time.Since(s.since) >= t.Timeout() {
		return engine.Reply{}, &engine.StorageError{Class: engine.ClassNotExecuted, Op: op, Name: g.handle.Name, Err: t.TimeoutError()}
	}
	node := g.handle.node()
	permission, err := g.handle.PermitAccepted(node.Guard(), op)
	if err != nil {
		return engine.Reply{}, err
	}
	f, sent, err := g.handle.startStep(s.ctx, s.since, node, op, s.batch)
	if err != nil {
		return engine.Reply{}, err
	}
	reply, _, err := f.Await(s.ctx) // it does not end
	r, err := g.handle.decodeStep(sent, s.since, op, s.batch, reply, err)
	permission.Release(err)
	return r, err
}

// takeNext returns the next step that a caller still waits for, sealed. It
// returns nil, and clears busy, if there is none.
func (g *groupCommit) takeNext() *sharedStep {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.waiting) > 0 {
		s := g.waiting[0]
		g.waiting = slices.Delete(g.waiting, 0, 1)
		s.ops = slices.DeleteFunc(s.ops, func(p *pendingOp) bool { return p.left })
		// Callers cannot be removed from here on: leave is final under this lock, and what
		// remains is sent. The timeout counts from the oldest caller that is left.
		if len(s.ops) > 0 {
			s.since = s.ops[0].since
			s.sealBatch()
			return s
		}
	}
	g.busy = false
	return nil
}

// finishStep releases the callers of a step. Leases of those that have left are
// returned.
func (g *groupCommit) finishStep(s *sharedStep) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// With the lock held, so that a caller that leaves at this moment either takes the
	// reply in waitForReply or is seen here as having left. Its leases are never lost between
	// the two.
	close(s.done)
	for _, p := range s.ops {
		if p.left && s.exclusive == nil && s.err == nil {
			g.returnLeasesLocked(s.ctx, p.replyFrom(s.reply))
		}
	}
}

// returnLeasesLocked returns with the next step the leases of a caller that has
// left, so that other callers need not wait until they lapse.
func (g *groupCommit) returnLeasesLocked(ctx context.Context, r engine.Reply) {
	if r.FirstLease == 0 {
		return
	}
	for i := range r.Granted {
		g.enqueueOpLocked(ctx, &pendingOp{op: "report", since: time.Now(), batch: g.handle.WithStanding(engine.Batch{
			Reporter: g.handle.Reporter,
			Results: []engine.Result{{
				Ticket: engine.Ticket{Epoch: r.Epoch, Lease: r.FirstLease + i},
				Runs:   []engine.Run{{Outcome: engine.Ignored, N: 1}},
			}},
		})})
	}
}

// waitForReply waits for the end of a step, or of the caller, which then has left.
func (g *groupCommit) waitForReply(ctx context.Context, s *sharedStep, p *pendingOp) error {
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// Both may have happened. A reply that is there counts: it may hold a lease.
	select {
	case <-s.done:
		return s.err
	default:
		p.left = true
		return ctx.Err()
	}
}
