package demo

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker"
)

// hookTime is how long a hook may take to tell what its replica did. What the
// record's log has held for longer, no hook told: an operator did it, or a reply
// was lost.
const hookTime = 500 * time.Millisecond

// entry is a line of the journal: a transition, or a note.
type entry struct {
	redbreaker.Transition
	at      time.Time
	elapsed time.Duration // from the start of the demo to at; all fills it in
	by      string        // the replica whose step it was; empty: none of them
	note    string
}

// journal gathers the transitions from the hooks of all replicas, and what these
// did not tell from the record's log. The record keeps 16, the journal all.
type journal struct {
	mu      sync.Mutex
	start   time.Time // of the demo
	entries []entry   // by epoch, which is by time
}

// begin starts the demo's time.
func (j *journal) begin() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.start = time.Now()
	return j.start
}

// hooks write what a replica is told.
func (j *journal) hooks(replica string) redbreaker.Hooks {
	note := func(text string) {
		j.add(entry{at: time.Now(), by: replica, note: text})
	}
	return redbreaker.Hooks{
		OnTransition: func(t redbreaker.Transition) {
			j.add(entry{Transition: t, at: time.Now(), by: replica})
		},
		OnDegraded: func(e redbreaker.Event) { note("redis does not answer: " + e.Err.Error()) },
		OnRestored: func(e redbreaker.Event) { note("redis answers again after " + seconds(e.Outage)) },
		OnAnomaly:  func(e redbreaker.Event) { note("anomaly: " + e.Kind.String()) },
	}
}

// read adds from a record's log what is not known and older than settled.
func (j *journal) read(log []redbreaker.Transition, settled time.Duration) {
	for _, t := range log {
		if t.Ago >= settled {
			j.add(entry{Transition: t, at: time.Now().Add(-t.Ago)})
		}
	}
}

// add puts the entry in its place. A note comes after all that is known; of a
// transition known already, only whose step it was may be new.
func (j *journal) add(e entry) {
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

// all are the entries so far; what was before the start is at 0.
func (j *journal) all() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := slices.Clone(j.entries)
	for i := range list {
		list[i].elapsed = max(0, list[i].at.Sub(j.start))
	}
	return list
}
