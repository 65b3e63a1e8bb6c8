package engine

// After recovery a circuit with a ramp is closed and counts as usual, but admits only
// a share of the calls, so that a dependency with cold caches does not get the full
// load at once. The share grows evenly from rampFrom to all between since and
// since + rampMS. The ramp belongs to the record: processes with other policies
// follow it alike. Its end needs no step: admissions compare the clock, and the first
// step with results after the end removes it, so that admissions need no clock again.

// rampLeftMS returns how long the ramp still lasts; 0 if there is none.
func (r *Record) rampLeftMS(now int64) int64 {
	if r.rampMS == 0 {
		return 0
	}
	return max(0, min(r.rampMS, r.since+r.rampMS-now))
}

// rampShare returns the share of calls that is admitted, in 1/10 000.
func (r *Record) rampShare(now int64) int64 {
	left := r.rampLeftMS(now)
	if left == 0 {
		return scale
	}
	from := int64(r.rampFrom)
	return from + (scale-from)*(r.rampMS-left)/r.rampMS
}

// rampAdmissions returns how many of n calls are admitted: the whole part of n times
// the share, and one more with the probability of the rest. Epoch and jitter do not
// change in such a step, so it may use its random number.
func (m *machine) rampAdmissions(n int64) int64 {
	portion := n * m.rampShare(m.now)
	granted := portion / scale
	if m.rnd*scale < portion%scale*rndLimit {
		granted++
	}
	return granted
}

// rampHintMS returns the retry hint of a call that the ramp refused: like that of a
// round of probes, it grows with the time that the ramp has lasted.
func (r *Record) rampHintMS(now int64) int64 {
	return min(r.rampLeftMS(now), max(minProbeHintMS, now-r.since))
}

// beginRamp begins the policy's ramp in a circuit that has just recovered.
func (m *machine) beginRamp() {
	m.rampMS, m.rampFrom = m.p.RampMS, uint16(m.p.RampFrom)
}

// endRamp removes a ramp that is over.
func (m *machine) endRamp() {
	if m.rampMS > 0 && m.rampLeftMS(m.now) == 0 {
		m.rampMS, m.rampFrom = 0, 0
		m.wrote = true
	}
}
