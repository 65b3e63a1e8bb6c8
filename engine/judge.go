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

// findCause returns the first rule that holds. The window is judged only if it
// has the policy's own shape: counts of another shape would mean something
// else.
func (m *machine) findCause() Cause {
	p := m.p
	if p.Consecutive > 0 && m.streak >= p.Consecutive && m.hasReportersInStreak() {
		return CauseConsecutive
	}
	if p.Window.Kind == windowNone || m.shape != p.Window || !m.hasReportersInWindow() {
		return ""
	}
	if p.Count > 0 && m.fails.all >= p.Count {
		return CauseFailureCount
	}
	if p.Rate > 0 && m.calls.all >= p.MinCalls && m.fails.all*scale >= p.Rate*m.calls.all {
		return CauseFailureRate
	}
	if p.SlowRate > 0 && m.calls.all >= p.MinCalls && m.slows.all*scale >= p.SlowRate*m.calls.all {
		return CauseSlowRate
	}
	return ""
}

// hasReportersInStreak reports whether enough distinct reporters failed since
// the streak began. A streak is the last so many numbered outcomes, so a
// reporter lies in it if its number does.
func (m *machine) hasReportersInStreak() bool {
	last, known := m.oldestNeededReporter()
	return known && last.seq > m.seq-m.streak
}

// hasReportersInWindow reports whether enough distinct reporters lie in the
// window.
func (m *machine) hasReportersInWindow() bool {
	last, known := m.oldestNeededReporter()
	if m.p.Reporters > 1 && m.shape.Kind == windowTime {
		return known && last.bucket > m.cell-buckets
	}
	return known && last.seq > m.seq-m.calls.all
}

// oldestNeededReporter returns the k-th newest reporter of a policy that asks
// for k. Reporters are kept newest first, so if this one lies in a window, all
// k do. For k = 1 it is the reporter of the present outcome.
func (m *machine) oldestNeededReporter() (reporter, bool) {
	k := m.p.Reporters
	if k == 1 {
		return reporter{seq: m.seq, bucket: m.cell}, true
	}
	if int64(len(m.reporters)) < k {
		return reporter{}, false
	}
	return m.reporters[k-1], true
}
