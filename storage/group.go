package storage

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// group lets one process's operations on one breaker share script calls: while
// one is under way, what comes is gathered, and goes out as the next step. One
// that finds nothing under way goes at once, by itself. So a breaker has one
// call under way however many goroutines use it, and hears of its steps in
// their order. A group that has nothing to do owns no goroutine.
type group struct {
	handle *redisHandle

	mu      sync.Mutex
	busy    bool     // somebody is under way, and sees that the others are taken next
	waiting []*joint // in the order of their departure
}

// take takes a batch to the storage. The errors are engine.ErrStopped, the
// context's, or a *engine.StorageError. A batch whose caller leaves may still be
// executed if it was under way; leases it is granted are given back.
func (g *group) take(ctx context.Context, verb string, b engine.Batch) (engine.Reply, error) {
	pass, err := g.handle.pass(verb)
	if err != nil {
		return engine.Reply{}, err
	}
	now := time.Now()
	if g.first(ctx, now) {
		defer g.next()
		r, err := g.handle.ask(ctx, now, verb, b)
		pass.leave(err)
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return engine.Reply{}, err
	}
	p := &part{verb: verb, batch: b, since: now}
	g.mu.Lock()
	j := g.join(ctx, p)
	g.mu.Unlock()
	if err := g.wait(ctx, j, p); err != nil {
		return engine.Reply{}, g.failed(j, p, pass, err)
	}
	return p.of(j.reply), nil
}

// failed is what the caller of a part is told: his own end, the storage's, or
// how the step that he shared failed.
func (g *group) failed(j *joint, p *part, pass pass, err error) error {
	var e *engine.StorageError
	if !errors.As(err, &e) {
		return err
	}
	// A lost reply is one slip, which counts once; but where none came within the
	// bound, each has waited in vain.
	if p != j.parts[0] && errors.Is(e, context.DeadlineExceeded) {
		pass.leave(e)
	}
	own := *e
	own.Op = p.verb
	return &own
}

// alone gives f a turn to itself. If f was not run, or not to its end, it
// returns the context's error or engine.ErrStopped.
func (g *group) alone(ctx context.Context, f func(ctx context.Context, since time.Time)) error {
	now := time.Now()
	if g.first(ctx, now) {
		defer g.next()
		f(ctx, now)
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &part{since: now}
	j := newJoint(ctx, p)
	j.alone = f
	g.mu.Lock()
	g.add(j)
	g.mu.Unlock()
	return g.wait(ctx, j, p)
}

// first reports whether nothing was under way, and the caller now is: itself, so
// that it waits for no goroutine. One that may leave before the time bound does
// not go itself: somebody has to take the reply, which may be a lease. Nor does
// anybody with a client that does not keep to deadlines.
func (g *group) first(ctx context.Context, now time.Time) bool {
	run := g.handle.redis.run
	if deadline, ok := ctx.Deadline(); !run.inline || ok && deadline.Before(now.Add(run.timeout)) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy {
		return false
	}
	g.busy = true
	return true
}

// join gives an operation a place in the last step that waits, or in a new one.
// The mutex is held, as it is by add and hand.
func (g *group) join(ctx context.Context, p *part) *joint {
	if n := len(g.waiting); n > 0 && g.waiting[n-1].fits(p) {
		j := g.waiting[n-1]
		j.parts = append(j.parts, p)
		return j
	}
	j := newJoint(ctx, p)
	g.add(j)
	return j
}

// add puts a turn behind those that wait, and sees that somebody takes it.
func (g *group) add(j *joint) {
	g.waiting = append(g.waiting, j)
	if !g.busy {
		g.busy = true
		g.hand()
	}
}

// next is called by whoever was under way, when there may be more to do.
func (g *group) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy = false
		return
	}
	g.hand()
}

// hand gives what waits to a goroutine. After Close there is none.
func (g *group) hand() {
	if g.handle.redis.run.spawn(g.drive) {
		return
	}
	for _, j := range g.waiting {
		j.err = engine.ErrStopped
		close(j.done)
	}
	g.waiting, g.busy = nil, false
}

// drive takes what waits until nothing does.
func (g *group) drive() {
	for j := g.depart(); j != nil; j = g.depart() {
		if j.alone != nil {
			j.alone(j.ctx, j.since)
		} else {
			j.reply, j.err = g.step(j)
		}
		g.arrive(j)
		runtime.Gosched() // those who were let go may have more to take along
	}
}

// step takes the parts to the storage, all of which were let through when they
// came. A handle that was closed since does not keep them from it.
func (g *group) step(j *joint) (engine.Reply, error) {
	verb := j.parts[0].verb
	pass, err := g.handle.enter(verb)
	if err != nil {
		return engine.Reply{}, err
	}
	r, err := g.handle.ask(j.ctx, j.since, verb, j.batch)
	pass.leave(err)
	return r, err
}

// depart returns the next turn that somebody still waits for; nil ends the drive.
func (g *group) depart() *joint {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.waiting) > 0 {
		j := g.waiting[0]
		g.waiting = slices.Delete(g.waiting, 0, 1)
		j.parts = slices.DeleteFunc(j.parts, func(p *part) bool { return p.left })
		if len(j.parts) > 0 {
			j.since = j.parts[0].since
			j.seal()
			return j
		}
	}
	g.busy = false
	return nil
}

// arrive lets the callers go.
func (g *group) arrive(j *joint) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(j.done)
	for _, p := range j.parts {
		if p.left && j.alone == nil && j.err == nil {
			g.giveBack(j.ctx, p.of(j.reply))
		}
	}
}

// giveBack returns with the next step the leases of a caller who has left, so
// that others need not wait until they run out.
func (g *group) giveBack(ctx context.Context, r engine.Reply) {
	if r.FirstLease == 0 {
		return
	}
	for i := range r.Granted {
		g.join(ctx, &part{verb: "report", since: time.Now(), batch: engine.Batch{
			Reporter: g.handle.reporter,
			Results: []engine.Result{{
				Ticket: engine.Ticket{Epoch: r.Epoch, Lease: r.FirstLease + i},
				Runs:   []engine.Run{{Outcome: engine.Ignored, N: 1}},
			}},
		}})
	}
}

// wait waits for the end of a turn, or of the caller, who then has left.
func (g *group) wait(ctx context.Context, j *joint, p *part) error {
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-j.done:
		return j.err
	default:
		p.left = true
		return ctx.Err()
	}
}
