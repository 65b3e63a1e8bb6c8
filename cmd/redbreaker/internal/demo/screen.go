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
	enterScreen = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	clearScreen = "\x1b[2J"
	cursorHome  = "\x1b[H"
	clearRight  = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// color is the parameter of an SGR sequence; empty for none.
type color string

const (
	plain  color = ""
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// screen is the view on a terminal. It uses the alternate screen, so that nothing
// that a user types or resizes remains, and draws each frame over the one before in
// one write, so that nothing flickers. The terminal may be in raw mode, so a line ends
// in CR LF.
type screen struct {
	out           io.Writer
	size          func() (width, height int)
	color         bool
	width, height int // of the frame that is drawn
	lines         []string
	buf           bytes.Buffer
}

func newScreen(c *Config) *screen {
	s := &screen{out: c.Out, size: c.Screen.Size, color: c.Color}
	fmt.Fprint(s.out, enterScreen)
	return s
}

func (s *screen) close() { fmt.Fprint(s.out, leaveScreen) }

func (s *screen) draw(f frame) {
	s.buf.Reset()
	width, height := s.size()
	if width != s.width || height != s.height {
		s.buf.WriteString(clearScreen) // the old frame may have been wrapped
		s.width, s.height = width, height
	}
	s.layoutFrame(&f)
	s.buf.WriteString(cursorHome)
	for i, line := range s.lines[:min(len(s.lines), height)] {
		if i > 0 {
			s.buf.WriteString("\r\n")
		}
		s.buf.WriteString(line + clearRight)
	}
	s.buf.WriteString(clearBelow)
	_, _ = s.out.Write(s.buf.Bytes())
}

// spaciousHeight is the least height for a title and blank lines, beside the four
// replicas and three transitions that the demo has by default.
const spaciousHeight = 16

// layoutFrame makes the lines of the frame. On a low terminal it leaves out the title
// and blank lines, then replicas and transitions; the state comes first.
func (s *screen) layoutFrame(f *frame) {
	s.lines = s.lines[:0]
	spacious := s.height >= spaciousHeight
	if spacious {
		for _, text := range strings.Split(f.config.describeSetup(), "\n") {
			s.addLine(span{text, dim})
		}
		s.addLine()
	}
	s.addLine(append([]span{{"dependency  ", plain}, {fmt.Sprintf("%-11s", f.stage), stageColor(f.stage) + ";1"}}, formatTimeline(f)...)...)
	state := stateColor(f.currentState())
	s.addLine(span{"breaker     ", plain}, span{fmt.Sprintf("%-11s", f.stateText()), state + ";1"}, span{f.detailText(), plain})
	if spacious {
		s.addLine()
	}
	fixed := len(s.lines) + 2 // the head and the sum of the table
	leastEntries := 1
	if spacious {
		fixed++
		leastEntries = 3
	}
	s.drawReplicas(f, s.height-fixed-leastEntries)
	if spacious {
		s.addLine()
	}
	s.drawEntries(f, s.height-len(s.lines))
}

// drawReplicas draws the table of the replicas, with as many rows as there is room.
func (s *screen) drawReplicas(f *frame, room int) {
	row := func(c color, t tally) {
		s.addLine(span{fmt.Sprintf("%-12s%10d%10d%10d", t.name, t.admitted, t.rejected, t.failed), c})
	}
	s.addLine(span{fmt.Sprintf("%-12s%10s%10s%10s", "", "admitted", "rejected", "failed"), dim})
	shown := len(f.replicas)
	if shown > room {
		shown = max(0, room-1)
	}
	for _, t := range f.replicas[:shown] {
		row(plain, t)
	}
	if more := len(f.replicas) - shown; more > 0 && room > 0 {
		s.addLine(span{fmt.Sprintf("... and %d more", more), dim})
	}
	row(bold, f.sumReplicas())
}

// drawEntries draws the latest transitions, as many as there is room.
func (s *screen) drawEntries(f *frame, room int) {
	for _, e := range f.entries[max(0, len(f.entries)-max(0, room)):] {
		s.addLine(span{fmt.Sprintf("%10s  ", formatSeconds(e.elapsed)), dim}, span{e.describe(), stateColor(e.To, e.ToMode, e.note == "")})
	}
}

// formatTimeline returns a bar of the stages, filled up to the present.
func formatTimeline(f *frame) []span {
	const width = 38
	cells := func(d time.Duration) int { return int(int64(width) * int64(d) / int64(f.config.totalLength())) }
	var spans []span
	begin := 0
	done := cells(f.elapsed)
	for s, length := range []time.Duration{f.config.Healthy, f.config.Failing, f.config.Recovered} {
		n := max(1, cells(length))
		full := min(max(done-begin, 0), n)
		spans = append(spans, span{"[" + strings.Repeat("=", full) + strings.Repeat("-", n-full) + "]", stageColor(stage(s))})
		begin += n
	}
	return append(spans, span{fmt.Sprintf(" %.0f of %.0f s", f.elapsed.Seconds(), f.config.totalLength().Seconds()), dim})
}

// span is a piece of a line in one colour.
type span struct {
	text  string
	color color
}

// addLine adds a line, cut at the width, since a line that wraps would take two.
func (s *screen) addLine(spans ...span) {
	var line strings.Builder
	room := s.width - 1
	for _, p := range spans {
		text := []rune(p.text)
		text = text[:min(len(text), max(room, 0))]
		room -= len(text)
		if s.color && p.color != plain && len(text) > 0 {
			fmt.Fprintf(&line, "\x1b[%sm%s\x1b[0m", p.color, string(text))
		} else {
			line.WriteString(string(text))
		}
	}
	s.lines = append(s.lines, line.String())
}

func stageColor(s stage) color {
	if s == failing {
		return red
	}
	return green
}

func stateColor(s redbreaker.State, m redbreaker.Mode, known bool) color {
	switch {
	case !known:
		return dim
	case s == redbreaker.StateOpen, m == redbreaker.ModeForcedOpen:
		return red
	case s == redbreaker.StateHalfOpen:
		return yellow
	}
	return green
}
