package engine

// Outlook follows a [Standing] through outcomes that the storage has not counted
// yet. It judges them by the machine's own rules. Make it with [Rules.Outlook]. Not
// safe for concurrent use.
//
// It is never later than the storage, as far as it knows the outcomes: what it does
// not know, it takes for the worse. In a count window it does not know what the ring
// drops and assumes that the successes leave first. In a time window it does not know
// whether the bucket turns before the outcomes arrive, so it judges both.
type Outlook struct {
	rules *Rules
	known bool
	// whole has the window as it was, turned as it will be after one turn of a bucket;
	// turned is not used without a time window.
	whole, turned tally
	other         OtherReporter
}

// Outlook begins an outlook at a standing. The rules must be those of the handle
// that the standing is of, and must not change.
func (p *Rules) Outlook(s *Standing) Outlook {
	l := Outlook{rules: p, known: s.Known, other: s.Other}
	w := s.Window
	l.whole = tally{streak: s.Streak, seq: s.Seq, shape: p.Window, cell: buckets,
		calls: pair{all: w.Calls}, fails: pair{all: w.Failures}, slows: pair{all: w.Slow}}
	if p.Window.Kind == windowCount && w.Failures+w.Slow == 0 {
		l.whole.clean = w.Calls
	}
	l.turned = l.whole
	l.turned.cell++
	l.turned.calls.all -= s.Leaving.Calls
	l.turned.fails.all -= s.Leaving.Failures
	l.turned.slows.all -= s.Leaving.Slow
	return l
}

// OutlookFrom begins an outlook by the rules of the handle that the tracker serves.
func (t *Tracker) OutlookFrom(s *Standing) Outlook { return t.rules.Outlook(s) }

// Add adds a run of outcomes of closed calls and reports whether it may open the
// circuit: one of them does if the storage counts all that was added, and nothing
// else, from the standing on. Of an unknown standing each failure and slow call may.
func (l *Outlook) Add(run Run) bool {
	switch {
	case run.Outcome == TripNow:
		return true
	case run.Outcome == Ignored:
		return false
	case run.Outcome == Success:
		l.whole.assumeSuccesses(run.N)
		l.turned.assumeSuccesses(run.N)
		return false
	}
	opens := !l.known
	for n := int64(0); n < run.N && !opens; n++ {
		opens = l.addBadOutcome(run.Outcome)
	}
	return opens
}

// addBadOutcome adds a failure or a slow call and judges it.
func (l *Outlook) addBadOutcome(o Outcome) bool {
	l.whole.assumeBadOutcome(o)
	l.turned.assumeBadOutcome(o)
	if l.rules.findCause(&l.whole, l.reporterFor(&l.whole)) != "" {
		return true
	}
	return l.rules.Window.Kind == windowTime && l.rules.findCause(&l.turned, l.reporterFor(&l.turned)) != ""
}

// reporterFor returns the oldest reporter that MinReporters needs, as
// oldestNeededReporter finds it right after an outcome of this process.
func (l *Outlook) reporterFor(t *tally) reporter {
	if l.rules.Reporters == 1 {
		return reporter{seq: t.seq, bucket: t.cell}
	}
	return reporter{seq: l.other.Seq, bucket: l.other.Turns}
}

// assumeSuccesses counts n fast successes.
func (t *tally) assumeSuccesses(n int64) {
	t.streak = 0
	if t.shape.Kind != windowCount {
		t.calls.all += n
		return
	}
	pushed := min(n, t.shape.Size-t.calls.all)
	t.seq += pushed // those beyond may be numbered too; without, a reporter is not older than it is
	t.calls.all += pushed
	t.clean = min(t.clean+n, t.shape.Size)
	t.dropBadOutcomes()
}

// assumeBadOutcome counts one failure or slow call.
func (t *tally) assumeBadOutcome(o Outcome) {
	t.seq++
	t.streak++
	if o == SlowSuccess {
		t.streak = 0
	}
	if t.shape.Kind == windowCount {
		t.clean = min(t.clean+1, t.shape.Size) // its place, which is no longer one of the others
		t.dropBadOutcomes()
		t.calls.all = min(t.calls.all, t.shape.Size-1)
	}
	t.clean = 0
	t.calls.all++
	t.fails.all += failureOf(o)
	t.slows.all += slowOf(o)
}

// dropBadOutcomes drops the failures and slow calls that cannot be in the ring
// beside its newest successes.
func (t *tally) dropBadOutcomes() {
	room := t.shape.Size - t.clean
	t.fails.all, t.slows.all = min(t.fails.all, room), min(t.slows.all, room)
}
