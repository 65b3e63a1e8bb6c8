package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// A storage that follows records shows the ramp as others do.
func TestTracker_followShowsRamp(t *testing.T) {
	ramping := engine.Reply{Epoch: 2, RampLeftMS: 4000, RampShare: 2500}
	snapshot := engine.Snapshot{Exists: true, Epoch: 2, RampFor: 4 * time.Second, RampShare: 0.25}
	for what, follow := range map[string]func(o *engine.Tracker){
		"reply":   func(o *engine.Tracker) { o.FollowReply(engine.Batch{}, ramping, 1, true) },
		"command": func(o *engine.Tracker) { o.FollowCommand(snapshot, nil, true) },
	} {
		o := engine.NewTracker("x", mustRules(t, engine.Policy{}), func() int64 { return 1 }, nil)
		follow(o)
		if s := o.Status(); s.RampFor != 4*time.Second || s.RampShare != 0.25 {
			t.Errorf("after a %s: %+v, want a ramp of 4 s with a share of 0.25", what, s)
		}
	}
}

// An observer sees what overtaken replies say too, and an epoch of which an event came
// only if it is another one.
func TestTracker_observe(t *testing.T) {
	o := engine.NewTracker("x", mustRules(t, engine.Policy{}), func() int64 { return 1 }, nil)
	var seen []int64
	o.Observe(func(o engine.Observation) {
		switch {
		case o.Reply != nil:
			seen = append(seen, o.Reply.Epoch)
		default:
			seen = append(seen, -o.Epoch)
		}
	})
	o.FollowReply(engine.Batch{}, engine.Reply{Epoch: 1}, 1, true)
	o.FollowTransition(engine.Transition{Epoch: 1, Cause: engine.CauseCreated})
	o.FollowTransition(engine.Transition{Epoch: 2, To: engine.StateOpen, Cause: engine.CauseOperator, For: time.Second})
	o.FollowReply(engine.Batch{}, engine.Reply{Epoch: 1}, 1, false)
	o.FollowRecord(engine.StateOpen, engine.ModeAuto, 2, time.Second, 0)
	o.FollowRecord(engine.StateClosed, engine.ModeAuto, 3, 0, 0)
	o.FollowCommand(engine.Snapshot{}, nil, false)
	o.ObserveCommand()
	o.Observe(nil)
	o.ApplyReply(engine.Batch{}, engine.Reply{Epoch: 3}, 1)
	if diff := cmp.Diff([]int64{1, -2, 1, -3, 0, 0}, seen); diff != "" {
		t.Errorf("observed epochs, of events negative (-want +got):\n%s", diff)
	}
}
