package engine

import (
	"slices"
	"strconv"
)

// An operator wants to know how far a circuit is from opening. Thresholds and tallies do not
// answer that: a rate needs its least number of calls, a full count window loses an old
// outcome for each new one, and MinReporters needs other reporters. So a forecast runs the
// machine itself on a copy of the record, and cannot differ from it.

// maxForecast is how many outcomes a forecast looks ahead: 1000 take some 50 us, and a
// larger number would not change what an operator does.
const maxForecast = 1000

// forecast returns how many equal outcomes open the circuit by the record's policy, if they
// come at the time now, one after another, each from a reporter that the record does not
// know. It returns 0 if none is counted now, or if it takes more than maxForecast.
func (r *Record) forecast(rules *Rules, now int64, o Outcome) int64 {
	if len(r.junk) > 0 || o == SlowSuccess && rules.SlowRate == 0 || !r.isCounting() && !r.isModeOver(now) {
		return 0
	}
	m := machine{Record: r.cloneRecord(), p: rules, now: now}
	m.reanchorTimes()
	m.endExpiredMode()
	m.transitions = nil
	for n := int64(1); n <= maxForecast; n++ {
		if rules.Reporters > 1 {
			m.by = "\x00" + strconv.FormatInt(n, 10) // no reporter has such a name
		}
		m.settleClosed(o, 1)
		if len(m.transitions) > 0 {
			return n
		}
	}
	return 0
}

// cloneRecord returns a copy that shares no memory that a forecast writes.
func (r *Record) cloneRecord() *Record {
	c := *r
	c.ring, c.reporters, c.log = slices.Clone(r.ring), slices.Clone(r.reporters), slices.Clone(r.log)
	c.round.leases = slices.Clone(r.round.leases)
	if r.cells != nil {
		cells := *r.cells
		c.cells = &cells
	}
	return &c
}
