package demo

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// hookTime is the longest delay of a hook. A transition that the log has held for longer
// without a hook was made by an operator, or by a step whose reply was lost.
const hookTime = 500 * time.Millisecond

// entry is a line of the journal: a transition, or a note.
type entry struct {
	redbreaker.Transition
	at      time.Time
	elapsed time.Duration // from the start of the demo to at; set by listEntries
	by      string        // the replica whose step it was; empty: none of them
	note    string
}

// journal collects the transitions from the hooks of all replicas, and those without a
// hook from the record's log. The record keeps 16 transitions, the journal all.
type journal struct {
	mu      sync.Mutex
	start   time.Time // of the demo
	entries []entry   // in the order of epochs
}

// startClock starts the demo's time.
func (j *journal) startClock() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.start = time.Now()
	return j.start
}

// replicaHooks returns hooks that add the events of a replica.
func (j *journal) replicaHooks(replica string) redbreaker.Hooks {
	note := func(text string) {
		j.addEntry(entry{at: time.Now(), by: replica, note: text})
	}
	return redbreaker.Hooks{
		OnTransition: func(t redbreaker.Transition) {
			if t.Own { // every replica watches, and one of them made it
				j.addEntry(entry{Transition: t, at: time.Now(), by: replica})
			}
		},
		OnDegraded: func(e redbreaker.Event) { note("redis does not answer: " + plaintext.Replace(e.Err.Error())) },
		OnRestored: func(e redbreaker.Event) { note("redis answers again after " + formatSeconds(e.Outage)) },
		OnAnomaly:  func(e redbreaker.Event) { note("anomaly: " + e.Kind.String()) },
	}
}

// addFromLog adds the transitions of a record's log that are at least settled old and
// not known from a hook.
func (j *journal) addFromLog(log []redbreaker.Transition, settled time.Duration) {
	for _, t := range log {
		if t.Ago >= settled {
			j.addEntry(entry{Transition: t, at: time.Now().Add(-t.Ago)})
		}
	}
}

// addEntry inserts an entry in order. A note goes to the end. Of a transition that is
// known, only the replica may be new.
func (j *journal) addEntry(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.note != "" && len(j.entries) > 0 {
		e.Epoch = j.entries[len(j.entries)-1].Epoch
	}
	at := len(j.entries)
	for at > 0 && j.entries[at-1].Epoch > e.Epoch {
		at--
	}
	if e.note == "" {
		for i := at - 1; i >= 0 && j.entries[i].Epoch == e.Epoch; i-- {
			if j.entries[i].note == "" {
				j.entries[i].by = cmp.Or(j.entries[i].by, e.by)
				return
			}
		}
	}
	j.entries = slices.Insert(j.entries, at, e)
}

// listEntries returns the entries so far; those from before the start are at 0.
func (j *journal) listEntries() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := slices.Clone(j.entries)
	for i := range list {
		list[i].elapsed = max(0, list[i].at.Sub(j.start))
	}
	return list
}
