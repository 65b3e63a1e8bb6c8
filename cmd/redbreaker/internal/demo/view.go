package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker"
)

// frame is what there is to see at one moment.
type frame struct {
	config   *Config
	elapsed  time.Duration
	phase    phase
	record   redbreaker.Snapshot
	age      time.Duration // of the record's reading
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

// title says what is played, in lines of 80 columns.
func (c *Config) title() string {
	where := "an embedded miniredis"
	if !c.embedded() {
		where = c.Redis.String()
	}
	return fmt.Sprintf("%d replicas, %d calls a second each, one HTTP dependency, one shared breaker\n"+
		"state: %q in namespace %q of %s", c.Replicas, c.Rate, c.Name, c.Namespace, where)
}

// all is the sum of the replicas.
func (f *frame) all() tally {
	sum := tally{name: "all"}
	for _, t := range f.replicas {
		sum.admitted += t.admitted
		sum.rejected += t.rejected
		sum.failed += t.failed
	}
	return sum
}

// state names the state, and the mode over it.
func (f *frame) state() string {
	if !f.record.Exists {
		return "-"
	}
	if f.record.Mode != redbreaker.ModeAuto {
		return fmt.Sprintf("%s/%s", f.record.State, f.record.Mode)
	}
	return f.record.State.String()
}

// detail says what the state is about to do.
func (f *frame) detail() string {
	s := &f.record
	switch {
	case !s.Exists:
		return ""
	case s.State == redbreaker.StateOpen:
		if left := s.RetryAfter - f.age; left > 0 {
			return fmt.Sprintf("probes in %s, opened %s in a row", seconds(left), times(s.Trips))
		}
		return "the next call is a probe"
	case s.Probes != nil:
		return fmt.Sprintf("%d of %d probes succeeded, %d failed, %d under way",
			s.Probes.Succeeded, s.Probes.Probes, s.Probes.Failed, s.Probes.Outstanding)
	case s.Streak > 0:
		return fmt.Sprintf("%d failed in a row", s.Streak)
	}
	return ""
}

// text is the entry without its time: what moved, why, and by whose step.
func (e *entry) text() string {
	if e.note != "" {
		return fmt.Sprintf("%s: %s", e.by, e.note)
	}
	by := e.by
	if by == "" {
		by = e.By // an operator's, or a step whose reply was lost
	}
	from := place(e.From, e.FromMode)
	if e.Cause == redbreaker.CauseCreated {
		from = "-"
	}
	text := fmt.Sprintf("%-9s > %-9s  %-12s  %-10s", from, place(e.To, e.ToMode), e.Cause, printable(by))
	return strings.TrimRight(text+"  "+brief(e.Transition), " ")
}

// place names a state and, where it is not auto, the mode over it.
func place(s redbreaker.State, m redbreaker.Mode) string {
	if m == redbreaker.ModeAuto {
		return s.String()
	}
	return s.String() + "/" + m.String()
}

// brief is the tally that caused a transition without its zeros, and the reason.
func brief(t redbreaker.Transition) string {
	var words []string
	for _, word := range strings.Fields(t.Tally) {
		if !strings.HasSuffix(word, "=0") {
			words = append(words, word)
		}
	}
	if t.Text != "" && t.Cause == redbreaker.CauseOperator {
		words = append(words, printable(t.Text))
	}
	return strings.Join(words, " ")
}

// printable is text that others wrote, fit for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
