package follow

import (
	"regexp"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// mutants are followers that break one rule each, and the faults by which the
// property finds them.
var mutants = map[string]struct {
	mix   mix
	new   func() sequencer
	fault string
}{
	"by number alone, flush": {
		mix{flush: true}, func() sequencer { return &byNumber{} }, "in the end the follower is at epoch",
	},
	"by number alone, rollback": {
		mix{rollback: true, slowClock: true}, func() sequencer { return &byNumber{} }, "delivered epoch [0-9]+ after",
	},
	"by number alone, twin": {
		mix{twin: true}, func() sequencer { return &byNumber{} }, "of another record",
	},
	"no epoch above max": {
		mix{rollback: true, slowClock: true}, tampered(func(f *Follower) { f.max = 0 }), "delivered epoch [0-9]+ (after|twice)",
	},
	"no baseline": {
		mix{}, tampered(func(f *Follower) { f.based = true }), "before the process began to follow",
	},
	"own steps hold nothing": {
		mix{}, tampered(func(f *Follower) { f.steps.flying = nil }), "with Own false",
	},
}

// The property finds each mutant.
func TestFollower_mutants(t *testing.T) {
	const worlds = 20_000
	for name, mutant := range mutants {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(worlds) {
				w := newTestWorld(seeded(seed), mutant.mix, mutant.new())
				_, w.ignoresOwn = w.f.(*byNumber)
				fault := w.runWorld(300)
				if fault != "" && regexp.MustCompile(mutant.fault).MatchString(fault) {
					t.Logf("found in world %d: %s", seed, fault)
					return
				}
			}
			t.Errorf("%d worlds find nothing wrong", worlds)
		})
	}
}

// An event of one of the last 16 transitions is known when it comes late, and
// makes nothing read. A follower that remembers 4 epochs is found by it.
func TestFollower_lateEvents(t *testing.T) {
	remember4 := tampered(func(f *Follower) { f.visited = f.visited[max(0, len(f.visited)-4):] })
	for name, test := range map[string]struct {
		f     sequencer
		reads bool
	}{
		"16 visited epochs": {&Follower{}, false},
		"4 visited epochs":  {remember4(), true},
	} {
		w := newTestWorld(func(int) int { return 0 }, mix{}, test.f)
		first := w.makeTransition(&w.rec)
		w.f.Reply(w.now, w.f.BeginStep(w.now), first.Epoch, []engine.Transition{first}, false, &Output{})
		moves := []engine.Transition{first}
		for range 15 {
			moves = append(moves, w.makeTransition(&w.rec))
			w.f.Push(w.now, moves[len(moves)-1], &Output{})
		}
		for _, m := range moves {
			w.f.Push(w.now, m, &Output{})
		}
		if due := w.f.ReadDue(); due > 0 != test.reads {
			t.Errorf("%s: a read is due at %v, want one: %v", name, due, test.reads)
		}
	}
}

// tampered returns a follower that is changed before each input.
func tampered(change func(f *Follower)) func() sequencer {
	return func() sequencer { return &tamperer{change: change} }
}

type tamperer struct {
	Follower
	change func(f *Follower)
}

func (f *tamperer) Push(now time.Duration, t engine.Transition, out *Output) {
	f.unsettle()
	f.change(&f.Follower)
	f.Follower.Push(now, t, out)
}

func (f *tamperer) Reply(now time.Duration, id StepID, epoch int64, own []engine.Transition, unpublished bool, out *Output) bool {
	f.unsettle()
	f.change(&f.Follower)
	return f.Follower.Reply(now, id, epoch, own, unpublished, out)
}

func (f *tamperer) Read(now time.Duration, r Record, out *Output) {
	f.unsettle()
	f.change(&f.Follower)
	f.Follower.Read(now, r, out)
}

// byNumber follows by the number of a transition: one that is not above the last
// is known, and the next one is next.
type byNumber struct{ Follower }

func (f *byNumber) Push(now time.Duration, t engine.Transition, out *Output) {
	f.unsettle()
	if f.based && t.N == f.n+1 {
		f.deliverTransition(t, out)
		f.moveToEpoch(t.Epoch, t.N)
	} else if f.based && t.N > f.n {
		f.wantRead(now + Grace)
	}
}

func (f *byNumber) Read(now time.Duration, r Record, out *Output) {
	f.read.flying = false
	for _, t := range r.Log {
		if f.based && t.N > f.n {
			f.reportMissed(t.N-f.n-1, r, out)
			f.deliverTransition(t, out)
			f.moveToEpoch(t.Epoch, t.N)
		}
	}
	if !f.based {
		f.moveToEpoch(r.Epoch, r.N)
	}
}
