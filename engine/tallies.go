package engine

import (
	"strconv"
	"strings"
)

// Tallies are the numbers of a [Transition].Tally. A cause by outcomes has Streak,
// Calls, Failures and Slow; probe_failed and recovered have Succeeded, Failed and
// Lapsed; for other causes all are 0.
type Tallies struct {
	// Streak is the number of failures in a row.
	Streak int64
	// Calls, Failures and Slow are those of the window; a slow failure is in both.
	Calls, Failures, Slow int64
	// Succeeded, Failed and Lapsed are the probes of the round.
	Succeeded, Failed, Lapsed int64
}

// Tallies returns the numbers that caused the transition. Words of Tally that it
// does not know, such as those of a later release, are left out.
func (t Transition) Tallies() Tallies {
	var n Tallies
	fields := map[string]*int64{
		"streak": &n.Streak, "calls": &n.Calls, "failures": &n.Failures, "slow": &n.Slow,
		"succeeded": &n.Succeeded, "failed": &n.Failed, "lapsed": &n.Lapsed,
	}
	for _, word := range strings.Fields(t.Tally) {
		name, text, _ := strings.Cut(word, "=")
		if field := fields[name]; field != nil {
			if v, err := strconv.ParseInt(text, 10, 64); err == nil {
				*field = v
			}
		}
	}
	return n
}
