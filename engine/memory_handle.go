package engine

import (
	"context"
	"sync/atomic"
)

// memoryHandle is a [Handle] on a record in memory.
type memoryHandle struct {
	memory *Memory
	record *memoryRecord
	window int64 // of the policy, see [WindowShape.code]

	// knownEpoch is the last epoch that a step of this handle met. Calls decide
	// without the mutex in that epoch only: so each handle takes a step in each
	// epoch and raises its events, and a closed handle decides nothing. Written
	// with the record's mutex held.
	knownEpoch atomic.Int64

	notifier                  // used with the record's mutex held
	rejections rejectionCache // of half-open; the other rejections belong to decisions
}

// Values of knownEpoch that no decision has. 0 would match the zero verdict.
const (
	epochUnknown = -1 // the handle took no step yet
	epochStopped = -2 // the handle is closed
)

// Acquire reads its context only if it takes the mutex.
func (h *memoryHandle) Acquire(ctx context.Context) (Ticket, error) {
	d := h.record.published.Load()
	epoch := h.knownEpoch.Load()
	if d.admitsEpoch == epoch {
		return Ticket{Epoch: epoch}, nil
	}
	if d.answersEpoch == epoch {
		if now := h.Now(); d.fromNS <= now && now < d.untilNS {
			return d.answerAcquire()
		}
	}
	return h.acquireByStep(ctx)
}

// acquireByStep is Acquire by a step of the machine.
func (h *memoryHandle) acquireByStep(ctx context.Context) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, err
	}
	s, err := h.runStep(Batch{Admissions: 1})
	if err != nil {
		return Ticket{}, err
	}
	if s.next.answersEpoch == s.reply.Epoch {
		return s.next.answerAcquire()
	}
	return h.decideAdmission(&s.reply, s.nowMS, s.next.openedBefore())
}

// decideAdmission returns the outcome of the only admission of a step at nowMS. A
// rejection ends at the very millisecond that the machine gave.
func (h *memoryHandle) decideAdmission(r *Reply, nowMS int64, opened *Transition) (Ticket, error) {
	if ticket, admitted := r.ticket(0); admitted {
		return ticket, nil
	}
	e := RejectedError{Name: h.name, Reason: r.reason(), State: r.State, Mode: r.Mode, Opened: opened}
	endNS := int64(0)
	if r.LeftMS > 0 {
		endNS = nanosOf(nowMS + r.LeftMS)
	}
	return Ticket{}, h.rejections.share(e, endNS, 0, h.memory.nowNS)
}

// Report takes no mutex for an outcome that only its number matters of: a fast
// success while closed. Neither does it for an outcome that is not counted.
func (h *memoryHandle) Report(_ context.Context, t Ticket, o Outcome, at int64, d *Detail) (bool, error) {
	p := h.record.published.Load()
	if o == Success && t.Epoch == p.admitsEpoch && t.Lease == 0 && t.Epoch == h.knownEpoch.Load() &&
		(h.window == 0 || h.window == p.window) && p.countSuccess(h, at) {
		return false, nil
	}
	if !t.Counted() || o == Ignored && t.Lease == 0 {
		return false, nil
	}
	return h.reportByStep(t, o, d)
}

// reportByStep is Report by a step of the machine. It ignores the time that the
// caller read: steps see the time in the order in which they run.
func (h *memoryHandle) reportByStep(t Ticket, o Outcome, d *Detail) (bool, error) {
	b := Batch{Results: []Result{{Ticket: t, Runs: []Run{{Outcome: o, N: 1}}}}}
	if d != nil {
		b.Detail = *d
	}
	if err := b.Validate(); err != nil {
		return false, err
	}
	s, err := h.runStep(b)
	return s.reply.Stale > 0, err
}

func (h *memoryHandle) Step(ctx context.Context, b Batch) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	if err := b.Validate(); err != nil {
		return Reply{}, err
	}
	s, err := h.runStep(b)
	return s.reply, err
}

// memoryStep is a step that was taken: its reply, its time, and the decision that
// follows from the record.
type memoryStep struct {
	reply Reply
	nowMS int64
	next  *decision
}

// runStep runs the machine with the record's mutex held, so that events leave in
// the order of the steps.
func (h *memoryHandle) runStep(b Batch) (s memoryStep, err error) {
	h.record.lockAndFold()
	var opened *Transition
	defer func() {
		s.next = h.record.publishLocked(h.memory, h.name, opened)
		h.record.mu.Unlock()
	}()
	if h.knownEpoch.Load() == epochStopped || h.memory.closed.Load() {
		return memoryStep{}, ErrStopped
	}
	s.nowMS = h.memory.nowMS()
	s.reply = h.record.record.Step(h.rules, s.nowMS, h.memory.random(), b)
	r := &s.reply
	known := h.knownEpoch.Load()
	if r.Transition.Cause == CauseCreated && known != epochUnknown { // only tests remove a record
		h.sink(Event{Kind: EventLost, Name: h.name, Epoch: known})
	}
	h.emitOverdue(r)
	h.emitIgnored(b.Results)
	if t := h.emitTransition(r.Transition, b.Detail.Err); t.Cause != "" && t.To == StateOpen {
		opened = &t
	}
	h.emitSkew(r.Policy)
	if known != r.Epoch { // an unneeded write would take the cache line from readers
		h.knownEpoch.Store(r.Epoch)
		if r.Transition.Cause == "" {
			h.emitStatus(known != epochUnknown, r.State, r.Mode)
		}
	}
	return s, nil
}

func (h *memoryHandle) Control(ctx context.Context, c Command) (Snapshot, error) {
	if h.knownEpoch.Load() == epochStopped {
		return Snapshot{}, ErrStopped
	}
	if err := h.memory.checkUsable(ctx); err != nil {
		return Snapshot{}, err
	}
	if err := c.Validate(); err != nil {
		return Snapshot{}, err
	}
	h.record.lockAndFold()
	defer h.record.publishAndUnlock(h.memory, h.name)
	now := h.memory.nowMS()
	moves, err := h.record.record.Control(h.rules, now, h.memory.random(), c)
	if known := h.knownEpoch.Load(); known != epochUnknown && createsRecord(moves) { // only tests remove a record
		h.sink(Event{Kind: EventLost, Name: h.name, Epoch: known})
	}
	for _, t := range moves {
		h.emitTransition(t, nil)
	}
	if len(moves) > 0 && h.knownEpoch.Load() != epochStopped {
		h.knownEpoch.Store(h.record.record.epoch) // its event was raised just now
	}
	return h.record.record.Snapshot(h.name, now), err
}

// Status reads the record itself, so its Age is 0. Successes that are still in a
// stripe would change nothing in it.
func (h *memoryHandle) Status() Status {
	h.record.mu.Lock()
	defer h.record.mu.Unlock()
	r := &h.record.record
	if !r.exists {
		return Status{Age: -1}
	}
	m := machine{Record: r, now: h.memory.nowMS()}
	if r.isModeOver(m.now) {
		return Status{}
	}
	s := Status{State: r.state, Mode: r.mode, ModeFor: ms(r.modeUntil - m.now)}
	if r.mode == ModeAuto || r.mode == ModeForcedOpen {
		s.RetryAfter = ms(m.remainingMS())
	}
	if left := r.rampLeftMS(m.now); left > 0 {
		s.RampFor, s.RampShare = ms(left), float64(r.rampShare(m.now))/scale
	}
	return s
}

func (h *memoryHandle) Now() int64 { return h.memory.nowNS() }

func (h *memoryHandle) Close() error {
	h.record.mu.Lock()
	before := h.knownEpoch.Swap(epochStopped)
	h.record.mu.Unlock()
	if before != epochStopped {
		h.memory.releaseHandle(h)
	}
	return nil
}
