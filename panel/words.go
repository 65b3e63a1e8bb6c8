package panel

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// formatDuration formats a duration for people: at most two units, rounded down, so that
// a time that is left is never shown as longer than it is.
func formatDuration(d time.Duration) string {
	seconds := int64(d / time.Second)
	pair := func(n int64, unit string, rest int64, smaller string) string {
		if rest == 0 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		return fmt.Sprintf("%d %s %d %s", n, unit, rest, smaller)
	}
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(1, d.Milliseconds()))
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return pair(seconds/60, "min", seconds%60, "s")
	case seconds < 86400:
		return pair(seconds/3600, "h", seconds%3600/60, "min")
	}
	return pair(seconds/86400, "d", seconds%86400/3600, "h")
}

// stateName names what happens to calls: the mode, or else the state.
func stateName(s engine.State, m engine.Mode) string {
	switch m {
	case engine.ModeForcedOpen:
		return "Forced open"
	case engine.ModeForcedClosed:
		return "Forced closed"
	case engine.ModeShadow:
		return "Shadow"
	}
	switch s {
	case engine.StateOpen:
		return "Open"
	case engine.StateHalfOpen:
		return "Half-open"
	}
	return "Closed"
}

// describeCause says in words why a transition happened.
func describeCause(t *engine.Transition) string {
	n := t.Tallies()
	switch t.Cause {
	case engine.CauseConsecutive:
		return countOf(n.Streak, "failure") + " in a row"
	case engine.CauseFailureCount:
		return fmt.Sprintf("%s of %s", countOf(n.Failures, "failure"), countOf(n.Calls, "call"))
	case engine.CauseFailureRate:
		return fmt.Sprintf("%s of %s failed", sharePercent(n.Failures, n.Calls), countOf(n.Calls, "call"))
	case engine.CauseSlowRate:
		return fmt.Sprintf("%s of %s slow", sharePercent(n.Slow, n.Calls), countOf(n.Calls, "call"))
	case engine.CauseDemanded:
		return "The dependency asked for a pause"
	case engine.CauseProbeFailed:
		return countOf(n.Failed, "probe") + " failed"
	case engine.CauseRecovered:
		return countOf(n.Succeeded, "probe") + " succeeded"
	case engine.CauseElapsed:
		return "The open period was over"
	case engine.CauseOperator:
		return "Command"
	case engine.CauseModeEnded:
		return "The time of the mode was over"
	case engine.CauseCreated:
		return "First use"
	case engine.CauseHealed:
		return "The record was unreadable and began again"
	}
	return showText(string(t.Cause))
}

func countOf(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return formatCount(n) + " " + noun + "s"
}

func sharePercent(n, all int64) string {
	if all <= 0 {
		return "0 %"
	}
	return formatPercent(min(1, float64(n)/float64(all)))
}

// describeEvent says in one sentence what happened.
func describeEvent(e engine.Event) string {
	switch e.Kind {
	case engine.EventTransition, engine.EventHealed:
		t := &e.Transition
		return fmt.Sprintf("%s: %s to %s. %s.", showText(e.Name), strings.ToLower(stateName(t.From, t.FromMode)), strings.ToLower(stateName(t.To, t.ToMode)), describeCause(t))
	case engine.EventMissed:
		return fmt.Sprintf("%s: some transitions were missed, now %s.", showText(e.Name), strings.ToLower(stateName(e.State, e.Mode)))
	case engine.EventPushLost:
		return "Events do not arrive. The breakers are read instead, which takes longer."
	}
	return cmp.Or(strings.TrimSpace(showText(e.Name)+" "+strings.ReplaceAll(e.Kind.String(), "_", " ")), "event")
}

// describeNow says what happens to calls now.
func describeNow(s *engine.Snapshot) string {
	switch s.Mode {
	case engine.ModeForcedOpen:
		return "Every call is rejected."
	case engine.ModeForcedClosed:
		return "Every call is admitted, and none is counted."
	case engine.ModeShadow:
		return fmt.Sprintf("Every call is admitted and counted. Without the mode, the circuit would be %s.", strings.ToLower(stateName(s.State, engine.ModeAuto)))
	}
	switch {
	case s.State == engine.StateOpen && s.RetryAfter == 0:
		return "The open period is over. The next call is a probe."
	case s.State == engine.StateOpen:
		return "Calls are rejected."
	case s.State == engine.StateHalfOpen && s.Probes != nil:
		return fmt.Sprintf("At most %s at a time; %d must succeed to close the circuit.", countOf(int64(s.Probes.Probes), "probe"), s.Probes.Successes)
	case s.RampFor > 0:
		return fmt.Sprintf("Recovering: about %s of the calls are admitted.", formatPercent(s.RampShare))
	}
	if s.FailuresLeft > 0 {
		return fmt.Sprintf("Calls are admitted. %s now would open the circuit.", countOf(s.FailuresLeft, "more failure"))
	}
	return "Calls are admitted."
}

// openedBy returns the latest transition that opened the circuit, nil if the log has
// none.
func openedBy(s *engine.Snapshot) *engine.Transition {
	for i := len(s.Log) - 1; i >= 0; i-- {
		t := &s.Log[i]
		if t.To == engine.StateOpen && (t.From != engine.StateOpen || t.Cause != engine.CauseModeEnded) {
			return t
		}
	}
	return nil
}
