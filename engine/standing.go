package engine

// Standing shows how far a closed record is from opening, for the policy and the
// reporter of the batch that asked. A process that knows it can tell in advance which
// of its outcomes may open the circuit, see [Outlook].
//
// The zero value is unknown. The standing is unknown unless the circuit is closed and
// counts, while another policy's window is in use, and where a field that it needs is
// damaged.
type Standing struct {
	Known bool
	// Streak is the number of failures in a row, and Seq the number of the last
	// numbered outcome of the epoch.
	Streak, Seq int64
	// Window holds the numbers of the window as of now, Leaving those of them that
	// leave a time window when its bucket turns, in TurnMS ms. All are 0 where the policy
	// has no window; Leaving and TurnMS also in a count window.
	Window, Leaving WindowSums
	TurnMS          int64
	// WindowAgeMS is how long ago the window took its shape, in ms.
	WindowAgeMS int64
	// Other is the reporter that MinReporters needs besides the one that asked: if k
	// are needed, the one that was (k-1)-th to report a failure or slow call, the
	// newest first. It is zero if fewer are known, and if MinReporters is 1.
	Other OtherReporter
}

// WindowSums are the numbers of calls, failures and slow calls in a window, or in a
// part of it. A slow failure is in both of the latter.
type WindowSums struct{ Calls, Failures, Slow int64 }

// OtherReporter is where the last failure or slow call of a reporter lies: its number in the
// epoch, from 1, and in a time window after how many turns of a bucket the window no
// longer holds it, 0 if it is gone.
type OtherReporter struct{ Seq, Turns int64 }

// standing returns the standing for a reporter. It changes nothing.
func (m *machine) standing(by string) Standing {
	s := Standing{Known: true, Streak: m.streak, Seq: m.seq}
	if !m.isCounting() || !m.isFieldReadable(fieldTally) || !m.measureWindow(&s) || !m.findOtherReporter(by, &s) {
		return Standing{}
	}
	return s
}

// measureWindow adds the numbers of the window. It returns false if they are not
// known: a window of another shape may give way to the policy's own at any outcome.
func (m *machine) measureWindow(s *Standing) bool {
	if m.p.Window.Kind == windowNone || m.shape.Kind == windowNone {
		return true // the next outcome begins a window, if the policy has one
	}
	if m.shape != m.p.Window {
		return false
	}
	s.WindowAgeMS = max(0, m.now-m.shapeSince)
	s.Window = WindowSums{m.calls.all, m.fails.all, m.slows.all}
	return m.shape.Kind == windowCount || m.measureBuckets(s)
}

// measureBuckets adds the numbers of a time window: as advanceWindow would find them,
// without moving the window. It returns false if a bucket is damaged, or if the clock
// went back behind the window, which then is about to be emptied.
func (m *machine) measureBuckets(s *Standing) bool {
	length := m.shape.bucketMS()
	bucket := max(m.cell, m.now/length)
	s.TurnMS = (bucket+1)*length - m.now
	if m.cell*length > m.now+m.shape.Size || bucket > m.cell && !m.sumBuckets(bucket, s) {
		return false
	}
	if oldest := bucket + 1 - buckets; oldest == m.cell {
		s.Leaving = WindowSums{m.calls.current, m.fails.current, m.slows.current}
	} else if oldest < m.cell && !m.readLeaving(oldest, s) {
		return false
	}
	return s.Leaving.Calls <= s.Window.Calls && s.Leaving.Failures <= s.Window.Failures && s.Leaving.Slow <= s.Window.Slow
}

// sumBuckets adds up what the window will hold once it has moved to a bucket, see
// rotateBuckets.
func (m *machine) sumBuckets(bucket int64, s *Standing) bool {
	s.Window = WindowSums{}
	if m.cell > bucket-buckets {
		s.Window = WindowSums{m.calls.current, m.fails.current, m.slows.current}
	}
	for i, c := range m.pastCells() {
		if int64(i) == m.cell%buckets {
			continue
		}
		if !m.isFieldReadable(cellField(int64(i))) {
			return false
		}
		if c.bucket > bucket-buckets && c.bucket < m.cell {
			s.Window.Calls, s.Window.Failures, s.Window.Slow = s.Window.Calls+c.calls, s.Window.Failures+c.fails, s.Window.Slow+c.slows
		}
	}
	return s.Window.Calls <= maxTally
}

// readLeaving adds the numbers of a bucket before the current one.
func (m *machine) readLeaving(bucket int64, s *Standing) bool {
	slot := bucket % buckets
	if !m.isFieldReadable(cellField(slot)) {
		return false
	}
	if m.cells != nil && m.cells[slot].bucket == bucket {
		c := m.cells[slot]
		s.Leaving = WindowSums{c.calls, c.fails, c.slows}
	}
	return true
}

// findOtherReporter adds the reporter that MinReporters needs besides by. It returns false
// if the reporters are damaged.
func (m *machine) findOtherReporter(by string, s *Standing) bool {
	if m.p.Reporters == 1 {
		return true
	}
	if !m.isFieldReadable(fieldReporters) {
		return false
	}
	own, missing := EncodeToken(by), m.p.Reporters-1
	for _, other := range m.reporters {
		if other.by == own {
			continue
		}
		if missing--; missing == 0 {
			s.Other.Seq = other.seq
			if m.shape.Kind == windowTime && m.p.Window.Kind == windowTime {
				bucket := max(m.cell, m.now/m.shape.bucketMS())
				s.Other.Turns = max(0, min(other.bucket-bucket+buckets, buckets))
			}
			break
		}
	}
	return true
}
