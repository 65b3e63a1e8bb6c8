package engine

import "strings"

func failureOf(o Outcome) int64 {
	if o == Failure || o == SlowFailure {
		return 1
	}
	return 0
}

func slowOf(o Outcome) int64 {
	if o == SlowSuccess || o == SlowFailure {
		return 1
	}
	return 0
}

// settleClosed counts n equal outcomes of a closed circuit, and judges each
// failure and slow call. It numbers what it counts (seq): every failure and slow
// call, and in a count window every success that changes the ring.
func (m *machine) settleClosed(o Outcome, n int64) {
	if !m.isFieldReadable(fieldTally) {
		m.renewRecord(CauseHealed)
		return
	}
	if o == Ignored {
		m.applied += n
		return
	}
	if !m.advanceWindow() {
		m.renewRecord(CauseHealed)
		return
	}
	if o == Success {
		m.countSuccesses(n)
		return
	}
	for ; n > 0 && len(m.transitions) == 0; n-- {
		m.countBadOutcome(o)
	}
}

// advanceWindow brings the window to now: mends times after a clock that went back,
// gives a shape its turn, moves to the current bucket. It reports false if a
// bucket does not read well.
func (m *machine) advanceWindow() bool {
	if m.shape.Kind != windowNone {
		m.capTime(&m.shapeSince, m.now)
	}
	if m.shape.Kind == windowTime && m.cell*m.shape.bucketMS() > m.now+m.shape.Size {
		m.clearWindow()
	}
	if m.shape.Kind != windowNone && m.p.Window.Kind != windowNone && m.shape != m.p.Window && m.mayChangeShape() {
		m.clearWindow()
	}
	if m.shape.Kind == windowNone {
		m.setShape(m.p.Window)
	}
	if m.shape.Kind == windowTime && m.now/m.shape.bucketMS() > m.cell {
		return m.rotateBuckets(m.now / m.shape.bucketMS())
	}
	return true
}

// mayChangeShape reports whether another shape may take the window's place: a time
// window had its period, a count window is full or an hour old, both at least a
// minute.
func (m *machine) mayChangeShape() bool {
	age := m.now - m.shapeSince
	if age < minShapeMS {
		return false
	}
	if m.shape.Kind == windowTime {
		return age >= m.shape.Size
	}
	return m.calls.all == m.shape.Size || age >= maxShapeMS
}

// clearWindow forgets window and reporters, and with them the window's shape.
func (m *machine) clearWindow() {
	m.shape, m.shapeSince, m.cell, m.clean = WindowShape{Kind: windowNone}, 0, 0, 0
	m.calls, m.fails, m.slows = pair{}, pair{}, pair{}
	m.cells, m.ring, m.reporters = nil, m.ring[:0], m.reporters[:0]
	m.dropWindowJunk()
	m.wrote, m.resetsFast = true, true
}

// setShape gives an empty window its shape.
func (m *machine) setShape(s WindowShape) {
	if s.Kind == windowNone {
		return
	}
	m.shape, m.shapeSince = s, m.now
	if s.Kind == windowTime {
		m.cell = m.now / s.bucketMS()
	}
	m.wrote, m.resetsFast = true, true
}

// rotateBuckets puts the current bucket away and adds up those that the window still
// reaches. It reports false if one of them does not read well.
func (m *machine) rotateBuckets(bucket int64) bool {
	if len(m.cells) == 0 {
		m.cells = make([]cell, buckets)
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
	m.cell = bucket
	m.calls, m.fails, m.slows = pair{0, calls}, pair{0, fails}, pair{0, slows}
	m.wrote, m.resetsFast = true, true
	return true
}

// countSuccesses counts n fast successes. They cannot trip, so they are not judged. A
// count window full of them stays as it is.
func (m *machine) countSuccesses(n int64) {
	if m.streak > 0 {
		m.streak = 0
		m.wrote = true
	}
	switch m.shape.Kind {
	case windowTime:
		m.addCalls(&m.calls, n)
	case windowCount:
		moved := min(n, m.shape.Size-m.clean)
		pushed := m.pushOutcomes(Success, moved)
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

// countBadOutcome counts one failure or slow call and judges it.
func (m *machine) countBadOutcome(o Outcome) {
	unread := m.p.Reporters > 1 && !m.isFieldReadable(fieldReporters)
	if unread || m.shape.Kind == windowCount && m.pushOutcomes(o, 1) == 0 {
		m.renewRecord(CauseHealed)
		return
	}
	m.applied++
	m.wrote = true
	m.seq++
	m.streak++
	if o == SlowSuccess {
		m.streak = 0
	}
	m.clean = 0
	if m.shape.Kind == windowTime {
		m.addCalls(&m.calls, 1)
		m.addCalls(&m.fails, failureOf(o))
		m.addCalls(&m.slows, slowOf(o))
	}
	m.rememberReporter()
	if cause := m.findCause(); cause != "" {
		m.openCircuit(cause, o)
	}
}

func (m *machine) addCalls(p *pair, n int64) {
	p.current += n
	p.all += n
	m.wrote = true
}

// pushOutcomes puts n equal outcomes into the count ring, each in place of the oldest
// once the ring is full. It returns how many: fewer if a part of the ring does
// not read well.
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

// pushWithinChunk pushes n outcomes within one field of the ring.
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

func outcomeOf(code byte) Outcome { return Outcome(strings.IndexByte(outcomeCodes, code)) }

// dropWindowJunk forgets what did not read well of a window that is emptied.
func (m *machine) dropWindowJunk() {
	for field := range m.junk {
		if field == fieldReporters || field[0] == 'w' {
			delete(m.junk, field)
		}
	}
}
