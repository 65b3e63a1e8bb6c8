package engine

import (
	"fmt"
	"slices"
	"strings"
)

// appendLog writes a transition to the log, a ring of 16 entries.
func (m *machine) appendLog(t Transition) {
	t.By, t.Text = clipText(t.By), clipText(t.Text)
	m.newest = (m.newest + 1) % logSlots
	m.setSlotEntry(m.newest, t.logEntry())
	m.transitions = append(m.transitions, t)
}

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
//	epoch at from[/mode]>to[/mode] cause [tally] [by=token] [text=token]
func (t Transition) logEntry() string {
	s := fmt.Sprintf("%d %d %s>%s %s", t.Epoch, t.At, formatPlace(t.From, t.FromMode), formatPlace(t.To, t.ToMode), t.Cause)
	if t.Tally != "" {
		s += " " + t.Tally
	}
	if t.By != "" {
		s += " by=" + escapeToken(t.By)
	}
	if t.Text != "" {
		s += " text=" + escapeToken(t.Text)
	}
	return s
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
	words := strings.Split(entry, " ")
	var t Transition
	if len(words) < 4 || !matchText(words[0], "%d", &t.Epoch) || !matchText(words[1], "%d", &t.At) {
		return Transition{}, false
	}
	from, to, found := strings.Cut(words[2], ">")
	var fromOK, toOK bool
	t.From, t.FromMode, fromOK = parsePlace(from)
	t.To, t.ToMode, toOK = parsePlace(to)
	if !found || !fromOK || !toOK {
		return Transition{}, false
	}
	t.Cause = Cause(words[3])
	var tally []string
	for _, w := range words[4:] {
		if by, ok := strings.CutPrefix(w, "by="); ok {
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

// findNewest finds the newest entry without the help of the head, for a record
// whose head is lost.
func (r *Record) findNewest() int64 {
	slot, epoch := int64(-1), int64(0)
	for i, entry := range r.log {
		var e int64
		if leadingInt(entry, &e) > 0 && e > epoch {
			slot, epoch = int64(i), e
		}
	}
	return slot
}

// readLog returns the readable entries of the log, oldest first.
func (r *Record) readLog() []Transition {
	var list []Transition
	for i := range int64(logSlots) {
		if t, ok := ParseTransition(r.slotEntry((r.newest + 1 + i) % logSlots)); ok {
			list = append(list, t)
		}
	}
	return list
}
