package engine

// Control applies a command at the time now: it compares the expected epoch,
// ends an expired mode, then acts. It returns the transitions made, two at
// most, and ErrConflict or ErrForced if the command was refused. A refused
// command still repairs and ends what was due, except after a conflict, which
// writes nothing. A command that changes nothing makes no transition.
func (r *Record) Control(p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	m := machine{Record: r, p: p, now: now, rnd: rnd, by: c.Actor, text: c.Reason}
	if !m.matchesEpoch(c.IfEpoch) {
		return nil, ErrConflict
	}
	if !m.exists && m.p.Initial.Mode != ModeAuto {
		m.renewRecord(CauseCreated) // the command meets the mode as if it had been set
	} else if m.exists && m.prepareRecord() {
		m.reanchorTimes()
		m.endExpiredMode()
	}
	err := m.runAction(c)
	if m.exists {
		m.renewTTL(false)
	}
	return m.transitions, err
}

// Rules returns the stored policy, for a command by name. It reports false
// where there is none that reads well.
func (r *Record) Rules() (Rules, bool) { return parseRules(r.policy) }

// matchesEpoch compares the record's epoch with the one that the operator saw:
// 0 is any, -1 an absent record. It runs first, so that a decision made about
// an old state never acts on a new one.
func (m *machine) matchesEpoch(epoch int64) bool {
	switch {
	case epoch == 0:
		return true
	case epoch < 0:
		return !m.exists
	}
	return m.exists && m.epoch == epoch
}

// runAction does what the command asks for.
func (m *machine) runAction(c Command) error {
	forced := m.mode == ModeForcedOpen || m.mode == ModeForcedClosed
	switch {
	case forced && (c.Action == ActionTrip || c.Action == ActionHalfOpen):
		return ErrForced
	case c.Action == ActionRelease && m.mode == ModeAuto:
		return nil
	}
	if !m.exists {
		m.exists = true
		m.newest = m.findNewest()
		m.since = m.now // shadow keeps it
	}
	switch c.Action {
	case ActionTrip:
		m.tripCircuit(CeilMillis(c.For))
	case ActionHalfOpen:
		m.startProbing(CauseOperator)
	case ActionReset:
		m.resetCircuit(m.mode, CauseOperator, 0)
	case ActionForceOpen:
		m.resetCircuit(ModeForcedOpen, CauseOperator, CeilMillis(c.For))
		m.setTerm(c)
	case ActionForceClosed:
		m.resetCircuit(ModeForcedClosed, CauseOperator, CeilMillis(c.For))
		m.setTerm(c)
	case ActionShadow:
		m.enterShadow(CeilMillis(c.For))
		m.setTerm(c)
	case ActionRelease:
		m.releaseMode(CauseOperator)
	}
	return nil
}

// tripCircuit begins a new open period, as the first open in a row, also where the
// circuit is open: the operator's time, reason and name replace what was. The time
// is neither jittered nor capped: an explicit time is meant.
func (m *machine) tripCircuit(forMS int64) {
	if forMS == 0 {
		forMS = m.applyJitter(m.p.plannedOpenMS(m.p.OpenMS, 1))
	}
	m.beginOpen(1, forMS, CauseOperator)
}

// enterShadow changes the mode and keeps state and times. A round begins again
// with no leases, because its leases belong to the epoch before.
func (m *machine) enterShadow(forMS int64) {
	since, r, rampMS, rampFrom := m.since, m.round, m.rampMS, m.rampFrom
	m.makeTransition(m.state, ModeShadow, CauseOperator, forMS)
	m.since, m.rampMS, m.rampFrom = since, rampMS, rampFrom
	m.beginRound(r.probes, r.successes, r.leaseMS)
}

// setTerm sets how long the mode lasts, its reason, and its actor.
func (m *machine) setTerm(c Command) {
	m.modeTerm = modeTerm{modeReason: clipText(c.Reason), modeBy: clipText(c.Actor)}
	if c.For > 0 {
		m.modeFor = CeilMillis(c.For)
		m.modeUntil = m.now + m.modeFor
	}
}
