package engine

// openCircuit begins an open period. o is the outcome that caused it: a failure may
// carry its own open time.
func (m *machine) openCircuit(cause Cause, o Outcome) {
	m.expireTrips()
	trips := min(m.trips+1, MaxTrips)
	planned := m.p.plannedOpenMS(trips)
	openFor := m.applyJitter(planned)
	if m.ownMS > 0 && (o == Failure || o == SlowFailure) {
		openFor = min(max(planned, m.ownMS), m.p.MaxMS)
	}
	m.beginOpen(trips, openFor, cause)
}

// expireTrips starts a new row of opens if the circuit was closed for at least
// as long as it was last open. Nothing else ages trips.
func (m *machine) expireTrips() {
	if m.state == StateClosed && m.now-m.since >= m.openFor {
		m.trips = 0
	}
}

// plannedOpenMS is the length of the trips-th open in a row.
func (p *Rules) plannedOpenMS(trips int64) int64 {
	ms := p.OpenMS
	for k := int64(1); k < trips && ms < p.MaxMS && p.Multiplier > scale; k++ {
		ms = ms * p.Multiplier / scale
	}
	return min(ms, p.MaxMS)
}

// applyJitter shortens an open period by a random share.
func (m *machine) applyJitter(planned int64) int64 {
	return max(1, planned-planned*m.p.Jitter/scale*(m.rnd/epochsPerMS)/jitterSteps)
}

// beginOpen opens for openFor ms as the trips-th open in a row.
func (m *machine) beginOpen(trips, openFor int64, cause Cause) {
	m.makeTransition(StateOpen, m.mode, cause)
	m.until = m.now + openFor
	m.openFor = openFor
	m.trips = trips
}

// closeCircuit ends a round that succeeded. trips and open_for stay: they are the
// memory of the backoff.
func (m *machine) closeCircuit(cause Cause) {
	m.makeTransition(StateClosed, m.mode, cause)
	m.until = 0
}

// resetCircuit closes, and forgets the row of opens too.
func (m *machine) resetCircuit(mode Mode, cause Cause) {
	m.makeTransition(StateClosed, mode, cause)
	m.until, m.openFor, m.trips = 0, 0, 0
}

// releaseMode returns to auto, closed and forgotten.
func (m *machine) releaseMode(cause Cause) {
	m.resetCircuit(ModeAuto, cause)
	m.modeTerm = modeTerm{}
}

// renewRecord makes a record that is absent, or that does not read well, anew. A mode
// that reads well and has not ended survives, and so do the log and the epoch.
func (m *machine) renewRecord(cause Cause) {
	if !m.exists || !m.isFieldReadable(fieldHead) {
		m.exists = true
		m.newest = m.findNewest()
	}
	mode := m.keepValidMode()
	state := StateClosed
	if m.p.StartOpen == 1 && (mode == ModeAuto || mode == ModeShadow) {
		state = StateOpen
	}
	m.expires = 0
	m.makeTransition(state, mode, cause)
	m.until, m.openFor, m.trips = 0, 0, 0
	if state == StateOpen {
		m.until, m.openFor, m.trips = m.now+m.p.OpenMS, m.p.OpenMS, 1
	}
}

// keepValidMode is the mode that a renewed record keeps.
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

// makeTransition changes state or mode: a new epoch, an entry in the log, and all
// that belonged to the old epoch emptied.
func (m *machine) makeTransition(to State, mode Mode, cause Cause) {
	from, fromMode, tally := m.state, m.mode, m.describeTally(cause)
	m.epoch = nextEpoch(m.epoch, m.now, m.rnd)
	m.state, m.mode = to, mode
	m.since = m.now
	m.fingerprint, m.policy = m.p.Fingerprint(), m.p.Text()
	m.clearWindow()
	m.streak, m.seq, m.fastFrom, m.fastUntil = 0, 0, 0, 0
	m.round = round{}
	m.junk = nil
	m.appendLog(Transition{
		Epoch: m.epoch, At: m.now, From: from, To: to, FromMode: fromMode, ToMode: mode,
		Cause: cause, Tally: tally, By: m.by, Text: m.text,
	})
}

// nextEpoch changes with every transition. Its random part keeps a record that
// was flushed or rolled back from repeating an epoch, but for 1 in 1024.
func nextEpoch(old, now, rnd int64) int64 {
	epoch := max(now*epochsPerMS, old+1) + rnd%epochsPerMS
	if epoch > maxEpoch {
		epoch = now*epochsPerMS + rnd%epochsPerMS
	}
	return epoch
}
