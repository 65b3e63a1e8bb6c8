package demo

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// lines is the view without a terminal: a line for each stage, each transition and
// each second, in the order of time. Transitions become known late, so every line is
// held back for settleTime.
type lines struct {
	out     io.Writer
	stage   stage // of the last line
	second  int64
	shown   map[string]bool // entries that are printed or pending
	entries []entry
	pending []line
}

// settleTime is longer than a hook or a reading of the record may take.
const settleTime = hookTime + 2*redrawTime

// line is a line that is not yet printed.
type line struct {
	at    time.Duration
	about string
	text  func() string // called when the line is printed
}

func newLines(c *Config) *lines {
	fmt.Fprintf(c.Out, "%s\n\n", c.describeSetup())
	return &lines{out: c.Out, stage: -1, shown: map[string]bool{}}
}

func (l *lines) draw(f frame) {
	l.collectLines(&f)
	l.printUntil(f.elapsed - settleTime)
}

// collectLines adds what the frame shows for the first time.
func (l *lines) collectLines(f *frame) {
	l.entries = f.entries
	add := func(at time.Duration, about string, text func() string) {
		l.pending = append(l.pending, line{at, about, text})
	}
	if s := f.stage; s != l.stage {
		l.stage = s
		add(f.elapsed, "dependency", s.String)
	}
	for _, e := range f.entries {
		if key := fmt.Sprint(e.Epoch, e.note, e.elapsed); !l.shown[key] {
			l.shown[key] = true
			add(e.elapsed, "breaker", e.describe)
		}
	}
	if second := int64(f.elapsed / time.Second); second > l.second {
		l.second = second
		all, at := f.sumReplicas(), f.elapsed
		add(at, "calls", func() string {
			return fmt.Sprintf("%d admitted, %d rejected, %d failed so far; circuit %s", all.admitted, all.rejected, all.failed, l.stateAt(at))
		})
	}
}

// stateAt returns the state at a time, by the transitions known by now.
func (l *lines) stateAt(at time.Duration) string {
	state := "-"
	for _, e := range l.entries {
		if e.note == "" && e.elapsed <= at {
			state = formatState(e.To, e.ToMode)
		}
	}
	return state
}

// printUntil prints the pending lines up to a time.
func (l *lines) printUntil(limit time.Duration) {
	slices.SortStableFunc(l.pending, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	n := 0
	for ; n < len(l.pending) && l.pending[n].at <= limit; n++ {
		p := l.pending[n]
		fmt.Fprintf(l.out, "%7s  %-10s  %s\n", formatSeconds(p.at), p.about, p.text())
	}
	l.pending = slices.Delete(l.pending, 0, n)
}

func (l *lines) close() { l.printUntil(math.MaxInt64) }
