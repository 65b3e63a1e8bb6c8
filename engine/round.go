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

// probeHintMS returns the retry hint of a round with no free slot: the time to the
// end of the earliest lease, but no more than the round has lasted so far. A probe
// may settle at any moment, so a caller that waited for a whole lease would be late
// by far after a quick recovery; a hint that doubles as the round grows costs few
// calls more. It is at least minProbeHintMS unless the lease ends sooner.
func (r *Record) probeHintMS(now int64) int64 {
	return max(0, min(r.round.earliestDeadline(now)-now, max(minProbeHintMS, now-r.since)))
}

// firstDeadline returns the deadline of the first outstanding lease, lastDeadline of
// the last one; 0 if there is none.
func (r *round) firstDeadline() int64 {
	if len(r.leases) == 0 {
		return 0
	}
	return r.leases[0].deadline
}

func (r *round) lastDeadline() int64 {
	if len(r.leases) == 0 {
		return 0
	}
	return r.leases[len(r.leases)-1].deadline
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

// parseRound reads the round and its leases. Leases lapse in the order of their
// grants, so the late ones come before those that are outstanding. They are a field
// of their own, so that a script rejects a call without reading them: the round has
// the number of the outstanding ones, and the first and the last deadline.
func (r *Record) parseRound(text, leases string) {
	if r.state != StateHalfOpen {
		return
	}
	var d round
	var held, first, last int64
	ok := matchText(text, roundLayout, &d.probes, &d.successes, &d.leaseMS, &d.grants, &d.succeeded, &d.failed, &d.lapsed,
		&held, &first, &last) && d.parseLists(leases) && d.isSoundRound()
	if !ok || held != int64(len(d.leases)) || first != d.firstDeadline() || last != d.lastDeadline() {
		r.keepJunk(fieldRound, text)
		r.keepJunk(fieldLeases, leases)
		return
	}
	r.round = d
}

// parseLists reads the late leases and the outstanding ones.
func (r *round) parseLists(text string) bool {
	late, leases, _ := strings.Cut(strings.TrimPrefix(text, "late="), " held=")
	var last int64
	var ok bool
	if r.late, last, ok = r.parseLeases(late, 0); ok {
		r.leases, _, ok = r.parseLeases(leases, last)
	}
	return ok && strings.HasPrefix(text, "late=")
}

// roundText writes the round without its leases.
func (r *round) roundText() string {
	return fmt.Sprintf(roundLayout, r.probes, r.successes, r.leaseMS, r.grants, r.succeeded, r.failed, r.lapsed,
		len(r.leases), r.firstDeadline(), r.lastDeadline())
}

// listText writes leases.
func listText(list []lease) string {
	if len(list) == 0 {
		return "-"
	}
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = fmt.Sprintf(leaseLayout, l.grant, l.deadline)
	}
	return strings.Join(texts, ",")
}

// leasesText writes the late leases and the outstanding ones.
func (r *round) leasesText() string {
	return "late=" + listText(r.late) + " held=" + listText(r.leases)
}
