package engine

// machine is one step or control on a record, in progress. The functions of
// machine.go, probes.go, window.go, transition.go and control.go stand in
// scripts/*.lua under the same names and in the same order.
type machine struct {
	*Record
	p        *Rules
	now, rnd int64
	by       string // who reports the outcome, or the operator
	text     string // the error's text, or the reason
	ownMS    int64  // the failure's own open time

	wrote       bool // something but the TTL was written
	resetsFast  bool // at and next must be set anew
	transitions []Transition
	applied     int64
	stale       int64
}

// Step runs a batch as one atomic step at the time now with the random number
// rnd, an integer below 2^20: first the end of an expired mode, then the
// results, then the admissions. It makes at most one transition. On an absent
// record it makes the record, even if the batch is empty.
func (r *Record) Step(p *Rules, now, rnd int64, b Batch) Reply {
	m := machine{Record: r, p: p, now: now, rnd: rnd}
	reports := len(b.Results) > 0
	if m.prepareRecord() && m.needsClock(reports) {
		m.reanchorTimes()
		m.endExpiredMode()
	}
	reply := Reply{}
	for i := range b.Results {
		before := m.applied
		m.settleResult(&b, b.Results[i])
		m.noteApplied(&b, i, m.applied-before, &reply)
	}
	m.by, m.text, m.ownMS = "", "", 0
	m.admitCalls(b.Admissions, &reply)
	m.renewTTL(reports)
	m.buildReply(&reply)
	return reply
}

// prepareRecord makes a record that is absent and renews one that does not read well.
// It reports false if it did either.
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

// isStateReadable checks what every step checks: the head, outside auto the mode, in
// half-open the round.
func (m *machine) isStateReadable() bool {
	return m.isFieldReadable(fieldHead) &&
		(m.mode == ModeAuto || m.isFieldReadable(fieldMode)) &&
		(m.state != StateHalfOpen || m.isFieldReadable(fieldRound))
}

// needsClock reports whether the step reads the clock: closed and auto, an admission
// looks at no time.
func (m *machine) needsClock(reports bool) bool {
	return reports || m.state != StateClosed || m.mode != ModeAuto
}

// reanchorTimes mends times that lie further ahead than their own planned length,
// after a clock that went back.
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

func (m *machine) capTime(t *int64, latest int64) {
	if *t > latest {
		*t = latest
		m.wrote = true
	}
}

// endExpiredMode releases a mode whose time has run out.
func (m *machine) endExpiredMode() {
	if m.mode != ModeAuto && m.modeUntil > 0 && m.now >= m.modeUntil {
		m.releaseMode(CauseModeEnded)
	}
}

// settleResult counts the outcomes of one ticket, or drops them as stale.
func (m *machine) settleResult(b *Batch, res Result) {
	for _, run := range res.Runs {
		m.attributeOutcome(b, res.Lease, run.Outcome)
		before := m.applied
		switch {
		case len(m.transitions) > 0 || res.Epoch != m.epoch:
			// what follows a transition belongs to an epoch that is over
		case m.isCounting() && res.Lease == 0:
			m.settleClosed(run.Outcome, run.N)
		case m.state == StateHalfOpen && m.mode != ModeForcedOpen && m.mode != ModeForcedClosed:
			m.settleProbe(res.Lease, run.Outcome)
		}
		m.stale += run.N - (m.applied - before)
	}
}

// attributeOutcome notes who reports an outcome, and what a failure carries: the log
// names them for what this outcome causes, not for the rest of the batch.
func (m *machine) attributeOutcome(b *Batch, lease int64, o Outcome) {
	m.by, m.text, m.ownMS = "", "", 0
	if lease > 0 || o != Success && o != Ignored {
		m.by = b.Reporter
	}
	if failureOf(o) > 0 {
		m.text, m.ownMS = b.Detail.Text, CeilMillis(b.Detail.OpenFor)
	}
}

// noteApplied notes how many outcomes of the i-th result were applied, once one of
// them was not.
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

// admitCalls grants what the state allows of n admissions.
func (m *machine) admitCalls(n int64, reply *Reply) {
	if n == 0 || m.mode == ModeForcedOpen || m.mode == ModeForcedClosed {
		return
	}
	if m.state == StateOpen && m.now >= m.until {
		m.startProbing(CauseElapsed)
	}
	switch m.state {
	case StateClosed:
		reply.Granted = n
	case StateHalfOpen:
		m.grantLeases(n, reply)
	}
}

// renewTTL sets the TTL when there is none or less than half of it remains. A
// mode without an end has none: an operator's word does not fade.
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
		m.expires = 0 // there is nowhere to keep it
	}
	m.setFastInterval(ttl)
}

// neededTTL is how long the record must outlive this step, in ms: IdleTTL and twice
// the longest time that the record still has to remember.
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
	return m.p.IdleMS + 2*min(longest, maxMS)
}

// setFastInterval sets the time in which a step of the record's own policy that only counts
// needs to look at nothing else: the bucket stays and half of the TTL is not
// spent. Where another policy moved on, or the clock went back behind the window,
// that time is empty.
func (m *machine) setFastInterval(ttl int64) {
	if m.state != StateClosed || m.mode != ModeAuto {
		return
	}
	next := m.now
	if m.fingerprint == m.p.Fingerprint() {
		next = max(m.now, m.expires-ttl/2)
	}
	if m.shape.Kind == windowTime {
		next = min(next, (m.cell+1)*m.shape.bucketMS())
	}
	if m.shapeSince > m.now || m.shape.Kind == windowTime && m.cell*m.shape.bucketMS() > m.now+m.shape.Size {
		next = m.now
	}
	if m.resetsFast || next > m.now && !within(m.now, m.fastFrom, m.fastUntil-1) {
		m.fastFrom, m.fastUntil = m.now, next
	}
}

// buildReply completes the reply.
func (m *machine) buildReply(reply *Reply) {
	reply.State, reply.Mode, reply.Epoch = m.state, m.mode, m.epoch
	reply.LeftMS, reply.ModeLeftMS = m.remainingMS(), max(0, m.modeUntil-m.now)
	reply.Applied, reply.Stale = m.applied, m.stale
	reply.Policy = m.fingerprint
	if len(m.transitions) > 0 {
		reply.Transition = m.transitions[0]
	}
}

// remainingMS is how long a rejection still lasts, in ms; in shadow, the state's.
func (m *machine) remainingMS() int64 {
	switch {
	case m.mode == ModeForcedOpen:
		return max(0, m.modeUntil-m.now)
	case m.state == StateOpen:
		return max(0, m.until-m.now)
	case m.state == StateHalfOpen && m.round.freeSlots() == 0:
		return max(0, m.round.earliestDeadline()-m.now)
	}
	return 0
}
