package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// settled returns the number of probes of the round that have ended.
func (r *round) settled() int64 { return r.succeeded + r.failed }

// freeSlots returns how many probes may be granted at the time now: of n slots,
// those that are neither held by a live lease nor settled. A late result can settle
// while its former slot belongs to another probe; the sum is then above n, and no
// slot is free.
func (r *round) freeSlots(now int64) int64 {
	live := int64(0)
	for _, l := range r.leases {
		if now < l.deadline {
			live++
		}
	}
	return max(0, r.probes-live-r.settled())
}

// earliestDeadline returns the deadline of the live lease that ends first; 0 if
// there is none.
func (r *round) earliestDeadline(now int64) int64 {
	first := int64(0)
	for _, l := range r.leases {
		if now < l.deadline && (first == 0 || l.deadline < first) {
			first = l.deadline
		}
	}
	return first
}

// parseLeases reads leases, which are in the order of their grants. last is the
// grant before the first of them; it returns that of the last one.
func (r *round) parseLeases(text string, last int64) ([]lease, int64, bool) {
	if text == "-" {
		return nil, last, true
	}
	var list []lease
	for _, part := range strings.Split(text, ",") {
		var l lease
		if !matchText(part, leaseLayout, &l.grant, &l.deadline) || !within(l.grant, last+1, r.grants) {
			return nil, 0, false
		}
		last = l.grant
		list = append(list, l)
	}
	return list, last, true
}

// isSoundRound reports whether an honest step could have written the round. A
// round that fails this could never end.
func (r *round) isSoundRound() bool {
	return within(r.probes, 1, MaxProbes) && within(r.successes, 1, r.probes) && within(r.leaseMS, 1, maxMS) &&
		r.grants <= maxGrant && r.lapsed <= r.grants && r.succeeded < r.successes && r.failed <= r.probes-r.successes &&
		int64(len(r.leases)) <= r.probes && int64(len(r.late)) <= min(r.probes, r.lapsed) &&
		slices.IsSortedFunc(r.leases, func(a, b lease) int { return cmp.Compare(a.deadline, b.deadline) })
}

// parseRound reads the round. Leases lapse in the order of their grants, so the
// late ones come before those that are outstanding.
func (r *Record) parseRound(text string) {
	if r.state != StateHalfOpen {
		return
	}
	var d round
	numbers, lists, _ := strings.Cut(text, " late=")
	late, leases, _ := strings.Cut(lists, " leases=")
	ok := matchText(numbers+" late=", roundLayout, &d.probes, &d.successes, &d.leaseMS, &d.grants, &d.succeeded, &d.failed, &d.lapsed)
	last := int64(0)
	if ok {
		d.late, last, ok = d.parseLeases(late, 0)
	}
	if ok {
		d.leases, _, ok = d.parseLeases(leases, last)
	}
	if !ok || !d.isSoundRound() {
		r.keepJunk(fieldRound, text)
		return
	}
	r.round = d
}

// leasesText writes leases.
func leasesText(list []lease) string {
	if len(list) == 0 {
		return "-"
	}
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = fmt.Sprintf(leaseLayout, l.grant, l.deadline)
	}
	return strings.Join(texts, ",")
}

// roundText writes the round.
func (r *round) roundText() string {
	return fmt.Sprintf(roundLayout, r.probes, r.successes, r.leaseMS, r.grants, r.succeeded, r.failed, r.lapsed) +
		leasesText(r.late) + " leases=" + leasesText(r.leases)
}
