package engine

// startProbing begins a round of probes by the rules of the policy that begins
// it. A round keeps its numbers to its end, so that processes with other
// policies settle it alike.
func (m *machine) startProbing(cause Cause) {
	m.expireTrips()
	m.makeTransition(StateHalfOpen, m.mode, cause, 0)
	m.until = 0
	m.round = round{probes: m.p.Probes, successes: m.p.Successes, leaseMS: m.p.LeaseMS}
}

// grantLeases gives leases to as many of n admissions as there are free slots,
// after it took back the slots of lapsed leases.
func (m *machine) grantLeases(n int64, reply *Reply) {
	m.reclaimLapsed()
	r := &m.round
	granted := min(n, r.freeSlots())
	if granted == 0 {
		return
	}
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

// reclaimLapsed frees the slots of leases past their deadline, so that a holder
// that died delays recovery by one lease and no more.
func (m *machine) reclaimLapsed() {
	kept := m.round.leases[:0]
	for _, l := range m.round.leases {
		if m.now < l.deadline {
			kept = append(kept, l)
		} else {
			m.round.lapsed++
			m.wrote = true
		}
	}
	m.round.leases = kept
}

// settleProbe spends the lease and counts one outcome, whatever the run's
// length: one lease is one probe. A slow success counts as a failure only where
// the reporting policy judges slow calls. An ignored probe counts as nothing
// and frees its slot.
func (m *machine) settleProbe(grant int64, o Outcome) {
	if !m.spendLease(grant) {
		return
	}
	m.applied++
	m.wrote = true
	r := &m.round
	switch {
	case o == Ignored: // the slot is free again
	case o == Success || o == SlowSuccess && m.p.SlowRate == 0:
		r.succeeded++
		if r.succeeded >= r.successes {
			m.closeCircuit(CauseRecovered)
		}
	default:
		r.failed++
		if r.failed > r.probes-r.successes {
			m.openCircuit(CauseProbeFailed, o)
		}
	}
}

// spendLease takes the lease out of the round. It returns false if the lease is
// not held: it was never granted, is spent, or is past its deadline.
func (m *machine) spendLease(grant int64) bool {
	for i, l := range m.round.leases {
		if l.grant == grant && m.now < l.deadline {
			m.round.leases = append(m.round.leases[:i], m.round.leases[i+1:]...)
			return true
		}
	}
	return false
}
