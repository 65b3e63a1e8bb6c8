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
	return redbreaker.Transition{Epoch: epoch, Ago: ago}
}

// show lists the entries: epoch and replica, or the note.
func (j *journal) show() string {
	var list []string
	for _, e := range j.all() {
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
	one, two := j.hooks("one"), j.hooks("two")
	two.OnTransition(moved(2, 0)) // hooks of different replicas come as they come
	one.OnTransition(moved(1, 0))
	two.OnDegraded(redbreaker.Event{Err: errors.New("down")})
	one.OnTransition(moved(3, 0))
	two.OnRestored(redbreaker.Event{Outage: 2 * time.Second})
	one.OnAnomaly(redbreaker.Event{Kind: redbreaker.EventLost})
	want := "1:one 2:two redis does not answer: down 3:one redis answers again after 2.00s anomaly: lost"
	if got := j.show(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What no hook told is taken from the record, once hooks had their time.
func TestJournal_read(t *testing.T) {
	j := &journal{}
	j.hooks("one").OnTransition(moved(2, 0))
	log := []redbreaker.Transition{moved(1, 2*hookTime), moved(2, hookTime), moved(3, hookTime/2)}
	j.read(log, hookTime)
	if got, want := j.show(), "1: 2:one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	j.read(log, 0)
	j.hooks("two").OnTransition(moved(3, 0)) // later than expected
	if got, want := j.show(), "1: 2:one 3:two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
