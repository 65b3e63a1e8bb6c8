package demo

import (
	"fmt"
	"io"
	"time"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// writeSummary writes the verdict and its evidence. left is the error of removing the
// record; nil if it is removed.
func writeSummary(w io.Writer, c *Config, e *evidence, v *verdict, left error) {
	if c.Screen != nil { // the frames are gone with their screen
		fmt.Fprintln(w, c.describeSetup())
	}
	fmt.Fprint(w, "\nHow the dependency was spared\n\n")
	writeTable(w, v)
	fmt.Fprintln(w)
	writePromises(w, e, v)
	writeRecovery(w, e, v)
	writeTransitions(w, e, v)
	if left != nil {
		fmt.Fprintf(w, "The record %s in namespace %s could not be removed and expires within minutes: %s\n",
			plaintext.Quote(c.Name), plaintext.Quote(c.Namespace), plaintext.Replace(left.Error()))
	} else if !c.usesEmbedded() {
		fmt.Fprintf(w, "Nothing is left in namespace %s of %s.\n", plaintext.Quote(c.Namespace), c.Redis)
	}
	fmt.Fprintln(w, v.formatVerdict())
}

func writeTable(w io.Writer, v *verdict) {
	fmt.Fprintf(w, "%-28s%10s%10s%10s%10s\n", "calls", healthy, failing, recovered, "all")
	line := func(title string, of func(row) int64) {
		fmt.Fprintf(w, "%-28s", title)
		for _, r := range append(v.rows[:], v.total) {
			fmt.Fprintf(w, "%10d", of(r))
		}
		fmt.Fprintln(w)
	}
	line("wanted by the replicas", row.callsWanted)
	line("rejected by the breaker", func(r row) int64 { return r.rejected })
	line("reached the dependency", row.callsReached)
	line("  admitted while closed", func(r row) int64 { return r.closed })
	line("  admitted as probes", func(r row) int64 { return r.probes })
	line("  admitted while open", func(r row) int64 { return r.open })
	seldom := func(title string, of func(row) int64) {
		if of(v.total) > 0 {
			line(title, of)
		}
	}
	seldom("  admitted in half-open", func(r row) int64 { return r.loose })
	seldom("  admitted uncounted", func(r row) int64 { return r.uncounted })
	seldom("  not explained", func(r row) int64 { return r.unplaced })
}

func writePromises(w io.Writer, e *evidence, v *verdict) {
	for _, fault := range v.faults {
		fmt.Fprintf(w, "BROKEN: %s\n", fault)
	}
	if len(v.faults) > 0 {
		return
	}
	writeFailing(w, e, v)
	fmt.Fprintf(w, "- Open: no call was admitted, by any of %d replicas.\n", len(e.replicas))
	if v.rounds == 0 {
		fmt.Fprintln(w, "- Half-open: there was no probe.")
		return
	}
	fmt.Fprintf(w, "- Half-open: only probes, %d in %d rounds, at most %d a round (%d allowed).\n",
		v.total.probes, v.rounds, v.most, e.probes)
}

// writeFailing says how many calls reached the failing dependency, and why more than
// the failures that open the circuit: those already in flight, and the probes.
func writeFailing(w io.Writer, e *evidence, v *verdict) {
	r := v.rows[failing]
	if r.callsWanted() == 0 {
		return
	}
	fmt.Fprintf(w, "- While it failed, %d of %d calls reached the dependency (%.1f %%).\n", r.callsReached(), r.callsWanted(), r.shareReached())
	if v.opened && r.closed >= e.threshold {
		fmt.Fprintf(w, "- Of these, %d opened the circuit, %d were in flight by then, and %d were probes.\n",
			e.threshold, r.closed-e.threshold, r.probes)
	}
}

// shareReached returns the percentage of calls that reached the dependency.
func (r row) shareReached() float64 {
	return 100 * float64(r.callsReached()) / float64(max(1, r.callsWanted()))
}

func writeRecovery(w io.Writer, e *evidence, v *verdict) {
	switch {
	case !v.opened:
		fmt.Fprintln(w, "- Recovery: the circuit never opened.")
	case v.recovery > 0:
		fmt.Fprintf(w, "- Recovery: the circuit closed %v after the dependency recovered.\n", v.recovery.Round(time.Millisecond))
	case e.recoveredAt.IsZero():
		fmt.Fprintln(w, "- Recovery: the demo ended before the dependency recovered.")
	default:
		fmt.Fprintln(w, "- Recovery: the circuit did not close after the dependency recovered.")
	}
}

func writeTransitions(w io.Writer, e *evidence, v *verdict) {
	if len(v.faults) > 0 {
		return
	}
	known := map[int64]*entry{}
	for i := range e.entries {
		if e.entries[i].note == "" {
			known[e.entries[i].Epoch] = &e.entries[i]
		}
	}
	fmt.Fprintf(w, "- One log: all %d replicas, each through its own client, read these transitions:\n\n", len(e.replicas))
	for _, t := range v.log {
		if entry := known[t.Epoch]; entry != nil {
			fmt.Fprintf(w, "%10s  %s\n", formatSeconds(entry.elapsed), entry.describe())
		}
	}
	if older := len(known) - len(v.log); older > 0 {
		fmt.Fprintf(w, "%10s  (the record keeps %d, there were %d more before)\n", "", len(v.log), older)
	}
	fmt.Fprintln(w)
}

// formatVerdict returns the verdict in one line.
func (v *verdict) formatVerdict() string {
	r := v.rows[failing]
	switch {
	case len(v.faults) == 1:
		return "Verdict: 1 promise was BROKEN, see above."
	case len(v.faults) > 1:
		return fmt.Sprintf("Verdict: %d promises were BROKEN, see above.", len(v.faults))
	case !v.opened:
		return "Verdict: no promise was broken; the circuit never opened."
	}
	return fmt.Sprintf("Verdict: all promises kept; %.1f %% of calls did not reach the failing dependency.", 100-r.shareReached())
}
