package engine

import "strings"

// The cells of a window are its buckets or its ring. window.go explains them.

// failureOf returns 1 for a failure, else 0.
func failureOf(o Outcome) int64 {
	if o == Failure || o == SlowFailure || o == TripNow {
		return 1
	}
	return 0
}

// slowOf returns 1 for a slow call, else 0.
func slowOf(o Outcome) int64 {
	if o == SlowSuccess || o == SlowFailure {
		return 1
	}
	return 0
}

// outcomesUntilTurn returns how many outcomes the window takes before the policy's
// shape may replace its own: until a count window of another shape is full. A batch
// must equal its outcomes one by one, so a run is cut there.
func (m *machine) outcomesUntilTurn() int64 {
	if m.shape.Kind == windowCount && m.p.Window.Kind != windowNone && m.shape != m.p.Window && m.calls.all < m.shape.Size {
		return m.shape.Size - m.calls.all
	}
	return maxInt
}

// rotateBuckets stores the current bucket and adds up the buckets that the
// window still covers. It adds them up instead of subtracting those that leave,
// so that a damaged sum does not live on. It returns false if one of them is
// damaged.
func (m *machine) rotateBuckets(bucket int64) bool {
	if m.cells == nil {
		m.cells = new([buckets]cell)
	}
	m.cells[m.cell%buckets] = cell{m.cell, m.calls.current, m.fails.current, m.slows.current}
	delete(m.junk, cellField(m.cell%buckets))
	var calls, fails, slows int64
	for i, c := range m.cells {
		if !m.isFieldReadable(cellField(int64(i))) {
			return false
		}
		if c.bucket > bucket-buckets && c.bucket < bucket {
			calls, fails, slows = calls+c.calls, fails+c.fails, slows+c.slows
		}
	}
	if calls > maxTally { // no honest window counts so many
		return false
	}
	m.cell = bucket
	m.calls, m.fails, m.slows = pair{0, calls}, pair{0, fails}, pair{0, slows}
	m.wrote, m.resetsFast = true, true
	return true
}

// countSuccesses counts n fast successes. They are not judged: no rule can
// begin to apply because of a success. A count window that holds nothing but
// successes stays as it is, so that a healthy breaker writes nothing.
func (m *machine) countSuccesses(n int64) {
	if m.streak > 0 {
		m.streak = 0
		m.wrote = true
	}
	switch m.shape.Kind {
	case windowTime:
		m.addCalls(n, 0, 0)
	case windowCount:
		moved := min(n, m.shape.Size-m.clean)
		pushed := moved
		if moved == m.shape.Size-m.clean && moved > chunk {
			m.fillRing(moved)
		} else {
			pushed = m.pushOutcomes(Success, moved)
		}
		m.seq += pushed
		m.clean += pushed
		if pushed < moved {
			m.applied += pushed
			m.renewRecord(CauseHealed)
			return
		}
	}
	m.applied += n
}

// fillRing puts n successes into a ring that then holds nothing else, so that it does
// not have to read what they replace.
func (m *machine) fillRing(n int64) {
	size := m.shape.Size
	m.ring = append(m.ring, make([]byte, size-m.calls.all)...)
	for n > 0 {
		i := m.cell / chunk
		for at := i * chunk; at < min(size, (i+1)*chunk); at++ {
			m.ring[at] = Success.Code()
		}
		delete(m.junk, cellField(i))
		part := min(n, chunk-m.cell%chunk, size-m.cell)
		m.cell, n = (m.cell+part)%size, n-part
	}
	m.calls.all, m.fails.all, m.slows.all = size, 0, 0
	m.wrote = true
}

// addCalls adds to the current bucket and to the whole window. A window that holds
// maxTally calls takes in no more until some leave it: the rates of so many calls do
// not change by a few, and a sum beyond it would be taken for damage.
func (m *machine) addCalls(calls, fails, slows int64) {
	n := min(calls, maxTally-m.calls.all)
	if n < calls {
		fails, slows = 0, 0
	}
	m.calls.current, m.calls.all = m.calls.current+n, m.calls.all+n
	m.fails.current, m.fails.all = m.fails.current+fails, m.fails.all+fails
	m.slows.current, m.slows.all = m.slows.current+slows, m.slows.all+slows
	m.wrote = true
}

// pushOutcomes puts n equal outcomes into the ring of a count window, each in
// place of the oldest once the ring is full. It returns how many it put in:
// fewer if a part of the ring is damaged.
func (m *machine) pushOutcomes(o Outcome, n int64) int64 {
	pushed := int64(0)
	for pushed < n {
		part := min(n-pushed, chunk-m.cell%chunk, m.shape.Size-m.cell)
		if !m.pushWithinChunk(o, part) {
			break
		}
		pushed += part
	}
	return pushed
}

// pushWithinChunk puts n outcomes into one field of the ring. It returns false
// if that field is damaged.
func (m *machine) pushWithinChunk(o Outcome, n int64) bool {
	full := m.calls.all == m.shape.Size
	if (full || m.cell%chunk > 0) && !m.isFieldReadable(cellField(m.cell/chunk)) {
		return false
	}
	var fails, slows int64
	if full {
		for _, code := range m.ring[m.cell : m.cell+n] {
			fails += failureOf(outcomeOf(code))
			slows += slowOf(outcomeOf(code))
		}
		if fails > m.fails.all || slows > m.slows.all {
			return false
		}
	} else {
		m.ring = append(m.ring, make([]byte, n)...)
		m.calls.all += n
	}
	for i := range n {
		m.ring[m.cell+i] = o.Code()
	}
	m.fails.all += n*failureOf(o) - fails
	m.slows.all += n*slowOf(o) - slows
	m.cell = (m.cell + n) % m.shape.Size
	m.wrote = true
	return true
}

// outcomeOf returns the outcome that a letter of the ring means.
func outcomeOf(code byte) Outcome { return Outcome(strings.IndexByte(outcomeCodes, code)) }
