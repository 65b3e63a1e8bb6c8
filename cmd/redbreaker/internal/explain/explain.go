// Package explain says in words what a breaker does now, why, and what would change it.
package explain

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/engine"
)

// Text explains the snapshot of an existing breaker in a few lines. It is a function of the
// snapshot alone. Texts of other programs in it are quoted.
func Text(s *engine.Snapshot) string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	name := plaintext.Quote(s.Name)
	switch s.Mode {
	case engine.ModeForcedOpen:
		say("%s is forced open%s: all calls are rejected%s.", name, nameActor("by", s.ModeBy, s.ModeReason), modeEnd(s))
	case engine.ModeForcedClosed:
		say("%s is forced closed%s: all calls are admitted, and none is counted%s.", name, nameActor("by", s.ModeBy, s.ModeReason), modeEnd(s))
	case engine.ModeShadow:
		say("%s is in shadow%s: all calls are admitted and counted%s. Without the shadow:", name, nameActor("by", s.ModeBy, s.ModeReason), modeEnd(s))
		fallthrough
	default:
		lines = append(lines, describeState(s, name)...)
	}
	if s.Mode == engine.ModeForcedOpen || s.Mode == engine.ModeForcedClosed {
		say("After it the circuit is closed and counts from zero.")
	}
	if len(s.Unreadable) > 0 {
		say("Damaged fields: %s. The next step that needs one of them begins the record again.",
			plaintext.QuoteUnprintable(strings.Join(s.Unreadable, ", ")))
	}
	return strings.Join(lines, "\n") + "\n"
}

// describeState explains the state, as it is or as a shadow hides it.
func describeState(s *engine.Snapshot, name string) []string {
	switch s.State {
	case engine.StateOpen:
		return describeOpen(s, name)
	case engine.StateHalfOpen:
		return describeHalfOpen(s, name)
	}
	return describeClosed(s, name)
}

func describeClosed(s *engine.Snapshot, name string) []string {
	age := plaintext.RoundDuration(s.Age)
	lines := []string{fmt.Sprintf("%s has been closed for %v: all calls are admitted.", name, age)}
	if s.RampFor > 0 {
		lines[0] = fmt.Sprintf("%s has been closed for %v and ramps up: it admits %s of the calls now, and all in %v.",
			name, age, percent(s.RampShare), plaintext.RoundDuration(s.RampFor))
	}
	if s.Policy == nil {
		return append(lines, "Its policy cannot be read, so it is not known when it opens.")
	}
	lines = append(lines,
		fmt.Sprintf("It opens at %s; now %s.", strings.Join(thresholds(s.Policy), ", or at "), strings.Join(tallies(s), ", ")))
	if s.Policy.MinReporters > 1 {
		lines = append(lines, describeReporters(s))
	}
	return append(lines, describeDistance(s))
}

// thresholds returns the conditions that open the circuit.
func thresholds(p *engine.Policy) []string {
	w := &p.Window
	of := fmt.Sprintf("at least %s", count(int64(w.MinCalls), "call"))
	size := fmt.Sprintf(" within %v", w.Period)
	if w.Calls > 0 {
		size = fmt.Sprintf(" among the last %d", w.Calls)
	}
	var all []string
	if p.ConsecutiveFailures > 0 {
		all = append(all, count(int64(p.ConsecutiveFailures), "failure")+" in a row")
	}
	if w.FailureCount > 0 {
		all = append(all, count(int64(w.FailureCount), "failure")+size)
	}
	if w.FailureRate > 0 {
		all = append(all, fmt.Sprintf("%s failures of %s%s", percent(w.FailureRate), of, size))
	}
	if w.SlowCallRate > 0 {
		all = append(all, fmt.Sprintf("%s slow calls (%v or longer) of %s%s", percent(w.SlowCallRate), w.SlowCallDuration, of, size))
	}
	return all
}

// tallies returns the counts that the thresholds are compared with.
func tallies(s *engine.Snapshot) []string {
	p := s.Policy
	var all []string
	if p.ConsecutiveFailures > 0 {
		all = append(all, fmt.Sprintf("%d in a row", s.Streak))
	}
	if p.Window.FailureRate > 0 || p.Window.FailureCount > 0 {
		all = append(all, fmt.Sprintf("%d of %d failed%s", s.Failures, s.Calls, shareOf(s.Failures, s.Calls)))
	}
	if p.Window.SlowCallRate > 0 {
		all = append(all, fmt.Sprintf("%d of %d were slow%s", s.Slow, s.Calls, shareOf(s.Slow, s.Calls)))
	}
	return all
}

// describeDistance says how many further outcomes open the circuit.
func describeDistance(s *engine.Snapshot) string {
	text := "More than 1000 further failures would be needed, or none opens it."
	if s.FailuresLeft > 0 {
		text = count(s.FailuresLeft, "more failure") + opens(s.FailuresLeft)
	}
	if s.SlowLeft > 0 {
		text += " " + count(s.SlowLeft, "more slow call") + opens(s.SlowLeft)
	}
	return text
}

func opens(n int64) string {
	if n == 1 {
		return " opens it."
	}
	return " in a row open it."
}

func describeReporters(s *engine.Snapshot) string {
	text := fmt.Sprintf("They must come from at least %d reporters; lately ", s.Policy.MinReporters)
	if len(s.Reporters) == 0 {
		return text + "there was none."
	}
	return text + plaintext.QuoteUnprintable(strings.Join(s.Reporters, ", ")) + "."
}

func describeOpen(s *engine.Snapshot, name string) []string {
	first := fmt.Sprintf("%s has been open for %v: calls are rejected.", name, plaintext.RoundDuration(s.Age))
	lines := []string{first}
	if t := opening(s); t != nil {
		lines = append(lines, "It opened "+describeCause(t)+".")
	}
	length := fmt.Sprintf("It opened for %v", s.OpenFor)
	if s.Trips > 1 {
		length += fmt.Sprintf(", and for the %d. time in a row", s.Trips)
	}
	if s.RetryAfter > 0 {
		return append(lines, length+fmt.Sprintf("; the first call in %v or later is a probe.", plaintext.RoundDuration(s.RetryAfter)))
	}
	return append(lines, length+"; that is over, and the next call is a probe.")
}

// opening returns the transition that opened the circuit; nil if the log no longer has it.
func opening(s *engine.Snapshot) *engine.Transition {
	for i := len(s.Log) - 1; i >= 0; i-- {
		t := &s.Log[i]
		if t.To == engine.StateOpen && (t.From != engine.StateOpen || t.FromMode == t.ToMode) {
			return t
		}
	}
	return nil
}

// describeCause says why the circuit opened, and by whose report or command.
func describeCause(t *engine.Transition) string {
	n := t.Tallies()
	text := map[engine.Cause]string{
		engine.CauseConsecutive:  "because " + count(n.Streak, "call") + " in a row failed",
		engine.CauseFailureCount: fmt.Sprintf("because %d of %s failed", n.Failures, count(n.Calls, "call")),
		engine.CauseFailureRate:  fmt.Sprintf("because %d of %s failed%s", n.Failures, count(n.Calls, "call"), shareOf(n.Failures, n.Calls)),
		engine.CauseSlowRate:     fmt.Sprintf("because %d of %s were slow%s", n.Slow, count(n.Calls, "call"), shareOf(n.Slow, n.Calls)),
		engine.CauseDemanded:     "because the dependency demanded it",
		engine.CauseProbeFailed:  "because " + count(n.Failed, "probe") + " failed",
		engine.CauseCreated:      "because its policy begins so",
		engine.CauseHealed:       "because the record was damaged, and its policy begins so",
	}[t.Cause]
	if t.Cause == engine.CauseOperator {
		return "by a command" + nameActor("of", t.By, t.Text)
	}
	if text == "" {
		text = "because of " + plaintext.Quote(string(t.Cause))
	}
	if t.By != "" {
		text += "; the last report was of " + plaintext.QuoteUnprintable(t.By)
	}
	if t.Text != "" {
		text += ": " + plaintext.QuoteUnprintable(t.Text)
	}
	return text
}

func describeHalfOpen(s *engine.Snapshot, name string) []string {
	lines := []string{fmt.Sprintf("%s has been half-open for %v: a few calls are admitted as probes, the others are rejected.",
		name, plaintext.RoundDuration(s.Age))}
	p := s.Probes
	if p == nil {
		return lines
	}
	text := fmt.Sprintf("Of at most %s, %d succeeded, %d failed, and %s.", count(int64(p.Probes), "probe"), p.Succeeded, p.Failed, inFlight(p.Outstanding))
	if p.Lapsed > 0 {
		text += fmt.Sprintf(" %d outlived their lease of %v.", p.Lapsed, p.Lease)
	}
	if s.RetryAfter > 0 {
		text += fmt.Sprintf(" No slot is free; try again in %v.", plaintext.RoundDuration(s.RetryAfter))
	}
	closes, reopens := SuccessesLeft(p), FailedProbesLeft(p)
	return append(lines, text, fmt.Sprintf("%s%s %s%s", count(closes, "more success"), verb(closes, " closes it;", " close it;"),
		count(reopens, "more failed probe"), verb(reopens, " opens it again.", " open it again.")))
}

// SuccessesLeft returns how many further probes must succeed to close the circuit.
func SuccessesLeft(p *engine.ProbeRound) int64 { return int64(p.Successes) - p.Succeeded }

// FailedProbesLeft returns how many further probes must fail to open the circuit again.
func FailedProbesLeft(p *engine.ProbeRound) int64 {
	return int64(p.Probes-p.Successes) + 1 - p.Failed
}

func inFlight(n int) string {
	if n == 1 {
		return "1 is in flight"
	}
	return fmt.Sprintf("%d are in flight", n)
}

// modeEnd says when a mode ends.
func modeEnd(s *engine.Snapshot) string {
	if s.ModeFor > 0 {
		return fmt.Sprintf(", for %v more", plaintext.RoundDuration(s.ModeFor))
	}
	return ", until it is released"
}

// nameActor names an operator, after a preposition, and a reason, where they are known.
func nameActor(preposition, actor, reason string) string {
	text := ""
	if actor != "" {
		text = " " + preposition + " " + plaintext.QuoteUnprintable(actor)
	}
	if reason != "" {
		text += " (" + plaintext.QuoteUnprintable(reason) + ")"
	}
	return text
}

// percent formats a share with at most two decimals.
func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*10_000)/100, 'f', -1, 64) + " %"
}

// shareOf formats n of all as a share, with one decimal.
func shareOf(n, all int64) string {
	if all == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.1f %%)", 100*float64(n)/float64(all))
}

// count formats a number of things, of which the name is given for one.
func count(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	suffix := "s"
	if strings.HasSuffix(one, "s") {
		suffix = "es"
	}
	return strconv.FormatInt(n, 10) + " " + one + suffix
}

func verb(n int64, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}
