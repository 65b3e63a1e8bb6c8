package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redbreaker/redbreaker"
)

// writeText prints a breaker for people; nothing for one that is not there.
func writeText(w io.Writer, s redbreaker.Snapshot) error {
	if !s.Exists {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(title, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", title, fmt.Sprintf(format, args...))
	}
	row("name", "%s", clean(s.Name))
	row("state", "%s", state(&s))
	row("mode", "%s", mode(&s))
	row("epoch", "%d", s.Epoch)
	if s.OpenFor > 0 {
		row("opened", "%s for %v", times(s.Trips), s.OpenFor)
	}
	row("failures in a row", "%d", s.Streak)
	if s.Calls > 0 {
		row("window", "%d calls, %d failed, %d slow", s.Calls, s.Failures, s.Slow)
	}
	if len(s.Reporters) > 0 {
		row("reporters", "%s", clean(strings.Join(s.Reporters, ", ")))
	}
	if p := s.Probes; p != nil {
		row("probes", "%d succeeded, %d failed, %d under way, %d ran out; of %d, %d must succeed",
			p.Succeeded, p.Failed, p.Outstanding, p.Lapsed, p.Probes, p.Successes)
	}
	if s.Policy != nil {
		row("policy", "%s", policy(s.Policy))
	}
	if len(s.Unreadable) > 0 {
		row("unreadable", "%s; the next step that needs it begins anew", clean(strings.Join(s.Unreadable, ", ")))
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
		fmt.Fprintf(t, "%v\t%s\t%s\t%s\t%s\t%s\n", round(e.Ago),
			place(e.From, e.FromMode), place(e.To, e.ToMode), clean(string(e.Cause)), dash(clean(e.By)), dash(what(&e)))
	}
	return t.Flush()
}

func state(s *redbreaker.Snapshot) string {
	text := fmt.Sprintf("%s for %v", s.State, round(s.Age))
	switch {
	case s.RetryAfter > 0 && s.State == redbreaker.StateOpen:
		text += fmt.Sprintf(", probes may start in %v", round(s.RetryAfter))
	case s.RetryAfter > 0:
		text += fmt.Sprintf(", all probes are out, the next slot is free in %v at the latest", round(s.RetryAfter))
	case s.State == redbreaker.StateOpen:
		text += ", the next call is a probe"
	}
	return text
}

func mode(s *redbreaker.Snapshot) string {
	if s.Mode == redbreaker.ModeAuto {
		return s.Mode.String()
	}
	text := s.Mode.String() + " until released"
	if s.ModeFor > 0 {
		text = fmt.Sprintf("%s for %v more", s.Mode, round(s.ModeFor))
	}
	if s.ModeBy != "" {
		text += ", by " + clean(s.ModeBy)
	}
	if s.ModeReason != "" {
		text += ": " + clean(s.ModeReason)
	}
	return text
}

// policy is one line of what the policy says, after defaults.
func policy(p *redbreaker.Policy) string {
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

// place names a state and, where it is not auto, the mode over it.
func place(s redbreaker.State, m redbreaker.Mode) string {
	if m == redbreaker.ModeAuto {
		return s.String()
	}
	return s.String() + "/" + m.String()
}

// what is the tally that caused a transition, and its text.
func what(t *redbreaker.Transition) string {
	text := clean(t.Tally)
	if t.Text != "" {
		text += " " + clean(t.Text)
	}
	return strings.TrimSpace(text)
}

// clean is text that others wrote, fit for a terminal and a column.
func clean(s string) string {
	quoted := strconv.Quote(s)
	if quoted = quoted[1 : len(quoted)-1]; strings.ContainsAny(quoted, `\`) {
		return `"` + quoted + `"`
	}
	return s
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", n)
}

// round drops what people do not read: hours need no milliseconds.
func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Hour:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
