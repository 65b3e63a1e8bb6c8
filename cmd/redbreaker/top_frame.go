package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/explain"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
)

// frame returns the lines to show: a title, the faults, the table or one breaker, and what
// the keys do.
func (m *topModel) frame(width, height int) []terminal.Line {
	lines := plainLines(m.titleLines())
	room := max(1, height-len(lines)-1)
	if l := m.current(); l != nil && (m.view == viewBreaker || m.view != viewTable && m.back == viewBreaker && m.view != viewFilter) {
		lines = append(lines, m.breakerLines(l, room)...)
	} else {
		lines = append(lines, m.tableLines(room)...)
	}
	for len(lines) < height-1 {
		lines = append(lines, terminal.Line{})
	}
	return append(lines[:max(0, height-1)], terminal.Line{Text: plaintext.Replace(m.footer())})
}

// titleLines returns the title and the faults.
func (m *topModel) titleLines() []string {
	order := m.which.order
	if m.which.reverse {
		order += ", reversed"
	}
	title := fmt.Sprintf("redbreaker top  %s  %s  %s  by %s", m.now().Format(time.TimeOnly), countBreakers(len(m.list)), m.where, order)
	if m.which.match != "" {
		title += "  filter " + plaintext.Quote(m.which.match)
	}
	lines := []string{plaintext.Replace(title)}
	if m.fault != nil {
		lines = append(lines, strings.Split(errorText(m.fault), "\n")...)
	}
	return lines
}

// tableLines returns the part of the table around the cursor.
func (m *topModel) tableLines(room int) []terminal.Line {
	if len(m.list) == 0 {
		text := "reading"
		if m.read {
			text = "no breakers"
		}
		return []terminal.Line{{}, {Text: text}}
	}
	m.rows = max(1, room-1)
	first := max(0, min(m.cursor-m.rows/2, len(m.list)-m.rows))
	visible := m.list[first:min(len(m.list), first+m.rows)]
	lines := plainLines(formatTable(visible))
	lines[1+m.cursor-first].Inverted = true
	return lines
}

// breakerLines explains one breaker, and shows as much of its log as there is room for.
func (m *topModel) breakerLines(l *listed, room int) []terminal.Line {
	lines := append([]string{""}, strings.Split(strings.TrimSuffix(explain.Text(&l.Snapshot), "\n"), "\n")...)
	var log bytes.Buffer
	_ = writeLog(&log, l.Log) // a Buffer takes everything
	entries := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
	// The first two lines are an empty one and the titles; the newest transitions are last.
	if surplus := len(lines) + len(entries) - room; surplus > 0 && len(entries) > 2 {
		entries = append(entries[:2:2], entries[min(len(entries), 2+surplus):]...)
	}
	return plainLines(append(lines, entries...))
}

// footer returns the question, the last message, or what the keys do.
func (m *topModel) footer() string {
	switch {
	case m.view == viewFilter:
		return "show names that contain: " + m.which.match + "_   enter: done, escape: show all"
	case m.view == viewActions:
		var keys []string
		for _, a := range topActions {
			keys = append(keys, a.key+" "+a.use)
		}
		return strings.Join(keys, "  ") + "  (modes for " + topTerm.String() + ")  escape: back"
	case m.view == viewConfirm:
		length := ""
		if m.order.order.For > 0 {
			length = fmt.Sprintf(" for %v", m.order.order.For)
		}
		reason := ""
		if m.order.order.Reason != topReason {
			reason = " because of " + plaintext.Quote(m.order.order.Reason)
		}
		return fmt.Sprintf("%s %s%s%s? y: yes, r: give a reason, any other key: no", m.order.order.use, plaintext.Quote(m.order.name), length, reason)
	case m.view == viewReason:
		return "reason, for the log: " + m.order.order.Reason + "_   enter: done, escape: none"
	case m.message != "":
		return m.message
	case m.view == viewBreaker:
		return "escape: back  a: act  q: end"
	}
	return "enter: open  a: act  /: filter  s: sort  R: reverse  q: end"
}
