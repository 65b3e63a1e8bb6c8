package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is the in-memory engine: a [Storage] within one process, safe for
// concurrent use. Use [NewMemory] to make one; the zero value is not usable. A
// record lives until its last handle is closed; nothing expires. The process is
// the only reporter, so MinReporters counts as 1.
type Memory struct {
	nowNS  func() int64 // the clock; it begins at 1, because 0 means not read
	random func() int64
	closed atomic.Bool

	mu      sync.Mutex
	records map[string]*memoryRecord
	rules   map[string]*memoryRules // by their text
}

// memoryRules is shared by all handles of one policy, which may be thousands.
type memoryRules struct {
	Rules
	handles int
}

// MemoryOption configures [NewMemory].
type MemoryOption func(*Memory)

// WithClock replaces the monotonic clock, for tests. now returns the time since any
// fixed instant and must be safe for concurrent use; nil keeps the default. If it
// goes back, the next call that reads it mends the record.
func WithClock(now func() time.Duration) MemoryOption {
	return func(m *Memory) {
		if now != nil {
			m.nowNS = func() int64 { return int64(now()) + 1 }
		}
	}
}

// NewMemory returns an empty in-memory engine. In a testing/synctest bubble it
// runs on the bubble's clock.
func NewMemory(opts ...MemoryOption) *Memory {
	start := time.Now()
	m := &Memory{
		nowNS:   func() int64 { return int64(time.Since(start)) + 1 },
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
		r.lockAndFold()
		r.publishAndUnlock(m, name) // a decision that sends all calls to the mutex
	}
	return nil
}

// Bind returns a handle on the record of that name, which all handles of this
// engine share. The error wraps [ErrInvalid], or is [ErrStopped].
func (m *Memory) Bind(name string, p Policy, sink func(Event)) (Handle, error) {
	if m.closed.Load() {
		return nil, ErrStopped
	}
	rules, err := memoryRulesOf(p)
	if err := errors.Join(CheckName(name), err); err != nil {
		return nil, err
	}
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
	h := &memoryHandle{memory: m, record: r, window: rules.Window.code(), notifier: newNotifier(name, &shared.Rules, sink)}
	h.knownEpoch.Store(epochUnknown)
	return h, nil
}

// lastRules are the rules of the policy that was bound last, in any engine. Breakers
// are often bound by one policy, and to validate and encode it costs more than the
// rest of Bind.
var lastRules atomic.Pointer[boundRules]

type boundRules struct {
	policy Policy
	rules  Rules
}

// memoryRulesOf returns the rules of a policy in memory, which has one reporter.
func memoryRulesOf(p Policy) (Rules, error) {
	if last := lastRules.Load(); last != nil && last.policy == p {
		return last.rules, nil
	}
	if err := p.Validate(); err != nil {
		return Rules{}, err
	}
	alone := p
	alone.MinReporters = 1
	rules, err := alone.Rules()
	if err != nil {
		return Rules{}, err
	}
	lastRules.Store(&boundRules{policy: p, rules: rules})
	return rules, nil
}

// Control applies a command by name. A record that it creates is kept until the
// last handle on it, if any, is closed.
func (m *Memory) Control(ctx context.Context, name string, c Command) (Snapshot, error) {
	if err := m.checkUsable(ctx); err != nil {
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
	r.lockAndFold()
	defer r.publishAndUnlock(m, name)
	rules, ok := r.record.Rules()
	if !ok {
		rules, _ = Policy{}.Rules()
	}
	_, err := r.record.Control(&rules, m.nowMS(), m.random(), c)
	if r.record.exists {
		m.records[name] = r
	}
	return r.record.Snapshot(name, m.nowMS()), err
}

// Inspect reads a record and changes nothing.
func (m *Memory) Inspect(ctx context.Context, name string) (Snapshot, error) {
	if err := m.checkUsable(ctx); err != nil {
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
	r.lockAndFold()
	defer r.publishAndUnlock(m, name)
	return r.record.Snapshot(name, m.nowMS()), nil
}

// releaseHandle drops a handle's claim on its record and rules. The last handle
// of a record removes it.
func (m *Memory) releaseHandle(h *memoryHandle) {
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

// checkUsable returns [ErrStopped] after Close, or the context's error.
func (m *Memory) checkUsable(ctx context.Context) error {
	if m.closed.Load() {
		return ErrStopped
	}
	return ctx.Err()
}

// nowMS returns the time in ms, the unit of records.
func (m *Memory) nowMS() int64 { return m.nowNS() / int64(time.Millisecond) }
