package panel

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// gauge is a tally beside the threshold at which it opens the circuit.
type gauge struct {
	Label  string
	Value  string  // such as 3 of 5, or 20 %, opens at 50 %
	Short  string  // value and label in one, for a list
	Note   string  // why the threshold does not apply yet
	Fill   float64 // of the bar, 0 to 100
	Tick   float64 // where the threshold is, 0 to 100
	Danger float64 // how much of the threshold is reached, 0 to 1
}

// listGauges returns the conditions of the policy and how much of each is reached.
func listGauges(s *engine.Snapshot) []gauge {
	if s.Policy == nil {
		return nil
	}
	p, w := s.Policy, &s.Policy.Window
	var all []gauge
	if p.ConsecutiveFailures > 0 {
		all = append(all, countGauge("Failures in a row", s.Streak, p.ConsecutiveFailures))
	}
	if w.FailureCount > 0 {
		all = append(all, countGauge("Failures "+windowText(w), s.Failures, w.FailureCount))
	}
	if w.FailureRate > 0 {
		all = append(all, rateGauge("Failure rate "+windowText(w), "failed", s.Failures, s.Calls, w.FailureRate, w.MinCalls))
	}
	if w.SlowCallRate > 0 {
		label := fmt.Sprintf("Calls over %s %s", formatDuration(w.SlowCallDuration), windowText(w))
		all = append(all, rateGauge(label, "slow", s.Slow, s.Calls, w.SlowCallRate, w.MinCalls))
	}
	return all
}

func windowText(w *engine.Window) string {
	if w.Calls > 0 {
		return fmt.Sprintf("of the last %s calls", formatCount(int64(w.Calls)))
	}
	return "in " + formatDuration(w.Period)
}

func countGauge(label string, n int64, threshold int) gauge {
	reached := min(1, float64(n)/float64(threshold))
	value := fmt.Sprintf("%s of %s", formatCount(n), formatCount(int64(threshold)))
	return gauge{Label: label, Value: value, Short: value + " " + strings.ToLower(label[:1]) + label[1:], Fill: 100 * reached, Tick: 100, Danger: reached}
}

func rateGauge(label, what string, n, calls int64, threshold float64, minCalls int) gauge {
	g := gauge{Label: label, Tick: 100 * threshold}
	rate := 0.0
	if calls > 0 {
		rate = min(1, float64(n)/float64(calls))
	}
	g.Fill = 100 * rate
	g.Value = fmt.Sprintf("%.0f %%, opens at %s", 100*rate, formatPercent(threshold))
	g.Short = fmt.Sprintf("%.0f %% %s, opens at %s", 100*rate, what, formatPercent(threshold))
	g.Note = fmt.Sprintf("%s of %s calls", formatCount(n), formatCount(calls))
	g.Danger = min(1, rate/threshold)
	if calls < int64(minCalls) {
		g.Note += fmt.Sprintf("; judged from %s calls on", formatCount(int64(minCalls)))
		g.Danger *= float64(calls) / float64(minCalls)
	}
	return g
}

// nearestGauge returns how much of its nearest threshold a breaker has reached, 0 to 1.
// Where a count has no effect, it is 0.
func nearestGauge(s *engine.Snapshot) float64 {
	if s.Policy == nil || s.Streak == 0 && s.Failures == 0 && s.Slow == 0 {
		return 0
	}
	most := 0.0
	for _, g := range listGauges(s) {
		most = max(most, g.Danger)
	}
	return most
}

// formatPercent formats a share with at most two digits after the point.
func formatPercent(share float64) string {
	return strconv.FormatFloat(math.Round(share*10_000)/100, 'f', -1, 64) + " %"
}

// formatCount formats a number with thin spaces between groups of digits.
func formatCount(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
