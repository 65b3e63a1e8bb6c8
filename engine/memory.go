package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is the in-memory engine: a Storage within one process. A record lives
// as long as a handle on it; nothing expires. It counts as one reporter, so it
// takes MinReporters as 1.
type Memory struct {
	nanos  func() int64 // the time; it begins at 1, since 0 means not read
	random func() int64
	closed atomic.Bool

	mu      sync.Mutex
	records map[string]*memoryRecord
	rules   map[string]*memoryRules // by their text
}

// memoryRules are shared by all handles of one policy, which may be thousands.
type memoryRules struct {
	Rules
	handles int
}

// MemoryOption configures NewMemory.
type MemoryOption func(*Memory)

// WithClock replaces the monotonic clock, for tests: now is the time since any
// fixed instant, and must be safe for concurrent use. That it went back is
// noticed by the next call that reads it.
func WithClock(now func() time.Duration) MemoryOption {
	return func(m *Memory) {
		if now != nil {
			m.nanos = func() int64 { return int64(now()) + 1 }
		}
	}
}

// NewMemory returns an empty in-memory engine. Its time base begins now, so in
// a testing/synctest bubble it runs on the bubble's clock.
func NewMemory(opts ...MemoryOption) *Memory {
	start := time.Now()
	m := &Memory{
		nanos:   func() int64 { return int64(time.Since(start)) + 1 },
		random:  Random,
		records: map[string]*memoryRecord{},
		rules:   map[string]*memoryRules{},
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
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.records {
		r.lock()
		r.unlock(m, name) // into a phase in which all calls take the lock
	}
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
	m.mu.Lock()
	defer m.mu.Unlock()
	shared := m.rules[rules.Text()]
	if shared == nil {
		shared = &memoryRules{Rules: rules}
		m.rules[rules.Text()] = shared
	}
	shared.handles++
	r := m.records[name]
	if r == nil {
		r = newMemoryRecord()
		m.records[name] = r
	}
	r.handles++
	h := &memoryHandle{memory: m, record: r, window: rules.Window.code(), teller: newTeller(name, &shared.Rules, sink)}
	h.seen.Store(unseen)
	return h, nil
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
		r = newMemoryRecord()
	}
	r.lock()
	defer r.unlock(m, name)
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
	r.lock()
	defer r.unlock(m, name)
	return r.record.Snapshot(name, m.now()), nil
}

// release ends a handle on a record. The last one takes the record with it.
func (m *Memory) release(h *memoryHandle) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := h.record
	r.handles--
	if r.handles == 0 && m.records[h.name] == r {
		delete(m.records, h.name)
	}
	rules := m.rules[h.rules.Text()]
	rules.handles--
	if rules.handles == 0 {
		delete(m.rules, rules.Text())
	}
}

func (m *Memory) ready(ctx context.Context) error {
	if m.closed.Load() {
		return ErrStopped
	}
	return ctx.Err()
}

// now is the engine's time in ms.
func (m *Memory) now() int64 { return m.nanos() / int64(time.Millisecond) }
