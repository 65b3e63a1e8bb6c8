package engine

import "slices"

// rememberReporter moves the reporter of a failure or slow call to the front,
// where the policy asks for more than one reporter. Others pay nothing for the
// rule.
func (m *machine) rememberReporter() {
	if m.p.Reporters == 1 {
		return
	}
	latest := reporter{by: EncodeToken(m.by), seq: m.seq}
	if m.shape.Kind == windowTime {
		latest.bucket = m.cell
	}
	m.reporters = slices.DeleteFunc(m.reporters, func(r reporter) bool { return r.by == latest.by })
	m.reporters = slices.Insert(m.reporters, 0, latest)
	if len(m.reporters) > MaxReporters {
		m.reporters = m.reporters[:MaxReporters]
	}
}

// findCause returns the first rule that holds for a tally. The window is judged
// only if it has the policy's own shape: counts of another shape would mean
// something else. last is the oldest reporter that MinReporters needs; its number
// is 0 if there is none.
func (p *Rules) findCause(t *tally, last reporter) Cause {
	if p.Consecutive > 0 && t.streak >= p.Consecutive && t.hasReportersInStreak(last) {
		return CauseConsecutive
	}
	if p.Window.Kind == windowNone || t.shape != p.Window || !t.hasReportersInWindow(last) {
		return ""
	}
	if p.Count > 0 && t.fails.all >= p.Count {
		return CauseFailureCount
	}
	if p.Rate > 0 && t.calls.all >= p.MinCalls && t.fails.all*scale >= p.Rate*t.calls.all {
		return CauseFailureRate
	}
	if p.SlowRate > 0 && t.calls.all >= p.MinCalls && t.slows.all*scale >= p.SlowRate*t.calls.all {
		return CauseSlowRate
	}
	return ""
}

// hasReportersInStreak reports whether enough distinct reporters failed since
// the streak began. A streak is the last so many numbered outcomes, so a
// reporter lies in it if its number does.
func (t *tally) hasReportersInStreak(last reporter) bool {
	return last.seq > max(0, t.seq-t.streak)
}

// hasReportersInWindow reports whether enough distinct reporters lie in the
// window.
func (t *tally) hasReportersInWindow(last reporter) bool {
	if t.shape.Kind == windowTime {
		return last.seq > 0 && last.bucket > t.cell-buckets
	}
	return last.seq > max(0, t.seq-t.calls.all)
}

// oldestNeededReporter returns the k-th newest reporter of a policy that asks
// for k. Reporters are kept newest first, so if this one lies in a window, all
// k do. For k = 1 it is the reporter of the present outcome. It is zero if fewer
// than k are known.
func (m *machine) oldestNeededReporter() reporter {
	k := m.p.Reporters
	if k == 1 {
		return reporter{seq: m.seq, bucket: m.cell}
	}
	if int64(len(m.reporters)) < k {
		return reporter{}
	}
	return m.reporters[k-1]
}
