package engine

// Control applies a command at the time now: it compares the expected epoch,
// ends an expired mode, then acts. It returns the transitions made, two at most,
// and ErrConflict or ErrForced if the command was refused; what had to be
// mended or ended is then done all the same, but for a conflict. A command that
// finds everything as it wants it makes no transition.
func (r *Record) Control(p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	m := machine{Record: r, p: p, now: now, rnd: rnd, by: c.Actor, text: c.Reason}
	if !m.expects(c.IfEpoch) {
		return nil, ErrConflict
	}
	if m.exists && m.begin() {
		m.reanchor()
		m.endMode()
	}
	err := m.act(c)
	if m.exists {
		m.expire(false)
	}
	return m.moves, err
}

// Rules returns the stored policy, for a command by name. It reports false
// where there is none that reads well.
func (r *Record) Rules() (Rules, bool) { return parseRules(r.policy) }

// expects compares the record's epoch with the one that the operator saw: 0 is
// any, -1 an absent record.
func (m *machine) expects(epoch int64) bool {
	switch {
	case epoch == 0:
		return true
	case epoch < 0:
		return !m.exists
	}
	return m.exists && m.epoch == epoch
}

// act does what the command says.
func (m *machine) act(c Command) error {
	forced := m.mode == ModeForcedOpen || m.mode == ModeForcedClosed
	switch {
	case forced && (c.Action == ActionTrip || c.Action == ActionHalfOpen):
		return ErrForced
	case c.Action == ActionTrip && m.state == StateOpen && m.now < m.until,
		c.Action == ActionRelease && m.mode == ModeAuto:
		return nil
	}
	if !m.exists {
		m.exists = true
		m.newest = m.latest()
	}
	switch c.Action {
	case ActionTrip:
		m.trip(CeilMillis(c.For))
	case ActionHalfOpen:
		m.halfOpen(CauseOperator)
	case ActionReset:
		m.forget(m.mode, CauseOperator)
	case ActionForceOpen:
		m.forget(ModeForcedOpen, CauseOperator)
		m.setTerm(c)
	case ActionForceClosed:
		m.forget(ModeForcedClosed, CauseOperator)
		m.setTerm(c)
	case ActionShadow:
		m.shadow()
		m.setTerm(c)
	case ActionRelease:
		m.release(CauseOperator)
	}
	return nil
}

// trip opens now, as the first open in a row, for the given time or the policy's.
func (m *machine) trip(forMS int64) {
	if forMS == 0 {
		forMS = m.jittered(m.p.planned(1))
	}
	m.openUntil(1, forMS, CauseOperator)
}

// shadow changes the mode and keeps state and times. A round begins anew: its
// leases belong to the epoch before.
func (m *machine) shadow() {
	since, r := m.since, m.round
	m.transition(m.state, ModeShadow, CauseOperator)
	m.since = since
	m.round = round{probes: r.probes, successes: r.successes, leaseMS: r.leaseMS}
}

// setTerm says how long the mode lasts, why, and who wants it.
func (m *machine) setTerm(c Command) {
	m.term = term{modeReason: clip(c.Reason), modeBy: clip(c.Actor)}
	if c.For > 0 {
		m.modeFor = CeilMillis(c.For)
		m.modeUntil = m.now + m.modeFor
	}
}
