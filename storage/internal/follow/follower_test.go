package follow

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/engine"
)

var mixes = map[string]mix{
	"calm":       {},
	"loss":       {loss: true},
	"flush":      {loss: true, flush: true},
	"rollback":   {loss: true, rollback: true},
	"slow clock": {loss: true, rollback: true, slowClock: true},
	"twin":       {loss: true, twin: true},
	"all":        {loss: true, flush: true, rollback: true, slowClock: true, twin: true},
}

// Whatever happens to messages and to the record, transitions are delivered at
// most once, in order and never from another record; the others are
// counted; and the follower ends where the record is.
func TestFollower_world(t *testing.T) {
	for name, m := range mixes {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
				if fault := newTestWorld(draw, m, &Follower{}).runWorld(40); fault != "" {
					t.Fatal(fault)
				}
			})
		})
	}
}

// Worlds that were once found to fail, by the choices that make them; 0 follows the last one.
func TestFollower_foundWorlds(t *testing.T) {
	for name, test := range map[string]struct {
		mix     mix
		choices []int
	}{
		// The record and its twin make their first transition in the same millisecond, with the
		// same random part; the events of both are lost, and that of the twin's second arrives.
		"twin begins with the record's draws": {
			mix{loss: true, twin: true},
			[]int{0, 0, 0, 1, 0, 0, 0, 7, 2, 0, 1, 0, 7, 2, 0, 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if fault := newTestWorld(replayed(test.choices), test.mix, &Follower{}).runWorld(40); fault != "" {
				t.Fatal(fault)
			}
		})
	}
}

// An own transition that a failover has undone is own when a later one brings it back, though
// its event was dropped in between and the log does not say whose it is.
func TestFollower_ownTransitionComesBack(t *testing.T) {
	var f Follower
	var out Output
	broken := errors.New("the call that tripped it")
	log := []engine.Transition{{Epoch: 1, N: 1}, {Epoch: 5, N: 2}, {Epoch: 6, N: 3}}
	read := func(now time.Duration, log []engine.Transition) {
		last := log[len(log)-1]
		f.SendRead(now)
		f.Read(now, Record{Known: Known{Exists: true, Epoch: last.Epoch}, N: last.N, Log: log}, &out)
	}
	read(1*time.Second, log[:1])
	own := engine.Transition{Was: 5, Epoch: 6, N: 3, Err: broken}
	f.Reply(2*time.Second, f.BeginStep(2*time.Second), own.Epoch, []engine.Transition{own}, false, &out)
	read(3*time.Second, log[:1])
	if len(out.Events) > 0 {
		t.Fatalf("the follower delivered %v of a record that has not moved", out.Events)
	}
	read(4*time.Second, log)
	if len(out.Events) != 2 {
		t.Fatalf("%d events were delivered, want 2", len(out.Events))
	}
	foreign, back := out.Events[0].Transition, out.Events[1].Transition
	if foreign.Own || !back.Own || back.Err != broken {
		t.Errorf("delivered with Own %v, then with Own %v and error %v; want false, true and the error of the own call", foreign.Own, back.Own, back.Err)
	}
}

// Status follows an event that arrives while the record is read, though it showed a higher
// epoch then, which a failover has undone.
func TestFollower_statusAfterFailover(t *testing.T) {
	var f Follower
	var out Output
	log := []engine.Transition{{Epoch: 10, N: 1, Cause: engine.CauseCreated}, {Was: 10, Epoch: 12, N: 2, Cause: engine.CauseOperator}}
	known := Known{Exists: true, Epoch: 10}
	f.Polled(1*time.Second, f.SendPoll(), known, 1, &out)
	undone := engine.Transition{Was: 15, Epoch: 30, N: 3, Cause: engine.CauseOperator}
	f.Reply(2*time.Second, f.BeginStep(2*time.Second), undone.Epoch, []engine.Transition{undone}, false, &out)
	f.SendRead(3 * time.Second)
	next := engine.Transition{Was: 12, Epoch: 14, N: 3, Cause: engine.CauseOperator, To: engine.StateOpen}
	f.Push(3*time.Second, next, &out)
	known.Epoch = 12
	out = Output{}
	f.Read(4*time.Second, Record{Known: known, N: 2, Log: log}, &out)
	if epoch, _, _ := f.Epoch(); epoch != next.Epoch || out.Status.Epoch != next.Epoch {
		t.Errorf("the follower is at epoch %d, and Status shows %d after the read one, want %d", epoch, out.Status.Epoch, next.Epoch)
	}
	if out.Status.Ago != time.Second || out.Events[len(out.Events)-1].Transition.Ago != 0 {
		t.Errorf("the event arrived 1s ago; Status has %v, the hooks %+v", out.Status.Ago, out.Events)
	}
}

// Status follows the reply to an own step, which has the times that are left, and not the
// transition in it, which has only the planned ones.
func TestFollower_statusOfReply(t *testing.T) {
	var f Follower
	f.Polled(1*time.Second, f.SendPoll(), Known{Exists: true, Epoch: 10}, 1, &Output{})
	for _, pushedFirst := range []bool{false, true} {
		epoch, n, _ := f.Epoch()
		own := engine.Transition{Was: epoch, Epoch: epoch + 1, N: n + 1, Cause: engine.CauseOperator}
		id := f.BeginStep(2 * time.Second)
		if pushedFirst {
			f.Push(2*time.Second, own, &Output{})
		}
		var out Output
		current := f.Reply(2*time.Second, id, own.Epoch, []engine.Transition{own}, false, &out)
		if !current || out.Status.Cause != "" || len(out.Events) != 1 {
			t.Errorf("pushed first %v: the reply is current: %v; then Status follows %+v; events %v", pushedFirst, current, out.Status, out.Events)
		}
	}
}

// A poll that finds Status at another epoch than the record makes it be read.
func TestFollower_pollCorrectsStatus(t *testing.T) {
	var f Follower
	known := Known{Exists: true, Epoch: 10}
	f.Polled(1*time.Second, f.SendPoll(), known, 1, &Output{})
	f.status = 8
	f.Polled(31*time.Second, f.SendPoll(), known, 1, &Output{})
	if due := f.ReadDue(); due != 31*time.Second {
		t.Fatalf("a read is due at %v, want it at once", due)
	}
	f.SendRead(31 * time.Second)
	var out Output
	f.Read(32*time.Second, Record{Known: known, N: 1, Log: []engine.Transition{{Epoch: 10, N: 1}}}, &out)
	if out.Known == nil || f.ReadDue() != 0 {
		t.Errorf("the read shows %v, and the next one is due at %v", out.Known, f.ReadDue())
	}
}

// replayed draws the choices, then 0.
func replayed(choices []int) func(int) int {
	return func(int) int {
		if len(choices) == 0 {
			return 0
		}
		choice := choices[0]
		choices = choices[1:]
		return choice
	}
}

// Longer worlds, from plain random numbers.
func TestFollower_manyWorlds(t *testing.T) {
	worlds := 150
	if testing.Short() {
		worlds = 30
	}
	for name, m := range mixes {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(worlds) {
				if fault := newTestWorld(seeded(seed), m, &Follower{}).runWorld(300); fault != "" {
					t.Fatalf("seed %d: %s", seed, fault)
				}
			}
		})
	}
}

func seeded(seed uint64) func(int) int {
	return rand.New(rand.NewPCG(seed, 0)).IntN
}
