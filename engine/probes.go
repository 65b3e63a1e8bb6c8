package engine

// A round lets at most n probes hold a lease at any time. A lease that ends gives
// its slot to another call, so that a holder that died delays recovery by one lease
// and no more. Its result still counts if it comes while the round lasts: it is
// evidence about the dependency like any other, and without this rule a dependency
// that answers slower than the lease would never close the circuit, and never open
// it again. Each lease counts once, because its grant leaves the round with its
// result.

// startProbing begins a round of probes by the rules of the policy that begins
// it. A round keeps its numbers to its end, so that processes with other
// policies settle it alike.
func (m *machine) startProbing(cause Cause) {
	m.expireTrips()
	m.makeTransition(StateHalfOpen, m.mode, cause, 0)
	m.until = 0
	m.beginRound(m.p.Probes, m.p.Successes, m.p.LeaseMS)
}

// beginRound sets the numbers of a round without leases.
func (m *machine) beginRound(probes, successes, leaseMS int64) {
	m.round = round{probes: probes, successes: successes, leaseMS: leaseMS}
}

// grantLeases gives leases to as many of n admissions as there are free slots.
// Where there is none it changes nothing, not even lapsed leases: a rejection must
// not write.
func (m *machine) grantLeases(n int64, reply *Reply) {
	r := &m.round
	granted := min(n, r.freeSlots(m.now))
	if granted == 0 {
		return
	}
	m.reclaimLapsed()
	if r.grants+granted > maxGrant { // no honest round comes here
		m.renewRecord(CauseHealed)
		m.admitCalls(n, reply)
		return
	}
	reply.Granted, reply.FirstLease = granted, r.grants+1
	for range granted {
		r.grants++
		r.leases = append(r.leases, lease{r.grants, m.now + r.leaseMS})
	}
	m.wrote = true
}

// reclaimLapsed frees the slots of leases past their deadline. It remembers them as
// late, but no more than n: a dependency that never answers must not make the
// record grow.
func (m *machine) reclaimLapsed() {
	r := &m.round
	kept := r.leases[:0]
	for _, l := range r.leases {
		if m.now < l.deadline {
			kept = append(kept, l)
			continue
		}
		r.lapsed++
		r.late = append(r.late, l)
		m.wrote = true
	}
	r.leases = kept
	if surplus := int64(len(r.late)) - r.probes; surplus > 0 {
		r.late = append(r.late[:0], r.late[surplus:]...)
	}
}

// settleProbe spends the lease and counts one outcome, whatever the run's
// length: one lease is one probe. A slow success counts as a failure only where
// the reporting policy judges slow calls. An ignored probe counts as nothing
// and frees its slot. A late result settles like any other; it takes a slot only if
// one is free.
func (m *machine) settleProbe(grant int64, o Outcome) {
	if !m.spendLease(grant) {
		return
	}
	m.applied++
	m.wrote = true
	r := &m.round
	switch {
	case o == Ignored: // the slot is free again
	case o == TripNow:
		m.openCircuit(CauseDemanded)
	case o == Success || o == SlowSuccess && (m.p.SlowRate == 0 || m.p.AllowSlow == 1):
		r.succeeded++
		if r.succeeded >= r.successes {
			m.closeCircuit(CauseRecovered)
		}
	default:
		r.failed++
		if r.failed > r.probes-r.successes {
			m.openCircuit(CauseProbeFailed)
		}
	}
}

// spendLease takes the lease out of the round. It returns false if the round does
// not know it: it was never granted, is spent, or lapsed so long ago that n others
// lapsed since.
func (m *machine) spendLease(grant int64) bool {
	r := &m.round
	for i, l := range r.leases {
		if l.grant == grant {
			r.leases = append(r.leases[:i], r.leases[i+1:]...)
			if m.now >= l.deadline {
				r.lapsed++
				m.noteOverdue(l)
			}
			return true
		}
	}
	for i, l := range r.late {
		if l.grant == grant {
			r.late = append(r.late[:i], r.late[i+1:]...)
			m.noteOverdue(l)
			return true
		}
	}
	return false
}

// noteOverdue notes for the reply that a probe outlived its lease, and how long it
// took: users should learn that their lease is too short.
func (m *machine) noteOverdue(l lease) {
	took := m.round.leaseMS + max(0, m.now-l.deadline)
	m.overdueMS, m.overdueLeaseMS = max(m.overdueMS, took), m.round.leaseMS
}
