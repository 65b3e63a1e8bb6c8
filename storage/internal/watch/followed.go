package watch

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/follow"
)

// Followed is a record that handles of a storage follow. All methods are safe for
// concurrent use.
type Followed struct {
	watcher *Watcher
	key     string
	handles int32 // guarded by the watcher's mu
	// pollNow is set when the head has to be polled whatever is known.
	// An atomic, because pollAll sets it with the lock of the Watcher held, and the lock of a
	// Followed comes before that one.
	pollNow atomic.Bool

	mu       sync.Mutex
	follower follow.Follower
	trackers []*engine.Tracker
	retryAt  time.Duration // no poll before, since one failed
	polling  bool
}

// addTracker adds a handle's tracker. It copies the list, because a delivery may be
// running over the old one.
func (r *Followed) addTracker(t *engine.Tracker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trackers = append(slices.Clip(r.trackers), t)
}

// Unfollow ends the deliveries to a tracker.
func (r *Followed) Unfollow(t *engine.Tracker) {
	r.mu.Lock()
	before := len(r.trackers)
	r.trackers = slices.DeleteFunc(slices.Clone(r.trackers), func(other *engine.Tracker) bool { return other == t })
	removed := len(r.trackers) < before
	r.mu.Unlock()
	if removed {
		r.watcher.unfollow(r)
	}
}

// BeginStep registers a step of a handle that is about to be sent.
func (r *Followed) BeginStep() follow.StepID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.follower.BeginStep(r.watcher.now())
}

// EndStep ends a step without a reply.
func (r *Followed) EndStep(id follow.StepID) {
	r.applyInput(func(now time.Duration, out *follow.Output) { r.follower.EndStep(now, id, out) })
}

// ApplyReply ends a step with its reply, on behalf of the handle of the tracker. asked
// is that handle's clock just before the step was sent.
func (r *Followed) ApplyReply(id follow.StepID, t *engine.Tracker, b engine.Batch, reply engine.Reply, asked int64) {
	r.applyInput(func(now time.Duration, out *follow.Output) {
		own := reply.OwnTransitions(b)
		current := r.follower.Reply(now, id, reply.Epoch, own, reply.Unpublished, out)
		// The handle that sent the step follows it first: its caller reads Status next. current
		// is false for a reply that later events have overtaken, which must not turn it back.
		t.FollowReply(b, reply, asked, current)
		if current && len(own) > 0 {
			r.showOthers(t, reply.State, reply.Mode, reply.Epoch, millis(reply.LeftMS), millis(reply.ModeLeftMS))
		}
	})
}

// millis returns n ms.
func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// showOthers makes the other handles of the storage show what a step of one
// of them did.
func (r *Followed) showOthers(t *engine.Tracker, s engine.State, m engine.Mode, epoch int64, left, modeLeft time.Duration) {
	for _, other := range r.trackers {
		if other != t {
			other.FollowRecord(s, m, epoch, left, modeLeft)
		}
	}
}

// ApplyCommand ends a command with the record after it, on behalf of the handle of
// the tracker. unpublished: no event of its transitions will arrive.
func (r *Followed) ApplyCommand(id follow.StepID, t *engine.Tracker, s engine.Snapshot, moves []engine.Transition, unpublished bool) {
	// Without a record there is no epoch that the reply could confirm.
	if !s.Exists {
		t.ObserveCommand()
		r.EndStep(id)
		return
	}
	r.applyInput(func(now time.Duration, out *follow.Output) {
		current := r.follower.Reply(now, id, s.Epoch, moves, unpublished, out)
		t.FollowCommand(s, moves, current)
		if current && len(moves) > 0 {
			k := knownOf(&s)
			r.showOthers(t, k.State, k.Mode, k.Epoch, k.Left, k.ModeLeft)
		}
	})
}

// applyInput gives an input to the follower, delivers its output, and
// schedules the record for later.
func (r *Followed) applyInput(input func(now time.Duration, out *follow.Output)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out follow.Output
	// Read under the lock, so that the time of a record never goes back from one input to
	// the next: the follower compares times of different goroutines.
	now := r.watcher.now()
	input(now, &out)
	// Delivery is under the lock, so that inputs that race are delivered in the order in
	// which the follower has seen them. A sink only enqueues.
	r.deliverLocked(&out)
	if due := r.dueLocked(now); due > 0 {
		r.watcher.schedule(r, due)
	}
	if out.Late {
		r.watcher.takeBackSigns()
	}
	if len(out.Signs) > 0 {
		r.watcher.addSigns(now, out.Signs)
	}
}

// deliverLocked updates the status of all handles, then raises the events: a hook
// that asks for the status finds that of its event, or a newer one.
func (r *Followed) deliverLocked(out *follow.Output) {
	// Close sets closed and then passes through this lock, so after it returns nothing is
	// delivered.
	if r.watcher.closed.Load() {
		return
	}
	for _, e := range out.Events {
		r.watcher.all.put(r.key, e)
	}
	for _, t := range r.trackers {
		if k := out.Known; k != nil {
			t.FollowRecord(k.State, k.Mode, k.Epoch, k.Left, k.ModeLeft)
		}
		if out.Status.Cause != "" {
			t.FollowTransition(out.Status)
		}
		if out.Voided != 0 { // by an event that is older than the status, which followed nothing
			t.ObserveEpoch(out.Voided)
		}
		for _, e := range out.Events {
			t.Raise(e)
		}
	}
}

// dueLocked returns when the Watcher has to look at the record; 0 if nothing is
// due before it was silent for long.
func (r *Followed) dueLocked(now time.Duration) time.Duration {
	due := r.follower.ReadDue()
	if sign := r.follower.SignDue(); sign > 0 && (due == 0 || sign < due) {
		due = sign
	}
	if r.needsPollLocked() {
		if at := max(now, r.retryAt); due == 0 || at < due {
			due = at
		}
	}
	return due
}

// needsPollLocked reports whether the head has to be polled at once: nothing is
// known yet, or events may have been lost while there was no subscription. One poll
// of a record is in flight at a time.
func (r *Followed) needsPollLocked() bool {
	return !r.polling && (r.pollNow.Load() || r.follower.NeedsPoll())
}

// raiseOnce raises an event for one handle.
func (r *Followed) raiseOnce(e engine.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watcher.all.put("", e)
	if len(r.trackers) > 0 && !r.watcher.closed.Load() {
		r.trackers[0].Raise(e)
	}
}
