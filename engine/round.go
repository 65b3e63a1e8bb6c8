package engine

import (
	"fmt"
	"strings"
)

// settled returns the number of probes of the round that have ended.
func (r *round) settled() int64 { return r.succeeded + r.failed }

// freeSlots returns how many probes may still be granted.
func (r *round) freeSlots() int64 { return r.probes - int64(len(r.leases)) - r.settled() }

// earliestDeadline returns the deadline of the lease that ends first; 0 if
// there is none.
func (r *round) earliestDeadline() int64 {
	first := int64(0)
	for _, l := range r.leases {
		if first == 0 || l.deadline < first {
			first = l.deadline
		}
	}
	return first
}

// parseLeases reads leases, which are in the order of their grants.
func (d *round) parseLeases(text string) bool {
	if text == "-" {
		return true
	}
	last := int64(0)
	for _, part := range strings.Split(text, ",") {
		var l lease
		if !matchText(part, leaseLayout, &l.grant, &l.deadline) || !within(l.grant, last+1, d.grants) {
			return false
		}
		last = l.grant
		d.leases = append(d.leases, l)
	}
	return true
}

// isSoundRound reports whether an honest step could have written the round. A
// round that fails this could never end.
func (d *round) isSoundRound() bool {
	return within(d.probes, 1, MaxProbes) && within(d.successes, 1, d.probes) && within(d.leaseMS, 1, maxMS) &&
		d.grants <= maxGrant && d.lapsed <= d.grants && d.succeeded < d.successes && d.failed <= d.probes-d.successes && d.freeSlots() >= 0
}

// parseRound reads the round.
func (r *Record) parseRound(text string) {
	if r.state != StateHalfOpen {
		return
	}
	var d round
	i := strings.Index(text, "leases=") + len("leases=")
	if i < len("leases=") || !matchText(text[:i], roundLayout, &d.probes, &d.successes, &d.leaseMS, &d.grants,
		&d.succeeded, &d.failed, &d.lapsed) || !d.parseLeases(text[i:]) || !d.isSoundRound() {
		r.keepJunk(fieldRound, text)
		return
	}
	r.round = d
}

// roundText writes the round.
func (d *round) roundText() string {
	leases := make([]string, len(d.leases))
	for i, l := range d.leases {
		leases[i] = fmt.Sprintf(leaseLayout, l.grant, l.deadline)
	}
	list := strings.Join(leases, ",")
	if list == "" {
		list = "-"
	}
	return fmt.Sprintf(roundLayout, d.probes, d.successes, d.leaseMS, d.grants, d.succeeded, d.failed, d.lapsed) + list
}
