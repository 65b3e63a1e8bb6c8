package follow

import (
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// maxUnheard bounds the transitions whose events are still expected. Two of them
// are enough to renew a subscription.
const maxUnheard = 16

// addUnheard expects the event of a transition that was learned in another way.
func (f *Follower) addUnheard(u missed) {
	if len(f.unheard) < maxUnheard {
		f.unheard = append(f.unheard, u)
	}
}

// SignDue returns when the next expected event is overdue; 0 if none is expected.
func (f *Follower) SignDue() time.Duration {
	if f.unsettled == nil || len(f.unheard) == 0 {
		return 0
	}
	return f.unheard[0].at + Grace
}

// Tick reports the events that are overdue.
func (f *Follower) Tick(now time.Duration, out *Output) {
	if f.unsettled == nil {
		return
	}
	defer f.settle()
	f.unheard = slices.DeleteFunc(f.unheard, func(u missed) bool {
		overdue := u.at+Grace <= now
		if overdue {
			out.Signs = append(out.Signs, u.since)
			f.noteOverdue(u.epoch)
		}
		return overdue
	})
}

// noteOverdue keeps the epoch of a sign, to recognize its event. The last few are enough:
// one event that arrives shows that others do.
func (f *Follower) noteOverdue(epoch int64) {
	const most = 4
	if len(f.overdue) == most {
		f.overdue = slices.Delete(f.overdue, 0, 1)
	}
	f.overdue = append(f.overdue, epoch)
}

// HeardAt returns when anything last confirmed or moved the follower's epoch; 0: never.
func (f *Follower) HeardAt() time.Duration { return f.heardAt }

// PollDue returns when the record's head has to be polled, unless a reply or a read
// confirms it before. Events do not put it off: a subscription that is slow delivers
// them in order and without a gap, but late, and nothing else would show that.
func (f *Follower) PollDue() time.Duration { return f.confirmedAt + PollAfter }

// Epoch returns the epoch that the follower is at, 0 if there is no record, and
// the number of its transition, 0 if unknown. ok is false if it knows no epoch.
func (f *Follower) Epoch() (epoch, n int64, ok bool) { return f.epoch, f.n, f.based }

// NeedsPoll reports whether the head has to be polled at once: the follower does
// not know the epoch, or the number without which it cannot count.
func (f *Follower) NeedsPoll() bool {
	return !f.isReadFirst() && (!f.based || f.epoch != 0 && f.n == 0)
}

// isReadFirst reports whether the record has to be read before anything else shows what
// it is: it was adopted.
func (f *Follower) isReadFirst() bool {
	return f.unsettled != nil && (f.newFor > 0 || f.adopted != 0)
}

// SendPoll registers that the record's head is about to be polled. Polled takes
// what it returns.
func (f *Follower) SendPoll() (changes uint32) { return f.changes }

// Polled applies the head of the record as it was polled.
func (f *Follower) Polled(now time.Duration, changes uint32, k Known, n int64, out *Output) {
	if f.isReadFirst() {
		return
	}
	f.unsettle()
	defer f.settle() // the baselines of all records arrive at once, and Tick comes seldom
	switch {
	case !f.based:
		f.moveToEpoch(k.Epoch, n)
		f.showRecord(now, Record{Known: k}, out)
	case changes != f.changes: // the follower has overtaken the poll
		return
	case k.Epoch != f.epoch: // a poll shows that something moved, not what
		f.wantRead(now)
		return
	}
	f.heardAt, f.confirmedAt, f.n = now, now, n
	if f.status != f.epoch && f.indexWaiting(f.status) < 0 {
		f.wantRead(now) // Status is of no use to the chain, so nothing else would correct it
	}
	if !f.wasRead && (k.Mode != engine.ModeAuto || k.State != engine.StateClosed) {
		f.wantRead(now) // the head does not say for how long
	}
}

// Adopt begins to follow a record with an event of it. The event is delivered once
// reading has confirmed it.
func (f *Follower) Adopt(now time.Duration, t engine.Transition) {
	f.unsettle()
	f.based, f.epoch, f.n, f.adopted = true, t.Was, t.N-1, t.Epoch
	f.addWaiting(event{Transition: t, at: now, received: true})
	f.wantRead(now + Grace)
}

// AdoptNew begins to follow a record that a list has and an earlier list did not
// have. If it began within the time, all of its transitions are delivered.
func (f *Follower) AdoptNew(now, within time.Duration) {
	f.unsettle()
	f.newFor = within
	f.wantRead(now)
}

// confirmAdopted finds the first of the events that arrived so far which the log
// confirms, and makes the follower begin with it. If there is none, it begins at
// the state that was read.
func (f *Follower) confirmAdopted(r *Record) {
	switch {
	case f.adopted != 0:
		i := slices.IndexFunc(r.Log, func(t engine.Transition) bool { return f.indexWaiting(t.Epoch) >= 0 })
		if f.based = i >= 0; f.based {
			r.Log = r.Log[i:]
			f.epoch, f.n = f.waiting[f.indexWaiting(r.Log[0].Epoch)].Was, r.Log[0].N-1
		}
	case !f.based && f.newFor > 0:
		f.based = len(r.Log) > 0 && r.Log[0].N == 1 && r.Log[0].Ago <= f.newFor
	}
	f.adopted, f.newFor = 0, 0
}
