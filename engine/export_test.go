package engine

// SetRandom replaces the engine's randomness, so that a test can run it beside
// the pure machine.
func (m *Memory) SetRandom(random func() int64) { m.random = random }

// SetStripes gives a record this many stripes, contended or not.
func (m *Memory) SetStripes(name string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[name]
	r.lockAndFold()
	defer r.publishAndUnlock(m, name)
	r.stripeCount = int32(n)
}

// Record returns a copy of a record.
func (m *Memory) Record(name string) []Field {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[name]; r != nil {
		r.lockAndFold()
		defer r.publishAndUnlock(m, name)
		return r.record.Fields()
	}
	return nil
}

// SetRecord replaces the record of a breaker that is bound.
func (m *Memory) SetRecord(name string, r Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := m.records[name]
	held.lockAndFold()
	defer held.publishAndUnlock(m, name)
	held.record = r
}
