package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

var tableTitles = []string{"NAME", "STATE", "MODE", "AGE", "RETRY", "TRIPS", "STREAK", "CALLS", "FAILED", "SLOW", "LEFT", "CAUSE"}

// formatTable returns a title and a line for each breaker, in columns.
func formatTable(list []listed) []string {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(tableTitles, "\t"))
	for i := range list {
		fmt.Fprintln(t, strings.Join(tableRow(&list[i]), "\t"))
	}
	_ = t.Flush() // a Builder takes everything
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// tableRow returns the cells of a breaker; "-" where it has no value.
func tableRow(l *listed) []string {
	if l.key != "" {
		row := []string{plaintext.QuoteUnprintable(l.key)}
		for range tableTitles[1:] {
			row = append(row, "-")
		}
		return row
	}
	return []string{
		plaintext.QuoteUnprintable(l.Name), l.State.String(), l.Mode.String(), plaintext.RoundDuration(l.Age).String(),
		formatLength(l.RetryAfter), strconv.Itoa(l.Trips), formatStreak(&l.Snapshot), strconv.FormatInt(l.Calls, 10),
		formatFailed(&l.Snapshot), formatSlow(&l.Snapshot), formatLeft(l.FailuresLeft), formatLastCause(&l.Snapshot),
	}
}

func formatStreak(s *redbreaker.Snapshot) string {
	text := strconv.FormatInt(s.Streak, 10)
	if s.Policy != nil && s.Policy.ConsecutiveFailures > 0 {
		text += fmt.Sprintf("/%d", s.Policy.ConsecutiveFailures)
	}
	return text
}

// formatFailed returns the failures of the window beside their limits.
func formatFailed(s *redbreaker.Snapshot) string {
	var cells []string
	if s.Policy != nil && s.Policy.Window.FailureCount > 0 {
		cells = append(cells, fmt.Sprintf("%d/%d", s.Failures, s.Policy.Window.FailureCount))
	}
	if s.Policy != nil && s.Policy.Window.FailureRate > 0 {
		cells = append(cells, formatRate(s.Failures, s.Calls, s.Policy.Window.FailureRate))
	}
	return orDash(strings.Join(cells, ","))
}

func formatSlow(s *redbreaker.Snapshot) string {
	if s.Policy == nil || s.Policy.Window.SlowCallRate == 0 {
		return "-"
	}
	return formatRate(s.Slow, s.Calls, s.Policy.Window.SlowCallRate)
}

// formatRate returns a share beside its limit, such as 44.4/50%.
func formatRate(n, all int64, limit float64) string {
	return fmt.Sprintf("%.3g/%.4g%%", 100*divideCounts(n, all), 100*limit)
}

func formatLeft(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// formatLastCause returns why the last transition happened, or that the record is damaged.
func formatLastCause(s *redbreaker.Snapshot) string {
	if len(s.Unreadable) > 0 {
		return "damaged: " + plaintext.QuoteUnprintable(strings.Join(s.Unreadable, ","))
	}
	if len(s.Log) == 0 {
		return "-"
	}
	return plaintext.QuoteUnprintable(string(s.Log[len(s.Log)-1].Cause))
}
