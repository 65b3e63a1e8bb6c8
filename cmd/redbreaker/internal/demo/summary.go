package demo

import (
	"fmt"
	"io"
	"time"
)

// writeSummary writes what the evidence says. left is why the record could not
// be removed; nil if it was.
func writeSummary(w io.Writer, c *Config, e *evidence, v *verdict, left error) {
	fmt.Fprint(w, "\nHow the dependency was spared\n\n")
	writeTable(w, v)
	fmt.Fprintln(w)
	writePromises(w, e, v)
	writeRecovery(w, e, v)
	writeLog(w, e, v)
	if left != nil {
		fmt.Fprintf(w, "The record %q in namespace %q is left, and expires by itself: %v\n", c.Name, c.Namespace, left)
	} else if !c.embedded() {
		fmt.Fprintf(w, "Nothing is left in namespace %q of %s.\n", c.Namespace, c.Redis)
	}
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
	line("wanted by the replicas", row.wanted)
	line("rejected by the breaker", func(r row) int64 { return r.rejected })
	line("reached the dependency", row.reached)
	line("  let through while closed", func(r row) int64 { return r.closed })
	line("  let through as probes", func(r row) int64 { return r.probes })
	line("  let through while open", func(r row) int64 { return r.open })
	seldom := func(title string, of func(row) int64) {
		if of(v.total) > 0 {
			line(title, of)
		}
	}
	seldom("  let through half-open", func(r row) int64 { return r.loose })
	seldom("  let through uncounted", func(r row) int64 { return r.uncounted })
	seldom("  not explained", func(r row) int64 { return r.unplaced })
}

func writePromises(w io.Writer, e *evidence, v *verdict) {
	for _, fault := range v.faults {
		fmt.Fprintf(w, "BROKEN: %s\n", fault)
	}
	if len(v.faults) > 0 {
		return
	}
	failed := v.rows[failing]
	if failed.wanted() > 0 {
		fmt.Fprintf(w, "- While it failed, %d of %d calls reached the dependency (%.1f %%).\n",
			failed.reached(), failed.wanted(), 100*float64(failed.reached())/float64(failed.wanted()))
	}
	fmt.Fprintf(w, "- Open: no call was let through, by any of %d replicas.\n", len(e.replicas))
	if v.rounds == 0 {
		fmt.Fprintln(w, "- Half-open: it came to no probe.")
		return
	}
	fmt.Fprintf(w, "- Half-open: probes only, %d in %d rounds, at most %d a round (of %d allowed).\n",
		v.total.probes, v.rounds, v.most, e.probes)
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

func writeLog(w io.Writer, e *evidence, v *verdict) {
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
			fmt.Fprintf(w, "%10s  %s\n", seconds(entry.elapsed), entry.text())
		}
	}
	if older := len(known) - len(v.log); older > 0 {
		fmt.Fprintf(w, "%10s  (the record keeps %d, there were %d more before)\n", "", len(v.log), older)
	}
	fmt.Fprintln(w)
}
