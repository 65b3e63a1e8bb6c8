package redbreaker

import "github.com/redbreaker/redbreaker/engine"

// Limits of one flush beside [engine.MaxBatch]. A step holds up the server in proportion
// to its runs; one of successes costs the same at any length.
const (
	maxFlushRuns      = 256
	maxFlushRunsCount = 64 // in a count window, whose ring each run changes
)

// outcomeList holds outcomes of one epoch that wait for a flush, in the order in which
// the calls ended.
type outcomeList struct {
	runs     []engine.Run
	outcomes int64
	bad      int64          // of them that are not successes
	detail   *engine.Detail // of the last failure that had one, or nil
	pinned   bool           // the detail belongs to the failure that trips
}

func (l *outcomeList) count() int64 { return l.outcomes }

// add appends a run. d is its detail, or nil.
func (l *outcomeList) add(run engine.Run, d *engine.Detail) {
	l.outcomes += run.N
	if run.Outcome != Success {
		l.bad += run.N
	}
	if d != nil && !l.pinned {
		l.detail = d
	}
	if n := len(l.runs); n > 0 && l.runs[n-1].Outcome == run.Outcome && l.runs[n-1].N+run.N <= longestRunOf(run.Outcome) {
		l.runs[n-1].N += run.N
		return
	}
	l.runs = append(l.runs, run)
}

// longestRunOf returns how many of the outcome a run may have.
func longestRunOf(o Outcome) int64 {
	if o == Success {
		return engine.MaxSuccesses
	}
	return engine.MaxBatch
}

// pinDetail keeps the detail against those of later failures: the failure that trips
// decides how long the circuit is open.
func (l *outcomeList) pinDetail() { l.pinned = true }

// isFull reports whether a flush can take no more.
func (l *outcomeList) isFull(p *viewParams) bool {
	return len(l.runs) >= p.maxRuns || l.bad >= engine.MaxBatch || l.outcomes >= engine.MaxSuccesses/2
}

// isOverfull reports whether reports have to wait, so that memory stays bounded.
func (l *outcomeList) isOverfull(p *viewParams) bool {
	return len(l.runs) >= 2*p.maxRuns || l.bad >= 2*engine.MaxBatch
}

// takeRuns removes and returns the oldest runs that fit one flush, and the number of
// their outcomes.
func (l *outcomeList) takeRuns(p *viewParams) (runs []engine.Run, n int64) {
	bad := int64(0)
	for i, run := range l.runs {
		if i == p.maxRuns || run.Outcome != Success && bad+run.N > engine.MaxBatch {
			break
		}
		if run.Outcome != Success {
			bad += run.N
		}
		n += run.N
		runs = l.runs[:i+1]
	}
	rest := l.runs[len(runs):]
	*l = outcomeList{outcomes: l.outcomes - n, bad: l.bad - bad, detail: l.detail, pinned: l.pinned}
	if len(rest) > 0 {
		l.runs = append(l.runs, rest...)
	} else {
		l.detail, l.pinned = nil, false
	}
	return runs, n
}
