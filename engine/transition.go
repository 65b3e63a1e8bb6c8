package engine

// The epoch is the fence of everything: each transition begins a new one, a ticket
// carries the epoch that admitted its call, and a result of another epoch changes
// nothing. So a late result cannot open a circuit that has recovered since, nor
// close one that has opened again, and no process needs to know what others did.

// openCircuit begins an open period. A failure's own open time, such as a
// Retry-After, takes the place of OpenFor, be it longer or shorter: the dependency
// knows best. The backoff applies to it too, so that a dependency that keeps asking
// for one second is not called for longer and longer. It has no jitter, because a
// time that was asked for must not be shortened.
func (m *machine) openCircuit(cause Cause) {
	m.expireTrips()
	trips := min(m.trips+1, MaxTrips) // saturates: only its effect on the plan matters
	if m.ownMS > 0 {
		m.beginOpen(trips, m.p.plannedOpenMS(m.ownMS, trips), cause)
		return
	}
	m.beginOpen(trips, m.applyJitter(m.p.plannedOpenMS(m.p.OpenMS, trips)), cause)
}

// expireTrips ends the row of opens if the circuit stayed closed for at least
// as long as it was last open, and for longer than its ramp. This is the only way
// in which the backoff shortens, so that a dependency that fails soon after each
// recovery is not called for longer and longer.
func (m *machine) expireTrips() {
	if m.state == StateClosed && m.now-m.since >= m.openFor && m.rampLeftMS(m.now) == 0 {
		m.trips = 0
	}
}

// plannedOpenMS returns the length of the trips-th open in a row that begins with
// base. It multiplies step by step and rounds down each time, in Go and in Lua, so
// that both get the same integer.
func (p *Rules) plannedOpenMS(base, trips int64) int64 {
	ms := base
	for k := int64(1); k < trips && ms < p.MaxMS && p.Multiplier > scale; k++ {
		ms = ms * p.Multiplier / scale
	}
	return min(ms, p.MaxMS)
}

// applyJitter shortens an open period by a random share, so that circuits that
// opened together do not probe together.
func (m *machine) applyJitter(planned int64) int64 {
	if m.p.Jitter == 0 {
		return planned
	}
	return max(1, planned-planned*m.p.Jitter/scale*(m.rnd/epochsPerMS)/jitterSteps)
}

// beginOpen opens for openFor ms as the trips-th open in a row.
func (m *machine) beginOpen(trips, openFor int64, cause Cause) {
	m.makeTransition(StateOpen, m.mode, cause, openFor)
	m.until = m.now + openFor
	m.openFor = openFor
	m.trips = trips
}

// closeCircuit ends a round that succeeded. The number of trips and the length
// of the open period stay: they are the memory of the backoff.
func (m *machine) closeCircuit(cause Cause) {
	m.makeTransition(StateClosed, m.mode, cause, 0)
	m.until = 0
	m.beginRamp()
}

// makeTransition changes state or mode. Everything that belongs to the old
// epoch is emptied here, in one place, so that no later rule can judge by it.
// The transition is logged with the tally that caused it, which is why the
// tally is described first. forMS is the length of the open period or mode that
// begins, 0 if none does or it has no end.
func (m *machine) makeTransition(to State, mode Mode, cause Cause, forMS int64) {
	from, fromMode, tally, was := m.state, m.mode, m.describeTally(cause), m.epoch
	m.epoch = nextEpoch(m.epoch, m.now, m.rnd)
	m.state, m.mode = to, mode
	m.since = m.now
	m.fingerprint, m.policy = m.p.Fingerprint(), m.p.Text()
	m.clearWindow()
	m.streak, m.seq, m.fastFrom, m.fastUntil = 0, 0, 0, 0
	m.round = round{}
	m.rampMS, m.rampFrom = 0, 0
	m.junk = nil
	m.appendLog(Transition{
		Was: was, Epoch: m.epoch, At: m.now, From: from, To: to, FromMode: fromMode, ToMode: mode,
		Cause: cause, For: ms(forMS), Tally: tally,
	})
}

// nextEpoch returns the epoch after old. Epochs grow with the clock, so that a
// record that was flushed and begins again does not repeat one: tickets of the
// lost record must stay stale. The random part covers a clock that went back,
// or a rollback to an old copy, but for 1 case in 1024.
func nextEpoch(old, now, rnd int64) int64 {
	epoch := max(now*epochsPerMS, old+1) + rnd%epochsPerMS
	if epoch > maxEpoch { // a damaged old epoch must not end the sequence
		epoch = now*epochsPerMS + rnd%epochsPerMS
	}
	return epoch
}
