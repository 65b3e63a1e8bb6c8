package engine

// The machine is pure: its input is a record, a policy, a time and a random
// number, its output the changed record and a reply. It does no I/O and reads no
// clock, so that a test can drive it through every state.
//
// Most of its functions exist a second time in scripts/lib, in a file of the same
// name, under the same name in snake case, in the same order; TestMirror compares
// the lists. A change of a rule is made on both sides and in a scenario of
// testdata, which runs on both.

// machine is one step or command on a record, in progress.
type machine struct {
	*Record
	p        *Rules
	now, rnd int64
	by       string // the reporter of the outcome, or the operator
	text     string // the error's text, or the reason
	ownMS    int64  // the failure's own open time

	wrote       bool // something other than the TTL changed
	resetsFast  bool // fastFrom and fastUntil must be set again
	transitions []Transition
	applied     int64
	stale       int64
	// The longest probe of this step that outlived its lease, and that lease.
	overdueMS, overdueLeaseMS int64
}

// Step runs a batch as one atomic step at the time now: first the end of an
// expired mode, then the results, then the admissions. rnd is the step's random
// number, an integer below 2^20. A step makes at most one transition, so that
// its result equals applying its outcomes one by one. On an absent record it
// creates the record, even if the batch is empty.
func (r *Record) Step(p *Rules, now, rnd int64, b Batch) Reply {
	m := machine{Record: r, p: p, now: now, rnd: rnd}
	reports := len(b.Results) > 0
	if m.prepareRecord() && m.needsClock(reports || b.AskStanding) {
		m.reanchorTimes()
		m.endExpiredMode()
		if reports {
			m.endRamp()
		}
	}
	reply := Reply{}
	// Results come before admissions: an outcome that arrives with a question may
	// change the answer.
	for i := range b.Results {
		before := m.applied
		m.settleResult(&b, b.Results[i])
		m.noteApplied(&b, i, m.applied-before, &reply)
	}
	m.by, m.text, m.ownMS = "", "", 0
	m.admitCalls(b.Admissions, &reply)
	m.renewTTL(reports)
	m.buildReply(&reply)
	if b.AskStanding {
		reply.Standing = m.standing(b.Reporter)
	}
	return reply
}

// prepareRecord creates a record that is absent and renews one that is damaged.
// It returns false if it did either: the record is then as of now, and no time
// in it needs repair.
func (m *machine) prepareRecord() bool {
	if !m.exists {
		m.renewRecord(CauseCreated)
		return false
	}
	if !m.isStateReadable() {
		m.renewRecord(CauseHealed)
		return false
	}
	return true
}

// isStateReadable reports whether the fields that every step depends on are
// sound: the head; outside auto the mode; in half-open the round. The other
// fields are checked by the step that needs them, so that damage to one of them
// costs no more than it must.
func (m *machine) isStateReadable() bool {
	return m.isFieldReadable(fieldHead) &&
		(m.mode == ModeAuto || m.isFieldReadable(fieldMode)) &&
		(m.state != StateHalfOpen || m.isFieldReadable(fieldRound))
}

// needsClock reports whether the step depends on the time. An admission while
// closed and auto does not unless there is a ramp, and TIME is a command that the commonest step can
// save.
func (m *machine) needsClock(reports bool) bool {
	return reports || m.state != StateClosed || m.mode != ModeAuto || m.rampMS > 0
}

// reanchorTimes repairs times that lie further ahead than their own planned
// length. That happens after a clock went back, for example in a failover, and
// would otherwise keep the circuit open, or a lease alive, for as long as the
// clock went back.
func (m *machine) reanchorTimes() {
	m.capTime(&m.since, m.now)
	if m.state == StateOpen {
		m.capTime(&m.until, m.now+m.openFor)
	}
	if m.mode != ModeAuto && m.modeUntil > 0 {
		m.capTime(&m.modeUntil, m.now+m.modeFor)
	}
	if m.state == StateHalfOpen {
		for i := range m.round.leases {
			m.capTime(&m.round.leases[i].deadline, m.now+m.round.leaseMS)
		}
	}
}

// capTime moves a time back to latest if it lies after it.
func (m *machine) capTime(t *int64, latest int64) {
	if *t > latest {
		*t = latest
		m.wrote = true
	}
}

// endExpiredMode releases a mode whose time is over. It runs before anything
// else, so that no call is judged by a mode that has ended.
func (m *machine) endExpiredMode() {
	if m.mode != ModeAuto && m.modeUntil > 0 && m.now >= m.modeUntil {
		m.releaseMode(CauseModeEnded)
	}
}

// settleResult counts the outcomes of one ticket, or drops them as stale. A
// result belongs to the epoch that admitted it: after a transition, also one
// that this batch just made, it says nothing about the present state.
func (m *machine) settleResult(b *Batch, res Result) {
	for _, run := range res.Runs {
		m.attributeOutcome(b, res.Lease, run.Outcome)
		before := m.applied
		switch {
		case len(m.transitions) > 0 || res.Epoch != m.epoch:
			// Stale: of another epoch, or behind a transition of this batch.
		case m.isCounting() && res.Lease == 0:
			m.settleClosed(run.Outcome, run.N)
		case m.state == StateHalfOpen && m.mode != ModeForcedOpen && m.mode != ModeForcedClosed:
			m.settleProbe(res.Lease, run.Outcome)
		}
		m.stale += run.N - (m.applied - before)
	}
}

// attributeOutcome sets the reporter and the failure's details for one outcome.
// The log names them with the transition that this outcome causes, so they must
// not leak to the next outcome of the batch.
func (m *machine) attributeOutcome(b *Batch, lease int64, o Outcome) {
	m.by, m.text, m.ownMS = "", "", 0
	if lease > 0 || o != Success && o != Ignored {
		m.by = b.Reporter
	}
	if failureOf(o) > 0 {
		m.text, m.ownMS = b.Detail.Text, CeilMillis(b.Detail.OpenFor)
	}
}

// noteApplied notes how many outcomes of the i-th result were applied. It does
// so only once one of them was stale: without stale outcomes the counts follow
// from the batch, and most replies need no memory for them.
func (m *machine) noteApplied(b *Batch, i int, applied int64, reply *Reply) {
	if m.stale == 0 {
		return
	}
	if reply.AppliedPerResult == nil {
		reply.AppliedPerResult = make([]int64, len(b.Results))
		for j := range i {
			reply.AppliedPerResult[j] = b.Results[j].outcomes()
		}
	}
	reply.AppliedPerResult[i] = applied
}

// admitCalls grants what the state allows of n admissions. The first call after
// the open period begins the round of probes and is its first probe. Forced
// modes grant nothing here: forced_closed admits calls without a ticket, see
// Reply.AdmitsUncounted.
func (m *machine) admitCalls(n int64, reply *Reply) {
	if n == 0 || m.mode == ModeForcedOpen || m.mode == ModeForcedClosed {
		return
	}
	if m.state == StateOpen && m.now >= m.until {
		m.startProbing(CauseElapsed)
	}
	switch m.state {
	case StateClosed:
		reply.Granted = m.rampAdmissions(n)
	case StateHalfOpen:
		m.grantLeases(n, reply)
	}
}

// renewTTL sets the record's time to live when it has none, or when less than
// half of it is left: most steps then need no PEXPIRE. Only a step that writes
// or reports renews it, because rejections must not keep an abandoned record
// alive. A mode without an end has no TTL: an operator's decision must not
// expire.
func (m *machine) renewTTL(reports bool) {
	if m.mode != ModeAuto && m.modeUntil == 0 {
		if m.expires != 0 {
			m.expires = 0
			m.wrote = true
		}
		return
	}
	if !m.wrote && !reports {
		return
	}
	ttl := m.neededTTL()
	left := m.expires - m.now
	if m.expires == 0 || left > maxTTL || 2*left < ttl {
		m.expires = m.now + ttl
		m.resetsFast = true
	}
	if !m.isFieldReadable(fieldTally) {
		m.expires = 0 // a damaged tally has no place for it
	}
	m.setFastInterval(ttl)
}

// neededTTL returns how long the record must outlive this step, in ms: the idle
// time, and twice the longest time that the record still has to remember.
// Twice, because the TTL may be spent by half before it is renewed.
func (m *machine) neededTTL() int64 {
	longest := int64(0)
	if m.p.Window.Kind == windowTime {
		longest = m.p.Window.Size
	}
	if m.isCounting() && m.shape.Kind == windowTime {
		longest = max(longest, m.shape.Size)
	}
	switch {
	case m.state == StateOpen:
		longest = max(longest, m.until-m.now)
	case m.state == StateHalfOpen:
		longest = max(longest, m.round.leaseMS)
	case m.trips > 0:
		longest = max(longest, m.since+m.openFor-m.now)
	}
	if m.mode != ModeAuto {
		longest = max(longest, m.modeUntil-m.now)
	}
	longest = max(longest, m.rampLeftMS(m.now))
	return m.p.IdleMS + 2*min(longest, maxMS)
}

// setFastInterval sets the interval in which a step of the record's own policy
// does nothing but count: the time window keeps its bucket, and no TTL is due.
// The fast path of step.lua relies on it and checks nothing else. The interval
// is empty where another policy made this step, where the clock went back behind the
// window, and during a ramp.
func (m *machine) setFastInterval(ttl int64) {
	if m.state != StateClosed || m.mode != ModeAuto {
		return
	}
	fastEnd := m.now
	if m.fingerprint == m.p.Fingerprint() {
		fastEnd = max(m.now, m.expires-ttl/2)
	}
	if m.shape.Kind == windowTime {
		fastEnd = min(fastEnd, (m.cell+1)*m.shape.bucketMS())
	}
	if m.shapeSince > m.now || m.shape.Kind == windowTime && m.cell*m.shape.bucketMS() > m.now+m.shape.Size || m.rampMS > 0 {
		fastEnd = m.now
	}
	if m.resetsFast || fastEnd > m.now && !within(m.now, m.fastFrom, m.fastUntil-1) {
		m.fastFrom, m.fastUntil = m.now, fastEnd
	}
}

// buildReply completes the reply.
func (m *machine) buildReply(reply *Reply) {
	reply.State, reply.Mode, reply.Epoch = m.state, m.mode, m.epoch
	reply.LeftMS, reply.ModeLeftMS = m.remainingMS(), max(0, m.modeUntil-m.now)
	reply.Applied, reply.Stale = m.applied, m.stale
	reply.Policy = m.fingerprint
	if reply.RampLeftMS = m.rampLeftMS(m.now); reply.RampLeftMS > 0 {
		reply.RampShare = m.rampShare(m.now)
	}
	reply.OverdueMS, reply.OverdueLeaseMS = m.overdueMS, m.overdueLeaseMS
	if len(m.transitions) > 0 {
		reply.Transition = m.transitions[0]
	}
}

// remainingMS returns after how many ms a rejected call should come again. While
// open or forced open that is the end of the period. In shadow, where nothing is
// rejected, it is the time of the state that shadow hides.
func (m *machine) remainingMS() int64 {
	switch {
	case m.mode == ModeForcedOpen:
		return max(0, m.modeUntil-m.now)
	case m.state == StateOpen:
		return max(0, m.until-m.now)
	case m.state == StateHalfOpen && m.round.freeSlots(m.now) == 0:
		return m.probeHintMS(m.now)
	case m.state == StateClosed && m.rampMS > 0:
		return m.rampHintMS(m.now)
	}
	return 0
}
