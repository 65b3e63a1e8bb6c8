package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// writeText prints an existing breaker for people.
func writeText(w io.Writer, at *session, s *redbreaker.Snapshot) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(title, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", title, fmt.Sprintf(format, args...))
	}
	row("name", "%s", plaintext.QuoteUnprintable(s.Name))
	if key, err := at.keys.Key(s.Name); err == nil {
		row("key", "%s in %s", key, at.where())
	}
	row("state", "%s", describeState(s))
	row("mode", "%s", describeMode(s))
	row("epoch", "%d", s.Epoch)
	if s.OpenFor > 0 {
		row("opened", "%s for %v", countTimes(s.Trips), s.OpenFor)
	}
	row("failures in a row", "%d", s.Streak)
	if s.Calls > 0 {
		row("window", "%d calls, %d failed, %d slow", s.Calls, s.Failures, s.Slow)
	}
	if len(s.Reporters) > 0 {
		row("reporters", "%s", plaintext.QuoteUnprintable(strings.Join(s.Reporters, ", ")))
	}
	if p := s.Probes; p != nil {
		row("probes", "%d succeeded, %d failed, %d in flight, %d outlived their lease; %d of %d must succeed",
			p.Succeeded, p.Failed, p.Outstanding, p.Lapsed, p.Successes, p.Probes)
	}
	if s.Policy != nil {
		row("policy", "%s", formatPolicy(s.Policy))
	}
	if s.Fingerprint != "" {
		row("fingerprint", "%s", plaintext.QuoteUnprintable(s.Fingerprint))
	}
	if len(s.Unreadable) > 0 {
		row("unreadable", "%s; the next step that needs one of them replaces the record", plaintext.QuoteUnprintable(strings.Join(s.Unreadable, ", ")))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return writeLog(w, s.Log)
}

// writeLog prints the transitions, the latest last.
func writeLog(w io.Writer, log []redbreaker.Transition) error {
	if len(log) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nAGO\tFROM\tTO\tCAUSE\tBY\tWHAT\n")
	for _, e := range log {
		fmt.Fprintf(t, "%v\t%s\t%s\t%s\t%s\t%s\n", plaintext.RoundDuration(e.Ago),
			formatState(e.From, e.FromMode), formatState(e.To, e.ToMode), plaintext.QuoteUnprintable(string(e.Cause)), orDash(plaintext.QuoteUnprintable(e.By)), orDash(describeCause(&e)))
	}
	return t.Flush()
}

func describeState(s *redbreaker.Snapshot) string {
	text := fmt.Sprintf("%s for %v", s.State, plaintext.RoundDuration(s.Age))
	switch {
	case s.RetryAfter > 0 && s.State == redbreaker.StateOpen:
		text += fmt.Sprintf(", probes may start in %v", plaintext.RoundDuration(s.RetryAfter))
	case s.RetryAfter > 0:
		text += fmt.Sprintf(", all probe slots are taken, the next is free in %v at the latest", plaintext.RoundDuration(s.RetryAfter))
	case s.State == redbreaker.StateOpen:
		text += ", the next call is a probe"
	}
	return text
}

// describeMode names the mode that applies now, and its effect.
func describeMode(s *redbreaker.Snapshot) string {
	effect := map[redbreaker.Mode]string{
		redbreaker.ModeForcedOpen:   "all calls are rejected",
		redbreaker.ModeForcedClosed: "all calls are admitted, none counts",
		redbreaker.ModeShadow:       "all calls are admitted and counted",
	}[s.Mode]
	if effect == "" {
		return s.Mode.String()
	}
	end := "until released"
	if s.ModeFor > 0 {
		end = fmt.Sprintf("for %v more", plaintext.RoundDuration(s.ModeFor))
	}
	text := fmt.Sprintf("%s %s (%s)", s.Mode, end, effect)
	if s.ModeBy != "" {
		text += ", by " + plaintext.QuoteUnprintable(s.ModeBy)
	}
	if s.ModeReason != "" {
		text += ": " + plaintext.QuoteUnprintable(s.ModeReason)
	}
	return text
}

// formatPolicy formats a policy in one line.
func formatPolicy(p *redbreaker.Policy) string {
	var words []string
	add := func(key string, value any, set bool) {
		if set {
			words = append(words, fmt.Sprintf("%s=%v", key, value))
		}
	}
	w := &p.Window
	add("consecutive_failures", p.ConsecutiveFailures, p.ConsecutiveFailures > 0)
	add("calls", w.Calls, w.Calls > 0)
	add("period", w.Period, w.Period > 0)
	add("failure_rate", w.FailureRate, w.FailureRate > 0)
	add("failure_count", w.FailureCount, w.FailureCount > 0)
	add("slow_call_rate", w.SlowCallRate, w.SlowCallRate > 0)
	add("slow_call_duration", w.SlowCallDuration, w.SlowCallRate > 0)
	add("min_calls", w.MinCalls, w.FailureRate > 0 || w.SlowCallRate > 0)
	add("open_for", p.OpenFor, true)
	add("multiplier", p.Backoff.Multiplier, p.Backoff.Multiplier > 1)
	add("max", p.Backoff.Max, p.Backoff.Multiplier > 1)
	add("jitter", p.Backoff.Jitter, p.Backoff.Jitter > 0)
	add("probes", p.HalfOpen.Probes, true)
	add("successes", p.HalfOpen.Successes, true)
	add("lease", p.HalfOpen.Lease, true)
	add("min_reporters", p.MinReporters, p.MinReporters > 1)
	return strings.Join(words, " ")
}

// formatState names a state and, where it is not auto, the mode over it.
func formatState(s redbreaker.State, m redbreaker.Mode) string {
	if m == redbreaker.ModeAuto {
		return s.String()
	}
	return s.String() + "/" + m.String()
}

// describeCause returns the tallies that caused a transition, and its text. As in
// Transition.String, a policy without a window shows no window that counted nothing.
func describeCause(t *redbreaker.Transition) string {
	text := plaintext.QuoteUnprintable(strings.TrimSuffix(t.Tally, " calls=0 failures=0 slow=0"))
	if t.Text != "" {
		text += " " + plaintext.QuoteUnprintable(t.Text)
	}
	return strings.TrimSpace(text)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// countTimes formats a number of opens in a row.
func countTimes(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", n)
}
