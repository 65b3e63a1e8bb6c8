package engine

import (
	"context"
	"sync/atomic"
)

// memoryHandle is one breaker's view of its record.
type memoryHandle struct {
	memory *Memory
	record *memoryRecord
	window int64 // the code of the policy's window

	// seen is the epoch that the handle last heard of. Calls go without the
	// lock in that epoch only, so that each handle takes notice of each epoch,
	// and a closed one of none. Written under the lock.
	seen atomic.Int64

	teller                   // used under the lock
	rejected sharedRejection // of half-open; the others are those of phases
}

// No phase has these epochs, not even one that decides nothing, with 0.
const (
	unseen  = -1 // the handle has heard of no epoch yet
	stopped = -2 // the handle is closed
)

// Acquire looks at its context only if it takes the lock.
func (h *memoryHandle) Acquire(ctx context.Context) (Ticket, error) {
	p := h.record.phase.Load()
	epoch := h.seen.Load()
	if p.admits == epoch {
		return Ticket{Epoch: epoch}, nil
	}
	if p.answers == epoch {
		if now := h.Now(); p.from <= now && now < p.until {
			return p.answer()
		}
	}
	return h.ask(ctx)
}

// ask is Acquire by a step of the machine.
func (h *memoryHandle) ask(ctx context.Context) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, err
	}
	r, p, err := h.step(Batch{Admissions: 1})
	if err != nil {
		return Ticket{}, err
	}
	if p.answers == r.Epoch {
		return p.answer()
	}
	return h.rejected.admission(h.name, &r, 0, h.memory.nanos)
}

// Report takes no lock for what cannot change a verdict but by its number: a
// fast success in closed; nor for what is not counted.
func (h *memoryHandle) Report(_ context.Context, t Ticket, o Outcome, at int64, d *Detail) (bool, error) {
	p := h.record.phase.Load()
	if o == Success && t.Epoch == p.admits && t.Lease == 0 && t.Epoch == h.seen.Load() &&
		(h.window == 0 || h.window == p.window) && p.count(h, at) {
		return false, nil
	}
	if !t.Counted() || o == Ignored && t.Lease == 0 {
		return false, nil
	}
	return h.tell(t, o, d)
}

// tell is Report by a step of the machine. It reads the clock anew: steps see
// the time in their order.
func (h *memoryHandle) tell(t Ticket, o Outcome, d *Detail) (bool, error) {
	b := Batch{Results: []Result{{Ticket: t, Runs: []Run{{Outcome: o, N: 1}}}}}
	if d != nil {
		b.Detail = *d
	}
	if err := b.Validate(); err != nil {
		return false, err
	}
	r, _, err := h.step(b)
	return r.Stale > 0, err
}

func (h *memoryHandle) Step(ctx context.Context, b Batch) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	if err := b.Validate(); err != nil {
		return Reply{}, err
	}
	r, _, err := h.step(b)
	return r, err
}

// step runs the machine under the record's lock; the events leave in its order.
// It returns the phase that follows.
func (h *memoryHandle) step(b Batch) (r Reply, p *phase, err error) {
	h.record.lock()
	defer func() { p = h.record.unlock(h.memory, h.name) }()
	if h.seen.Load() == stopped || h.memory.closed.Load() {
		return Reply{}, nil, ErrStopped
	}
	r = h.record.record.Step(h.rules, h.memory.now(), h.memory.random(), b)
	seen := h.seen.Load()
	if r.Transition.Cause == CauseCreated && seen != unseen { // the record was taken away, as only tests do
		h.sink(Event{Kind: EventLost, Name: h.name, Epoch: seen})
	}
	h.moved(r.Transition)
	h.skew(r.Policy)
	if seen != r.Epoch { // most steps leave the line to those who read it
		h.seen.Store(r.Epoch)
	}
	return r, nil, nil
}

func (h *memoryHandle) Control(ctx context.Context, c Command) (Snapshot, error) {
	if h.seen.Load() == stopped {
		return Snapshot{}, ErrStopped
	}
	if err := h.memory.ready(ctx); err != nil {
		return Snapshot{}, err
	}
	if err := c.Validate(); err != nil {
		return Snapshot{}, err
	}
	h.record.lock()
	defer h.record.unlock(h.memory, h.name)
	now := h.memory.now()
	moves, err := h.record.record.Control(h.rules, now, h.memory.random(), c)
	for _, t := range moves {
		h.moved(t)
	}
	return h.record.record.Snapshot(h.name, now), err
}

// Status is the record itself: in memory nothing needs to be remembered. It
// tells nothing that a success still in a stripe would change.
func (h *memoryHandle) Status() Status {
	h.record.mu.Lock()
	defer h.record.mu.Unlock()
	r := &h.record.record
	if !r.exists {
		return Status{Age: -1}
	}
	m := machine{Record: r, now: h.memory.now()}
	s := Status{State: r.state, Mode: r.mode, ModeFor: ms(r.modeUntil - m.now)}
	if r.mode == ModeAuto || r.mode == ModeForcedOpen {
		s.RetryAfter = ms(m.remainingMS())
	}
	return s
}

func (h *memoryHandle) Now() int64 { return h.memory.nanos() }

func (h *memoryHandle) Close() error {
	h.record.mu.Lock()
	before := h.seen.Swap(stopped)
	h.record.mu.Unlock()
	if before != stopped {
		h.memory.release(h)
	}
	return nil
}
