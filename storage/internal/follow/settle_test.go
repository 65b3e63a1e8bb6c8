package follow

import (
	"testing"
	"time"
	"unsafe"

	"github.com/redbreaker/redbreaker/engine"
)

// A record at rest takes no more than the fields that it needs then: a process may follow
// 10 000 of them.
func TestFollower_settles(t *testing.T) {
	const limit = 96
	if size := unsafe.Sizeof(Follower{}); unsafe.Sizeof(uintptr(0)) == 8 && size > limit {
		t.Errorf("a follower takes %d B, want at most %d", size, limit)
	}
	var f Follower
	now := time.Second
	wantSettled := func(when string, want bool) {
		t.Helper()
		if (f.unsettled == nil) != want {
			t.Errorf("%s: at rest %v, want %v", when, f.unsettled == nil, want)
		}
	}
	tick := func(after time.Duration) {
		now += after
		f.Tick(now, &Output{})
	}
	f.Polled(now, f.SendPoll(), Known{Exists: true, Epoch: 1, State: engine.StateClosed, Mode: engine.ModeAuto}, 1, &Output{})
	wantSettled("after a poll", true)

	id := f.BeginStep(now)
	tick(time.Minute)
	wantSettled("with a step in flight", false)
	own := engine.Transition{Was: 1, Epoch: 2, N: 2, Cause: engine.CauseOperator}
	f.Reply(now, id, own.Epoch, []engine.Transition{own}, false, &Output{})
	tick(Grace / 2)
	wantSettled("with an event that is expected", false)
	own.Own = false
	f.Push(now, own, &Output{})
	tick(0)
	wantSettled("after the event", true)

	f.Push(now, engine.Transition{Was: 2, Epoch: 3, N: 3, Cause: engine.CauseOperator}, &Output{})
	tick(0)
	wantSettled("after the next event", true)
	late := engine.Transition{Was: 2, Epoch: 3, N: 3, Cause: engine.CauseOperator}
	f.Push(now, late, &Output{})
	tick(0)
	wantSettled("after the same event once more", true)

	f.Push(now, engine.Transition{Was: 4, Epoch: 5, N: 5, Cause: engine.CauseOperator}, &Output{})
	tick(time.Minute)
	wantSettled("with an event that waits", false)
	f.SendRead(now)
	tick(time.Minute)
	wantSettled("with a read in flight", false)
	f.FailRead(now)
	tick(0)
	wantSettled("with a read that is wanted", false)
}
