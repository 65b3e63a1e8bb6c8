package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Transitions are numbered, so that a reader of events can count those that it
// missed. The number alone does not identify one: a record that is lost and begins
// again counts from 1. The epoch does, so an event also carries the epoch before,
// and a reader can chain them.

// appendLog numbers a transition and writes it to the log, a ring of 16 entries. One
// that time or damage made has no author: the reporter or operator whose step finds
// it due did not cause it.
func (m *machine) appendLog(t Transition) {
	if t.Cause != CauseModeEnded && t.Cause != CauseCreated && t.Cause != CauseHealed {
		t.By, t.Text = clipText(m.by), clipText(m.text)
	}
	m.newest = m.newest%maxNumber + 1
	t.N = m.newest
	m.setSlotEntry(m.newest%logSlots, t.logEntry())
	m.transitions = append(m.transitions, t)
}

// emptyWindow ends the tally of a transition whose window counted no call.
const emptyWindow = " calls=0 failures=0 slow=0"

// describeTally returns the counts that caused a transition, for the log.
func (m *machine) describeTally(cause Cause) string {
	switch cause {
	case CauseConsecutive, CauseFailureCount, CauseFailureRate, CauseSlowRate:
		return fmt.Sprintf("streak=%d calls=%d failures=%d slow=%d", m.streak, m.calls.all, m.fails.all, m.slows.all)
	case CauseProbeFailed, CauseRecovered:
		return fmt.Sprintf("succeeded=%d failed=%d lapsed=%d", m.round.succeeded, m.round.failed, m.round.lapsed)
	}
	return ""
}

// logEntry returns the transition as the log keeps it:
//
//	n epoch at from[/mode]>to[/mode] cause [for=ms] [tally] [by=token] [text=token]
func (t Transition) logEntry() string {
	b := make([]byte, 0, 256) // on the stack: every forecast writes an entry
	for _, n := range [...]int64{t.N, t.Epoch, t.At} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	b = append(append(b, formatPlace(t.From, t.FromMode)...), '>')
	b = append(append(b, formatPlace(t.To, t.ToMode)...), ' ')
	b = append(b, t.Cause...)
	if t.For > 0 {
		b = strconv.AppendInt(append(b, " for="...), t.For.Milliseconds(), 10)
	}
	if t.Tally != "" {
		b = append(append(b, ' '), t.Tally...)
	}
	if t.By != "" {
		b = append(append(b, " by="...), escapeToken(t.By)...)
	}
	if t.Text != "" {
		b = append(append(b, " text="...), escapeToken(t.Text)...)
	}
	return string(b)
}

// formatPlace names a state and, where it is not auto, the mode over it.
func formatPlace(s State, m Mode) string {
	if m == ModeAuto {
		return s.String()
	}
	return s.String() + "/" + m.String()
}

// parsePlace reads what formatPlace wrote.
func parsePlace(text string) (s State, m Mode, ok bool) {
	state, mode, forced := strings.Cut(text, "/")
	i := slices.Index(stateNames[:], state)
	j := 0
	if forced {
		j = slices.Index(modeNames[1:], mode) + 1
	}
	return State(max(i, 0)), Mode(j), i >= 0 && (!forced || j > 0)
}

// ParseTransition reads an entry of a record's log. It reports false for text
// that no release could have written.
func ParseTransition(entry string) (Transition, bool) {
	var words [5]string // a list reads thousands of entries, so nothing is allocated for words
	rest, more := entry, true
	for i := range words {
		if !more {
			return Transition{}, false
		}
		words[i], rest, more = strings.Cut(rest, " ")
	}
	var t Transition
	if !matchText(words[0], "%d", &t.N) || !within(t.N, 1, maxNumber) ||
		!matchText(words[1], "%d", &t.Epoch) || !matchText(words[2], "%d", &t.At) {
		return Transition{}, false
	}
	from, to, found := strings.Cut(words[3], ">")
	var fromOK, toOK bool
	t.From, t.FromMode, fromOK = parsePlace(from)
	t.To, t.ToMode, toOK = parsePlace(to)
	if !found || !fromOK || !toOK {
		return Transition{}, false
	}
	t.Cause = Cause(words[4])
	var space [8]string
	tally := space[:0]
	for more {
		var w string
		var forMS int64
		w, rest, more = strings.Cut(rest, " ")
		if matchText(w, "for=%d", &forMS) && forMS <= maxMS {
			t.For = ms(forMS)
		} else if by, ok := strings.CutPrefix(w, "by="); ok {
			t.By = unescapeToken(by)
		} else if text, ok := strings.CutPrefix(w, "text="); ok {
			t.Text = unescapeToken(text)
		} else {
			tally = append(tally, w)
		}
	}
	t.Tally = strings.Join(tally, " ")
	return t, true
}

// ParseEvent reads the text of an event: the epoch before the transition, 0 if
// there was no record, then the entry of the log. It reports false for text that
// no release could have written.
func ParseEvent(event string) (Transition, bool) {
	before, entry, _ := strings.Cut(event, " ")
	t, ok := ParseTransition(entry)
	if !ok || !matchText(before, "%d", &t.Was) {
		return Transition{}, false
	}
	return t, true
}

// readLog returns the readable entries of the log, oldest first.
func (r *Record) readLog() []Transition {
	list := make([]Transition, 0, len(r.log))
	for i := range int64(logSlots) {
		if t, ok := ParseTransition(r.slotEntry((r.newest + 1 + i) % logSlots)); ok {
			list = append(list, t)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}
