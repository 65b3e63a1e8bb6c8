package demo

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker"
)

// The escape sequences of the screen.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	cursorUp   = "\x1b[%dA"
	clearRight = "\x1b[K"
	clearBelow = "\x1b[J"
)

// color is the parameter of an SGR sequence; empty: none.
type color string

const (
	plain  color = ""
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// screen is the view of a terminal: each frame is drawn over the one before, in
// one write, so that nothing flickers.
type screen struct {
	out    io.Writer
	size   func() (width, height int)
	color  bool
	width  int
	height int
	drawn  int // lines of the frame that stands
	buf    bytes.Buffer
}

func newScreen(c *Config) *screen {
	s := &screen{out: c.Out, size: c.Screen, color: c.Color}
	fmt.Fprint(s.out, hideCursor)
	return s
}

func (s *screen) close() { fmt.Fprint(s.out, showCursor+"\n") }

func (s *screen) draw(f frame) {
	s.width, s.height = s.size()
	s.buf.Reset()
	if s.drawn > 0 {
		fmt.Fprintf(&s.buf, cursorUp, s.drawn)
	}
	s.drawn = 0
	for _, text := range strings.Split(f.config.title(), "\n") {
		s.line(span{text, dim})
	}
	s.line()
	s.line(append([]span{{"dependency  ", plain}, {fmt.Sprintf("%-11s", f.phase), phaseColor(f.phase) + ";1"}}, timeline(&f)...)...)
	s.line(span{"breaker     ", plain}, span{fmt.Sprintf("%-11s", f.state()), stateColor(&f.record) + ";1"}, span{f.detail(), plain})
	s.line()
	s.table(&f)
	s.line()
	s.log(&f)
	s.buf.WriteString(clearBelow)
	_, _ = s.out.Write(s.buf.Bytes())
}

// table shows the replicas, as many as leave room for the rest.
func (s *screen) table(f *frame) {
	row := func(c color, t tally) {
		s.line(span{fmt.Sprintf("%-12s%10d%10d", t.name, t.admitted, t.rejected), c}, span{fmt.Sprintf("%10d", t.failed), c})
	}
	s.line(span{fmt.Sprintf("%-12s%10s%10s%10s", "", "admitted", "rejected", "failed"), dim})
	shown := min(len(f.replicas), max(1, s.height-s.drawn-8))
	for _, t := range f.replicas[:shown] {
		row(plain, t)
	}
	if more := len(f.replicas) - shown; more > 0 {
		s.line(span{fmt.Sprintf("... and %d more", more), dim})
	}
	row(bold, f.all())
}

// log shows the latest transitions, as many as there is room for.
func (s *screen) log(f *frame) {
	room := max(1, s.height-s.drawn-1)
	for _, e := range f.entries[max(0, len(f.entries)-room):] {
		s.line(span{fmt.Sprintf("%10s  ", seconds(e.elapsed)), dim}, span{e.text(), stateColor(&redbreaker.Snapshot{Exists: e.note == "", State: e.To})})
	}
}

// timeline is a bar of the phases, filled as far as time has passed.
func timeline(f *frame) []span {
	const width = 38
	cells := func(d time.Duration) int { return int(int64(width) * int64(d) / int64(f.config.length())) }
	var spans []span
	begin := 0
	done := cells(f.elapsed)
	for p, length := range []time.Duration{f.config.Healthy, f.config.Failing, f.config.Recovered} {
		n := max(1, cells(length))
		full := min(max(done-begin, 0), n)
		spans = append(spans, span{"[" + strings.Repeat("=", full) + strings.Repeat("-", n-full) + "]", phaseColor(phase(p))})
		begin += n
	}
	return append(spans, span{fmt.Sprintf(" %.0f of %.0f s", f.elapsed.Seconds(), f.config.length().Seconds()), dim})
}

// span is a piece of a line in one colour.
type span struct {
	text  string
	color color
}

// line adds a line, cut at the width, since one that wraps would be two.
func (s *screen) line(spans ...span) {
	room := s.width - 1
	for _, p := range spans {
		text := []rune(p.text)
		text = text[:min(len(text), max(room, 0))]
		room -= len(text)
		if s.color && p.color != plain && len(text) > 0 {
			fmt.Fprintf(&s.buf, "\x1b[%sm%s\x1b[0m", p.color, string(text))
		} else {
			s.buf.WriteString(string(text))
		}
	}
	s.buf.WriteString(clearRight + "\n")
	s.drawn++
}

func phaseColor(p phase) color {
	if p == failing {
		return red
	}
	return green
}

func stateColor(s *redbreaker.Snapshot) color {
	switch {
	case !s.Exists:
		return dim
	case s.State == redbreaker.StateOpen:
		return red
	case s.State == redbreaker.StateHalfOpen:
		return yellow
	}
	return green
}
