package demo

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// lines is the view of what is no terminal: a line for each phase, for each
// transition, and for each second.
type lines struct {
	out    io.Writer
	phase  phase // of the last line
	second int64
	shown  map[string]bool // entries
}

func newLines(c *Config) *lines {
	fmt.Fprintf(c.Out, "%s\n\n", c.title())
	return &lines{out: c.Out, phase: -1, shown: map[string]bool{}}
}

// news is one line.
type news struct {
	at          time.Duration
	about, text string
}

func (l *lines) draw(f frame) {
	list := l.news(f)
	slices.SortStableFunc(list, func(a, b news) int { return cmp.Compare(a.at, b.at) })
	for _, n := range list {
		fmt.Fprintf(l.out, "%7s  %-10s  %s\n", seconds(n.at), n.about, n.text)
	}
}

// news is what the frame shows for the first time.
func (l *lines) news(f frame) []news {
	var list []news
	if f.phase != l.phase {
		l.phase = f.phase
		list = append(list, news{f.elapsed, "dependency", f.phase.String()})
	}
	for _, e := range f.entries {
		if key := fmt.Sprint(e.Epoch, e.note, e.elapsed); !l.shown[key] {
			l.shown[key] = true
			list = append(list, news{e.elapsed, "breaker", e.text()})
		}
	}
	if second := int64(f.elapsed / time.Second); second > l.second {
		l.second = second
		all := f.all()
		list = append(list, news{f.elapsed, "calls", fmt.Sprintf("%d admitted, %d rejected, %d failed so far; circuit %s",
			all.admitted, all.rejected, all.failed, f.state())})
	}
	return list
}

func (l *lines) close() {}
