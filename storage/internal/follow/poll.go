package follow

import (
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// maxUnheard bounds the transitions whose events are still expected. Two of them
// are enough to renew a subscription.
const maxUnheard = 16

func (f *Follower) addUnheard(u missed) {
	if len(f.unheard) < maxUnheard {
		f.unheard = append(f.unheard, u)
	}
}

// SignDue returns when the next expected event is overdue; 0 if none is expected.
func (f *Follower) SignDue() time.Duration {
	if len(f.unheard) == 0 {
		return 0
	}
	return f.unheard[0].at + Grace
}

// Tick reports the events that are overdue.
func (f *Follower) Tick(now time.Duration, out *Output) {
	f.unheard = slices.DeleteFunc(f.unheard, func(u missed) bool {
		overdue := u.at+Grace <= now
		if overdue {
			out.Signs = append(out.Signs, u.since)
		}
		return overdue
	})
}

// HeardAt returns when the follower's epoch was last confirmed; 0: never.
func (f *Follower) HeardAt() time.Duration { return f.heardAt }

// Epoch returns the epoch that the follower is at, 0 if there is no record, and
// the number of its transition, 0 if unknown. ok is false if it knows no epoch.
func (f *Follower) Epoch() (epoch, n int64, ok bool) { return f.epoch, f.n, f.based }

// NeedsPoll reports whether the head has to be polled at once: the follower does
// not know the epoch, or the number without which it cannot count.
func (f *Follower) NeedsPoll() bool { return !f.based || f.epoch != 0 && f.n == 0 }

// SendPoll registers that the record's head is about to be polled. Polled takes
// what it returns.
func (f *Follower) SendPoll() (changes uint32) { return f.changes }

// Polled applies the head of the record as it was polled.
func (f *Follower) Polled(now time.Duration, changes uint32, k Known, n int64, out *Output) {
	switch {
	case !f.based:
		f.moveToEpoch(k.Epoch, n)
		f.showRecord(now, Record{Known: k}, out)
	case changes != f.changes: // the follower has overtaken the poll
		return
	case k.Epoch != f.epoch:
		f.wantRead(now)
		return
	}
	f.heardAt, f.n = now, n
	if f.read.sentAt == 0 && (k.Mode != engine.ModeAuto || k.State != engine.StateClosed) {
		f.wantRead(now) // the head does not say for how long
	}
}
