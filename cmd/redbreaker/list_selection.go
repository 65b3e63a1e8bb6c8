package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
)

// selection says which breakers are listed, and in which order.
type selection struct {
	states, modes []string
	match         string
	order         string
	reverse       bool
}

// The states and modes that a filter may name.
var (
	stateNames = []string{"closed", "open", "half_open"}
	modeNames  = []string{"auto", "forced_open", "forced_closed", "shadow"}
)

// orders compare two breakers. Breakers that are equal are sorted by name.
var orders = map[string]func(a, b *listed) int{
	"name":  func(_, _ *listed) int { return 0 },
	"state": func(a, b *listed) int { return cmp.Compare(stateUrgency(a), stateUrgency(b)) },
	"mode":  func(a, b *listed) int { return cmp.Compare(b.Mode, a.Mode) },
	"age":   func(a, b *listed) int { return cmp.Compare(a.Age, b.Age) },
	"retry": func(a, b *listed) int { return cmp.Compare(remainingWait(a), remainingWait(b)) },
	"trips": func(a, b *listed) int { return cmp.Compare(b.Trips, a.Trips) },
	"failed": func(a, b *listed) int {
		return cmp.Compare(divideCounts(b.Failures, b.Calls), divideCounts(a.Failures, a.Calls))
	},
	"left": func(a, b *listed) int { return cmp.Compare(failureDistance(a), failureDistance(b)) },
}

// orderNames returns the names of orders.
func orderNames() []string { return slices.Sorted(maps.Keys(orders)) }

func (c *selection) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&c.states, "state", nil, "only these `states`: "+strings.Join(stateNames, ", "))
	f.StringSliceVar(&c.modes, "mode", nil, "only these `modes`: "+strings.Join(modeNames, ", "))
	f.StringVar(&c.match, "match", "", "only names that contain this `text`")
	f.StringVar(&c.order, "sort", "name", "by `what` to sort: "+strings.Join(orderNames(), ", ")+"; the most urgent first")
	f.BoolVar(&c.reverse, "reverse", false, "reverse the order")
	for flag, values := range map[string][]string{"state": stateNames, "mode": modeNames, "sort": orderNames()} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// check returns every fault of the flags.
func (c *selection) check() error {
	var faults []error
	check := func(flag string, given, known []string) {
		for _, value := range given {
			if !slices.Contains(known, value) {
				faults = append(faults, fmt.Errorf("%s is %q, use one of %s", flag, value, strings.Join(known, ", ")))
			}
		}
	}
	check("--state", c.states, stateNames)
	check("--mode", c.modes, modeNames)
	check("--sort", []string{c.order}, orderNames())
	return errors.Join(faults...)
}

// apply returns the breakers that are selected, in their order.
func (c *selection) apply(list []listed) []listed {
	list = slices.DeleteFunc(list, func(l listed) bool { return !c.isSelected(&l) })
	less := orders[c.order]
	slices.SortFunc(list, func(a, b listed) int {
		n := cmp.Or(less(&a, &b), strings.Compare(a.Name+a.key, b.Name+b.key))
		if c.reverse {
			return -n
		}
		return n
	})
	return list
}

// isSelected reports whether a breaker passes the filters. One that is known by its key
// only has no state to compare.
func (c *selection) isSelected(l *listed) bool {
	if l.key != "" && len(c.states)+len(c.modes) > 0 {
		return false
	}
	return strings.Contains(l.Name+l.key, c.match) &&
		(len(c.states) == 0 || slices.Contains(c.states, l.State.String())) &&
		(len(c.modes) == 0 || slices.Contains(c.modes, l.Mode.String()))
}

// stateUrgency orders states: open first, closed last.
func stateUrgency(l *listed) int {
	switch l.State {
	case redbreaker.StateOpen:
		return 0
	case redbreaker.StateHalfOpen:
		return 1
	}
	return 2
}

// remainingWait returns when a rejected call should come again; those that reject none come last.
func remainingWait(l *listed) time.Duration {
	if l.State == redbreaker.StateClosed || l.key != "" {
		return math.MaxInt64
	}
	return l.RetryAfter
}

// failureDistance returns how many failures open the circuit; those that are far away come last.
func failureDistance(l *listed) int64 {
	if l.FailuresLeft == 0 {
		return math.MaxInt64
	}
	return l.FailuresLeft
}

// divideCounts returns n of all, 0 of nothing.
func divideCounts(n, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}
