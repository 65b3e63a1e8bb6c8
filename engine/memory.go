package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is the in-memory engine: a Storage within one process. A record lives
// as long as a handle on it; nothing expires. It counts as one reporter, so it
// takes MinReporters as 1.
type Memory struct {
	clock  func() time.Duration
	random func() int64
	closed atomic.Bool

	mu      sync.Mutex
	records map[string]*memoryRecord
}

// memoryRecord is a record and those who hold it.
type memoryRecord struct {
	mu      sync.Mutex
	record  Record
	handles int // guarded by Memory.mu
}

// MemoryOption configures NewMemory.
type MemoryOption func(*Memory)

// WithClock replaces the monotonic clock, for tests: now is the time since any
// fixed instant, and must be safe for concurrent use.
func WithClock(now func() time.Duration) MemoryOption {
	return func(m *Memory) {
		if now != nil {
			m.clock = now
		}
	}
}

// NewMemory returns an empty in-memory engine. Its time base begins now, so in
// a testing/synctest bubble it runs on the bubble's clock.
func NewMemory(opts ...MemoryOption) *Memory {
	start := time.Now()
	m := &Memory{
		clock:   func() time.Duration { return time.Since(start) },
		random:  random,
		records: map[string]*memoryRecord{},
	}
	for _, o := range opts {
		o(m)
	}
	return m
}

// Kind returns memory.
func (m *Memory) Kind() string { return "memory" }

// Close makes every further call through the engine fail with ErrStopped.
func (m *Memory) Close() error {
	m.closed.Store(true)
	return nil
}

// Bind returns a handle on the record of that name, which all handles of this
// engine share. The error wraps ErrInvalid, or is ErrStopped.
func (m *Memory) Bind(name string, p Policy, sink func(Event)) (Handle, error) {
	if m.closed.Load() {
		return nil, ErrStopped
	}
	if err := errors.Join(CheckName(name), p.Validate()); err != nil {
		return nil, err
	}
	p.MinReporters = 1
	rules, _ := p.Rules()
	h := &memoryHandle{memory: m, name: name, rules: rules}
	h.Observer = NewObserver(name, &h.rules, h.Now, sink)
	m.mu.Lock()
	defer m.mu.Unlock()
	h.record = m.records[name]
	if h.record == nil {
		h.record = &memoryRecord{}
		m.records[name] = h.record
	}
	h.record.handles++
	return h, nil
}

// CheckName returns an error that wraps ErrInvalid if no breaker can have the name.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("redbreaker: the name is empty, name what the breaker protects: %w", ErrInvalid)
	}
	return nil
}

// Control applies a command by name. Where no handle is bound, the record that
// it makes waits for one.
func (m *Memory) Control(ctx context.Context, name string, c Command) (Snapshot, error) {
	if err := m.ready(ctx); err != nil {
		return Snapshot{}, err
	}
	if err := errors.Join(CheckName(name), c.Validate()); err != nil {
		return Snapshot{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[name]
	if r == nil {
		r = &memoryRecord{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rules, ok := r.record.Rules()
	if !ok {
		rules, _ = Policy{}.Rules()
	}
	_, err := r.record.Control(&rules, m.now(), m.random(), c)
	if r.record.exists {
		m.records[name] = r
	}
	return r.record.Snapshot(name, m.now()), err
}

// Inspect reads a record as it stands.
func (m *Memory) Inspect(ctx context.Context, name string) (Snapshot, error) {
	if err := m.ready(ctx); err != nil {
		return Snapshot{}, err
	}
	if err := CheckName(name); err != nil {
		return Snapshot{}, err
	}
	m.mu.Lock()
	r := m.records[name]
	m.mu.Unlock()
	if r == nil {
		return (&Record{}).Snapshot(name, 0), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record.Snapshot(name, m.now()), nil
}

func (m *Memory) ready(ctx context.Context) error {
	if m.closed.Load() {
		return ErrStopped
	}
	return ctx.Err()
}

// nanos is the engine's time. It begins at 1, since 0 means not read.
func (m *Memory) nanos() int64 { return int64(m.clock()) + 1 }

// now is the engine's time in ms.
func (m *Memory) now() int64 { return m.nanos() / int64(time.Millisecond) }

// random is a step's randomness: an integer below 2^20.
func random() int64 { return int64(rand.Uint32N(1 << 20)) }

// memoryHandle is one breaker's view of its record.
type memoryHandle struct {
	*Observer
	memory *Memory
	record *memoryRecord
	name   string
	rules  Rules
	closed atomic.Bool
}

func (h *memoryHandle) Acquire(ctx context.Context) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, err
	}
	r, err := h.step(Batch{Admissions: 1}, 0)
	if err != nil {
		return Ticket{}, err
	}
	return h.Admission(&r, 0)
}

func (h *memoryHandle) Report(_ context.Context, t Ticket, o Outcome, at int64, d *Detail) (bool, error) {
	b := Batch{Results: []Result{{Ticket: t, Runs: []Run{{Outcome: o, N: 1}}}}}
	if d != nil {
		b.Detail = *d
	}
	if !t.Counted() || o == Ignored && t.Lease == 0 {
		return false, nil
	}
	r, err := h.step(b, at)
	return r.Stale > 0, err
}

func (h *memoryHandle) Step(ctx context.Context, b Batch) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	if err := b.Validate(); err != nil {
		return Reply{}, err
	}
	return h.step(b, 0)
}

// step runs the machine under the record's lock; the events leave in its order.
// at is the time if it was just read, else 0: then it is read under the lock, so
// that steps see it in their order.
func (h *memoryHandle) step(b Batch, at int64) (Reply, error) {
	if h.closed.Load() || h.memory.closed.Load() {
		return Reply{}, ErrStopped
	}
	h.record.mu.Lock()
	defer h.record.mu.Unlock()
	if at == 0 {
		at = h.Now()
	}
	r := h.record.record.Step(&h.rules, at/int64(time.Millisecond), h.memory.random(), b)
	h.Observe(b, r)
	return r, nil
}

func (h *memoryHandle) Control(ctx context.Context, c Command) (Snapshot, error) {
	if h.closed.Load() {
		return Snapshot{}, ErrStopped
	}
	if err := h.memory.ready(ctx); err != nil {
		return Snapshot{}, err
	}
	if err := c.Validate(); err != nil {
		return Snapshot{}, err
	}
	h.record.mu.Lock()
	defer h.record.mu.Unlock()
	now := h.memory.now()
	moves, err := h.record.record.Control(&h.rules, now, h.memory.random(), c)
	s := h.record.record.Snapshot(h.name, now)
	h.Commanded(s, moves)
	return s, err
}

// Status is the record itself: in memory nothing needs to be remembered.
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
		s.RetryAfter = ms(m.left())
	}
	return s
}

func (h *memoryHandle) Now() int64 { return h.memory.nanos() }

func (h *memoryHandle) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	m := h.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	h.record.handles--
	if h.record.handles == 0 && m.records[h.name] == h.record {
		delete(m.records, h.name)
	}
	return nil
}
