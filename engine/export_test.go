package engine

// SetRandom replaces the engine's randomness, so that a test can run it beside
// the pure machine.
func (m *Memory) SetRandom(random func() int64) { m.random = random }

// Record returns a copy of a record.
func (m *Memory) Record(name string) []Field {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[name]; r != nil {
		return r.record.Fields()
	}
	return nil
}
