package engine

// A window remembers recent outcomes within bounds that do not depend on traffic.
//
// A time window has ten buckets, aligned to the storage's clock. The current one
// is in the tally, as the first number of each pair, so that most outcomes touch
// one field; the second number is the sum over the whole window. When the clock
// enters another bucket, the current one moves to its place in cells (its number
// modulo ten) and the sums are taken again.
//
// A count window is a ring of letters. cell is the place of the next outcome; the
// sums follow from the letter that it replaces. A ring that holds nothing but fast
// successes (clean equals its size) does not move for another one.
//
// The policies of a mixed fleet may ask for different windows. There is one window,
// of one shape at a time, see mayChangeShape; outcomes are counted in whatever
// shape it has, and judged by it only where the policy has the same.

// settleClosed counts n equal outcomes of a closed circuit. It judges each
// failure and each slow call, and stops at the one that opens the circuit; the
// rest of the run is stale. Outcomes are numbered (seq) where a rule may ask
// how long ago one was: each failure and slow call, and in a count window each
// success that changes the ring. TripNow is neither counted nor judged: it is the
// dependency's word and not a host's guess, so no threshold gates it.
func (m *machine) settleClosed(o Outcome, n int64) {
	if !m.isFieldReadable(fieldTally) {
		m.renewRecord(CauseHealed)
		return
	}
	if o == Ignored {
		m.applied += n
		return
	}
	if o == TripNow {
		m.applied++
		m.openCircuit(CauseDemanded)
		return
	}
	for first := true; n > 0 && len(m.transitions) == 0; first = false {
		// Within a run only a window of another shape can change for the next outcome.
		if (first || m.shape != m.p.Window) && !m.advanceWindow() {
			m.renewRecord(CauseHealed)
			return
		}
		part := int64(1)
		if o == Success {
			part = min(n, m.outcomesUntilTurn())
			m.countSuccesses(part)
		} else {
			m.countBadOutcome(o)
		}
		n -= part
	}
}

// advanceWindow brings the window to the present: it repairs times after a
// clock that went back, gives another policy's shape its turn, and moves to the
// current bucket. It returns false if a bucket is damaged.
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

// mayChangeShape reports whether another shape may take the window's place. Two
// policies under one name would otherwise empty each other's window with every
// outcome; so a time window keeps its shape for its period, a count window
// until it is full or an hour old, and both for at least a minute.
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

// clearWindow empties window and reporters, and with them the window's shape.
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
		m.addCalls(1, failureOf(o), slowOf(o))
	}
	m.rememberReporter()
	if cause := m.p.findCause(&m.tally, m.oldestNeededReporter()); cause != "" {
		m.openCircuit(cause)
	}
}

// dropWindowJunk drops the damaged fields of a window that is emptied.
func (m *machine) dropWindowJunk() {
	for field := range m.junk {
		if field == fieldReporters || field[0] == 'w' {
			delete(m.junk, field)
		}
	}
}
