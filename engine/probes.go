package engine

// halfOpen begins a round of probes.
func (m *machine) startProbing(cause Cause) {
	m.expireTrips()
	m.makeTransition(StateHalfOpen, m.mode, cause)
	m.until = 0
	m.round = round{probes: m.p.Probes, successes: m.p.Successes, leaseMS: m.p.LeaseMS}
}

// grantLeases gives leases to as many of n admissions as there are free slots, after
// taking back those whose time is over.
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

// reclaimLapsed frees the slots of leases past their deadline: whoever held them is
// gone, or will be told that its result is stale.
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

// settleProbe spends a lease that is held and not past its deadline; it judges
// one outcome, whatever the run's length.
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

// spendLease takes the lease out of the round. It reports false if it is not held.
func (m *machine) spendLease(grant int64) bool {
	for i, l := range m.round.leases {
		if l.grant == grant && m.now < l.deadline {
			m.round.leases = append(m.round.leases[:i], m.round.leases[i+1:]...)
			return true
		}
	}
	return false
}
