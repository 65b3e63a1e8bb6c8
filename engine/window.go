package engine

import "strings"

func failing(o Outcome) int64 {
	if o == Failure || o == SlowFailure {
		return 1
	}
	return 0
}

func slow(o Outcome) int64 {
	if o == SlowSuccess || o == SlowFailure {
		return 1
	}
	return 0
}

// settleClosed counts n equal outcomes of a closed circuit, and judges each
// failure and slow call. It numbers what it counts (seq): every failure and slow
// call, and in a count window every success that changes the ring.
func (m *machine) settleClosed(o Outcome, n int64) {
	if !m.reads(fieldTally) {
		m.renew(CauseHealed)
		return
	}
	if o == Ignored {
		m.applied += n
		return
	}
	if !m.turn() {
		m.renew(CauseHealed)
		return
	}
	if o == Success {
		m.good(n)
		return
	}
	for ; n > 0 && len(m.moves) == 0; n-- {
		m.bad(o)
	}
}

// turn brings the window to now: mends times after a clock that went back,
// gives a shape its turn, moves to the current bucket. It reports false if a
// bucket does not read well.
func (m *machine) turn() bool {
	if m.shape.Kind != windowNone {
		m.notAfter(&m.stood, m.now)
	}
	if m.shape.Kind == windowTime && m.cell*m.shape.bucket() > m.now+m.shape.Size {
		m.empty()
	}
	if m.shape.Kind != windowNone && m.p.Window.Kind != windowNone && m.shape != m.p.Window && m.hadTurn() {
		m.empty()
	}
	if m.shape.Kind == windowNone {
		m.shapeAs(m.p.Window)
	}
	if m.shape.Kind == windowTime && m.now/m.shape.bucket() > m.cell {
		return m.rotate(m.now / m.shape.bucket())
	}
	return true
}

// hadTurn reports whether another shape may take the window's place: a time
// window had its period, a count window is full or an hour old, both at least a
// minute.
func (m *machine) hadTurn() bool {
	age := m.now - m.stood
	if age < 60_000 {
		return false
	}
	if m.shape.Kind == windowTime {
		return age >= m.shape.Size
	}
	return m.calls.all == m.shape.Size || age >= 3_600_000
}

// empty forgets window and reporters, and with them the window's shape.
func (m *machine) empty() {
	m.shape, m.stood, m.cell, m.clean = WindowShape{Kind: windowNone}, 0, 0, 0
	m.calls, m.fails, m.slows = pair{}, pair{}, pair{}
	m.cells, m.ring, m.reporters = nil, m.ring[:0], m.reporters[:0]
	m.dropJunk()
	m.wrote, m.bounded = true, true
}

// shapeAs gives an empty window its shape.
func (m *machine) shapeAs(s WindowShape) {
	if s.Kind == windowNone {
		return
	}
	m.shape, m.stood = s, m.now
	if s.Kind == windowTime {
		m.cell = m.now / s.bucket()
	}
	m.wrote, m.bounded = true, true
}

// rotate puts the current bucket away and adds up those that the window still
// reaches. It reports false if one of them does not read well.
func (m *machine) rotate(bucket int64) bool {
	if len(m.cells) == 0 {
		m.cells = make([]cell, buckets)
	}
	m.cells[m.cell%buckets] = cell{m.cell, m.calls.now, m.fails.now, m.slows.now}
	delete(m.junk, cellField(m.cell%buckets))
	var calls, fails, slows int64
	for i, c := range m.cells {
		if !m.reads(cellField(int64(i))) {
			return false
		}
		if c.bucket > bucket-buckets && c.bucket < bucket {
			calls, fails, slows = calls+c.calls, fails+c.fails, slows+c.slows
		}
	}
	m.cell = bucket
	m.calls, m.fails, m.slows = pair{0, calls}, pair{0, fails}, pair{0, slows}
	m.wrote, m.bounded = true, true
	return true
}

// good counts n fast successes. They cannot trip, so they are not judged. A
// count window full of them stays as it is.
func (m *machine) good(n int64) {
	if m.streak > 0 {
		m.streak = 0
		m.wrote = true
	}
	switch m.shape.Kind {
	case windowTime:
		m.add(&m.calls, n)
	case windowCount:
		moved := min(n, m.shape.Size-m.clean)
		pushed := m.push(Success, moved)
		m.seq += pushed
		m.clean += pushed
		if pushed < moved {
			m.applied += pushed
			m.renew(CauseHealed)
			return
		}
	}
	m.applied += n
}

// bad counts one failure or slow call and judges it.
func (m *machine) bad(o Outcome) {
	unread := m.p.Reporters > 1 && !m.reads(fieldReporters)
	if unread || m.shape.Kind == windowCount && m.push(o, 1) == 0 {
		m.renew(CauseHealed)
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
		m.add(&m.calls, 1)
		m.add(&m.fails, failing(o))
		m.add(&m.slows, slow(o))
	}
	m.note()
	if cause := m.judge(); cause != "" {
		m.open(cause, o)
	}
}

func (m *machine) add(p *pair, n int64) {
	p.now += n
	p.all += n
	m.wrote = true
}

// push puts n equal outcomes into the count ring, each in place of the oldest
// once the ring is full. It returns how many: fewer if a part of the ring does
// not read well.
func (m *machine) push(o Outcome, n int64) int64 {
	pushed := int64(0)
	for pushed < n {
		part := min(n-pushed, chunk-m.cell%chunk, m.shape.Size-m.cell)
		if !m.pushPart(o, part) {
			break
		}
		pushed += part
	}
	return pushed
}

// pushPart pushes n outcomes within one field of the ring.
func (m *machine) pushPart(o Outcome, n int64) bool {
	full := m.calls.all == m.shape.Size
	if (full || m.cell%chunk > 0) && !m.reads(cellField(m.cell/chunk)) {
		return false
	}
	var fails, slows int64
	if full {
		for _, code := range m.ring[m.cell : m.cell+n] {
			fails += failing(outcomeOf(code))
			slows += slow(outcomeOf(code))
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
	m.fails.all += n*failing(o) - fails
	m.slows.all += n*slow(o) - slows
	m.cell = (m.cell + n) % m.shape.Size
	m.wrote = true
	return true
}

func outcomeOf(code byte) Outcome { return Outcome(strings.IndexByte(outcomeCodes, code)) }

// dropJunk forgets what did not read well of a window that is emptied.
func (m *machine) dropJunk() {
	for field := range m.junk {
		if field == fieldReporters || field[0] == 'w' {
			delete(m.junk, field)
		}
	}
}
