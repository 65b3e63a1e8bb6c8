package engine

import "strings"

// A record begins again when it is created, healed, reset by an operator or released
// from a mode.

// resetCircuit closes the circuit and clears the row of opens. modeMS is the length
// of a mode that begins with it.
func (m *machine) resetCircuit(mode Mode, cause Cause, modeMS int64) {
	m.makeTransition(StateClosed, mode, cause, modeMS)
	m.until, m.openFor, m.trips = 0, 0, 0
}

// releaseMode returns to auto, closed and without memory: a mode may have
// hidden the dependency for hours, and what was counted before says nothing
// about now.
func (m *machine) releaseMode(cause Cause) {
	m.resetCircuit(ModeAuto, cause, 0)
	m.modeTerm = modeTerm{}
}

// initialReason is the reason of a mode that the policy sets.
const initialReason = "initial"

// renewRecord creates a record that is absent, or replaces one that is damaged.
// The log, the epoch and a sound mode that has not ended survive, because
// losing an operator's decision is worse than losing counts. So the policy's initial
// mode applies only to a record that is created: a damaged one may have been released
// from it.
func (m *machine) renewRecord(cause Cause) {
	if !m.exists || !m.isFieldReadable(fieldHead) {
		m.exists = true
		m.newest = m.findNewest()
	}
	mode := m.keepValidMode()
	if cause == CauseCreated && m.p.Initial.Mode != ModeAuto {
		mode = m.p.Initial.Mode
		m.modeTerm = modeTerm{modeReason: initialReason}
	}
	state, openFor := StateClosed, int64(0)
	if mode == ModeAuto || mode == ModeShadow {
		state = m.p.Initial.State
	}
	if state == StateOpen {
		openFor = m.p.OpenMS
	}
	m.expires = 0
	m.makeTransition(state, mode, cause, openFor)
	m.until, m.openFor, m.trips = 0, 0, 0
	if state == StateOpen {
		m.until, m.openFor, m.trips = m.now+openFor, openFor, 1
	}
	if state == StateHalfOpen {
		m.beginRound(m.p.Probes, m.p.Successes, m.p.LeaseMS)
	}
}

// keepValidMode returns the mode that a renewed record keeps, and clears its
// details if it keeps none.
func (m *machine) keepValidMode() Mode {
	if m.mode != ModeAuto && m.isFieldReadable(fieldMode) {
		m.modeUntil = min(m.modeUntil, m.now+m.modeFor)
		if m.modeUntil == 0 || m.now < m.modeUntil {
			return m.mode
		}
	}
	m.modeTerm = modeTerm{}
	return ModeAuto
}

// findNewest returns the number of the newest entry without the help of the head,
// for a record whose head is lost; 0 if there is none. An entry counts only in the
// slot that its number gives.
func (r *Record) findNewest() int64 {
	newest, epoch := int64(0), int64(0)
	for slot := range int64(logSlots) {
		var n, e int64
		entry := r.slotEntry(slot)
		length := leadingInt(entry, &n)
		if length == 0 || !within(n, 1, maxNumber) || n%logSlots != slot || !strings.HasPrefix(entry[length:], " ") {
			continue
		}
		rest := entry[length+1:]
		if length = leadingInt(rest, &e); length > 0 && strings.HasPrefix(rest[length:], " ") && e > epoch {
			newest, epoch = n, e
		}
	}
	return newest
}
