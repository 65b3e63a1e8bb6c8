package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// frame is the state of the demo at one moment.
type frame struct {
	config   *Config
	elapsed  time.Duration
	stage    stage
	record   redbreaker.Snapshot
	age      time.Duration // since the record was read
	replicas []tally
	entries  []entry
}

// view shows frames.
type view interface {
	draw(frame)
	close()
}

func (d *demo) newView() view {
	if d.Screen == nil {
		return newLines(&d.Config)
	}
	return newScreen(&d.Config)
}

// sumReplicas returns the sum of the replicas' tallies.
func (f *frame) sumReplicas() tally {
	sum := tally{name: "all"}
	for _, t := range f.replicas {
		sum.admitted += t.admitted
		sum.rejected += t.rejected
		sum.failed += t.failed
	}
	return sum
}

// latestTransition returns the newest transition if it is newer than the record, which
// is read at intervals; else nil.
func (f *frame) latestTransition() *redbreaker.Transition {
	for i := len(f.entries) - 1; i >= 0; i-- {
		if e := &f.entries[i]; e.note == "" {
			if !f.record.Exists || e.Epoch > f.record.Epoch {
				return &e.Transition
			}
			return nil
		}
	}
	return nil
}

// currentState returns the state and the mode, as far as known.
func (f *frame) currentState() (s redbreaker.State, m redbreaker.Mode, known bool) {
	if t := f.latestTransition(); t != nil {
		return t.To, t.ToMode, true
	}
	return f.record.State, f.record.Mode, f.record.Exists
}

// stateText names the state, and the mode over it.
func (f *frame) stateText() string {
	s, m, known := f.currentState()
	if !known {
		return "-"
	}
	return formatState(s, m)
}

// detailText says what the circuit does next.
func (f *frame) detailText() string {
	s := &f.record
	switch {
	case !s.Exists, f.latestTransition() != nil:
		return ""
	case s.State == redbreaker.StateOpen:
		if left := s.RetryAfter - f.age; left > 0 {
			return fmt.Sprintf("probes in %s, opened %s in a row", formatSeconds(left), countTimes(s.Trips))
		}
		return "the next call is a probe"
	case s.Probes != nil:
		return fmt.Sprintf("%d of %d probes succeeded, %d failed, %d in flight",
			s.Probes.Succeeded, s.Probes.Probes, s.Probes.Failed, s.Probes.Outstanding)
	case s.Streak > 0:
		return fmt.Sprintf("%d failed in a row", s.Streak)
	}
	return ""
}

// describe returns the entry without its time: the transition, its cause, and the
// replica whose step made it.
func (e *entry) describe() string {
	if e.note != "" {
		return fmt.Sprintf("%s: %s", e.by, e.note)
	}
	by := e.by
	if by == "" {
		by = e.By // an operator, or a step whose reply was lost
	}
	from := formatState(e.From, e.FromMode)
	if e.Cause == redbreaker.CauseCreated {
		from = "-"
	}
	text := fmt.Sprintf("%-9s > %-9s  %-12s  %-10s", from, formatState(e.To, e.ToMode), e.Cause, plaintext.Replace(by))
	return strings.TrimRight(text+"  "+formatCause(e.Transition), " ")
}

// formatState names a state and, where it is not auto, the mode over it.
func formatState(s redbreaker.State, m redbreaker.Mode) string {
	if m == redbreaker.ModeAuto {
		return s.String()
	}
	return s.String() + "/" + m.String()
}

// formatCause returns the tallies that caused a transition, without zeros, and an
// operator's reason.
func formatCause(t redbreaker.Transition) string {
	var words []string
	for _, word := range strings.Fields(t.Tally) {
		if !strings.HasSuffix(word, "=0") {
			words = append(words, word)
		}
	}
	if t.Text != "" && t.Cause == redbreaker.CauseOperator {
		words = append(words, plaintext.Replace(t.Text))
	}
	return strings.Join(words, " ")
}

func formatSeconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }

func countTimes(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
