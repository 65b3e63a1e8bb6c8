package demo

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

func moved(epoch int64, ago time.Duration) redbreaker.Transition {
	return redbreaker.Transition{Epoch: epoch, Ago: ago, Own: true}
}

// formatJournal lists the entries: epoch and replica, or the note.
func formatJournal(j *journal) string {
	var list []string
	for _, e := range j.listEntries() {
		if e.note != "" {
			list = append(list, e.note)
			continue
		}
		list = append(list, fmt.Sprintf("%d:%s", e.Epoch, e.by))
	}
	return strings.Join(list, " ")
}

func TestJournal_order(t *testing.T) {
	j := &journal{}
	one, two := j.replicaHooks("one"), j.replicaHooks("two")
	two.OnTransition(moved(2, 0)) // the hooks of replicas run in any order
	one.OnTransition(moved(1, 0))
	two.OnDegraded(redbreaker.Event{Err: errors.New("down")})
	one.OnTransition(moved(3, 0))
	two.OnRestored(redbreaker.Event{Outage: 2 * time.Second})
	one.OnAnomaly(redbreaker.Event{Kind: redbreaker.EventLost})
	want := "1:one 2:two redis does not answer: down 3:one redis answers again after 2.00s anomaly: lost"
	if got := formatJournal(j); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A transition without a hook is taken from the log after hookTime.
func TestJournal_read(t *testing.T) {
	j := &journal{}
	j.replicaHooks("one").OnTransition(moved(2, 0))
	log := []redbreaker.Transition{moved(1, 2*hookTime), moved(2, hookTime), moved(3, hookTime/2)}
	j.addFromLog(log, hookTime)
	if got, want := formatJournal(j), "1: 2:one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	j.addFromLog(log, 0)
	j.replicaHooks("two").OnTransition(moved(3, 0)) // later than expected
	if got, want := formatJournal(j), "1: 2:one 3:two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
