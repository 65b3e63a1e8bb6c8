package follow

import (
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Grace is how long an event waits for the one before it, and a reply for its
// event, before the record is read. It covers the delay between the two.
const Grace = 50 * time.Millisecond

const (
	// maxVisited is how many epochs a follower remembers. The log has as many
	// entries, so that an event of any of them is known when it comes late.
	maxVisited = 16
	// maxWaiting is how many events wait for an earlier one. The log can replace
	// no more than that.
	maxWaiting = 16
)

// follows reports whether the transition comes right after the epoch. An event
// of a new record does not show whose record that is: every record begins after
// epoch 0. Only an own step, or reading, shows that.
func follows(t *engine.Transition, epoch, highest int64) bool {
	return t.Was == epoch && t.Epoch > highest && (epoch != 0 || t.Own)
}

// Follower follows the transitions of one record. The zero value knows nothing
// of the record.
//
// A process may follow 10 000 records of which few move. So a Follower itself has only
// what it has to know of a record at rest; all else is in unsettled.
type Follower struct {
	epoch   int64 // of the record, as far as followed
	n       int64 // number of the transition that began epoch; 0: unknown
	max     int64 // highest epoch that the follower was at
	visited []int64

	// status is the epoch that Status and views follow: that of the newest event,
	// delivered or not.
	status   int64
	statusAt time.Duration

	heardAt time.Duration // last time that something confirmed or moved epoch
	// confirmedAt is the last time that a reply, a read or a poll showed the record as it
	// was a moment before. An event does not: it may have been on its way for minutes.
	confirmedAt time.Duration

	*unsettled // nil while the record is at rest

	changes uint32 // how often epoch changed, to recognize older read results
	based   bool   // epoch is known; 0 then means that there is no record
	wasRead bool   // a read was sent at some time
	// atStart is set while epoch is the one at which the follower began: its transition was
	// not delivered.
	atStart bool
}

// unsettled keeps what a follower needs while something is in flight, waits or is suspect.
// Each input that needs it calls unsettle, and Tick drops it when nothing of it matters
// any more: not sooner, so that events and steps in quick succession share one.
type unsettled struct {
	waiting  []event // not delivered yet, in order of arrival
	arrivals uint32
	steps    steps // own steps in flight
	dropped  []ownDrop
	unheard  []missed // transitions whose event has not arrived
	overdue  []int64  // epochs of those that were signs
	read     readState
	push     pushState

	// adopted is the first event of a record that was not followed before, 0 if there
	// is none: reading has to confirm it. newFor is set for a record that was found in
	// a list: it is followed from its first transition if it is not older than that.
	adopted int64
	newFor  time.Duration
}

// unsettle makes the fields of unsettled usable.
func (f *Follower) unsettle() {
	if f.unsettled == nil {
		f.unsettled = &unsettled{}
	}
}

// settle drops the fields of unsettled, unless one of them still matters. The counters of
// arrivals and steps may begin again: nothing refers to them then.
func (f *Follower) settle() {
	if u := f.unsettled; u != nil && u.isEmpty() {
		f.unsettled = nil
	}
}

// isEmpty reports whether nothing would be lost with u.
func (u *unsettled) isEmpty() bool {
	return len(u.waiting)+len(u.steps.flying)+len(u.dropped)+len(u.unheard)+len(u.overdue) == 0 &&
		!u.read.flying && u.read.wantedAt == 0 && u.push == pushState{} && u.adopted == 0 && u.newFor == 0
}

// event is a transition that waits for the one before it or for own steps.
type event struct {
	engine.Transition
	at       time.Duration
	order    uint32 // among all arrivals
	received bool   // by push
	// behind holds it back until every own step that began up to it has ended.
	behind stepID
}

// ownDrop is an own transition that was dropped before it was delivered: a read did not
// show it, or too many waited.
type ownDrop struct {
	epoch int64
	err   error
}

// missed is a transition that was learned without its event.
type missed struct {
	epoch int64
	at    time.Duration // when it was learned
	since time.Duration // when it happened, at the earliest
}

// Output collects what follows from one input. The caller empties it.
type Output struct {
	// Events are for hooks: transitions, healed records, missed transitions and
	// lost push, in order.
	Events []engine.Event
	// Status is the newest transition that Status has to follow, if Cause is set. It is
	// newer than Known. Ago is how long ago its event arrived.
	Status engine.Transition
	// Voided is an epoch that ends views of the record, 0 if there is none: that of an event
	// that is not known, or of a record that was read.
	Voided int64
	// Known is the record as it was read. Status follows it.
	Known *Known
	// Signs are the instants of transitions that were learned without their
	// events, although the grace period is over: signs of a subscription that
	// receives nothing.
	Signs []time.Duration
	// Late reports whether the event of such a sign has arrived after all.
	Late bool
}

// Known is the state of a record that was read.
type Known struct {
	Exists bool
	State  engine.State
	Mode   engine.Mode
	Epoch  int64
	// Left is how long the open period still lasts, ModeLeft the mode.
	Left, ModeLeft time.Duration
}

// Push applies an event that the subscription received.
func (f *Follower) Push(now time.Duration, t engine.Transition, out *Output) {
	f.unsettle()
	f.unheard = slices.DeleteFunc(f.unheard, func(u missed) bool { return u.epoch == t.Epoch })
	if i := slices.Index(f.overdue, t.Epoch); i >= 0 {
		f.overdue = slices.Delete(f.overdue, i, i+1)
		out.Late = true
	}
	if f.isKnown(t.Epoch) {
		return
	}
	if i := f.indexWaiting(t.Epoch); i >= 0 {
		f.waiting[i].received = true
		return
	}
	// An event that chains is the record's for certain, so it is never ignored, and it
	// confirms the known epoch. Any other one may be that of a record in another
	// database, and must not keep this one from being polled.
	chains := f.chainsFromEpoch(t)
	if !chains && f.push.isIgnored(now) {
		return
	}
	if chains {
		f.heardAt = now
	}
	f.addWaiting(event{Transition: t, at: now, received: true, behind: f.steps.newest})
	f.showStatus(now, t, out)
	f.deliverNext(now, out)
}

// isKnown reports whether the follower is or was at the epoch.
func (f *Follower) isKnown(epoch int64) bool {
	return f.based && epoch == f.epoch || slices.Contains(f.visited, epoch)
}

// chainsFromEpoch reports whether the event follows the epoch that the follower is at,
// directly or through events that wait. An epoch that does not rise never does,
// since it shows that the record went back.
func (f *Follower) chainsFromEpoch(t engine.Transition) bool {
	if !f.based {
		return false
	}
	epoch, highest := f.epoch, f.max
	for {
		if follows(&t, epoch, highest) {
			return true
		}
		i := f.indexNext(epoch, highest)
		if i < 0 {
			return false
		}
		epoch, highest = f.waiting[i].Epoch, f.waiting[i].Epoch
	}
}

// indexNext returns the event that waits and follows the epoch; -1 if none does.
func (f *Follower) indexNext(epoch, highest int64) int {
	return slices.IndexFunc(f.waiting, func(e event) bool { return follows(&e.Transition, epoch, highest) })
}

// indexWaiting returns the event of the epoch that waits; -1 if none does.
func (f *Follower) indexWaiting(epoch int64) int {
	return slices.IndexFunc(f.waiting, func(e event) bool { return e.Epoch == epoch })
}

// addWaiting keeps an event until it is delivered or the record was read. The
// oldest event of another process gives way: the log has it, but the log does
// not say which transitions are own.
func (f *Follower) addWaiting(e event) {
	if len(f.waiting) == maxWaiting {
		i := max(0, slices.IndexFunc(f.waiting, func(e event) bool { return !e.Own }))
		f.rememberOwn(f.waiting[i])
		f.waiting = slices.Delete(f.waiting, i, i+1)
	}
	f.arrivals++
	e.order = f.arrivals
	f.waiting = append(f.waiting, e)
}

// showStatus makes Status and views follow an event at once, whether or not it
// can be delivered yet.
func (f *Follower) showStatus(now time.Duration, t engine.Transition, out *Output) {
	out.Voided = t.Epoch
	// Views have no order to mind: an event that is not known voids them, even if it is
	// older than the one that Status shows.
	if t.Epoch > f.status {
		f.status, f.statusAt = t.Epoch, now
		out.Status = t
	}
}

// deliverNext delivers the events that follow each other from the follower's
// epoch on, up to one that own steps in flight hold back.
func (f *Follower) deliverNext(now time.Duration, out *Output) {
	for f.based && f.adopted == 0 {
		i := f.indexNext(f.epoch, f.max)
		if i < 0 || f.steps.hasStepUpTo(f.waiting[i].behind) {
			return
		}
		e := f.waiting[i]
		f.waiting = slices.Delete(f.waiting, i, i+1)
		f.heardAt = now
		f.deliverTransition(e.Transition, out)
		f.moveToEpoch(e.Epoch, e.N)
		// An event that came after a higher epoch was not shown. If a read has meanwhile shown
		// that the record went back, Status is behind the event now.
		if e.Epoch > f.status {
			e.Ago = now - e.at
			f.showStatus(now, e.Transition, out)
		}
	}
}

// rememberOwn keeps of an event that is dropped that it is own. A client that changes
// between a server and the one that took over reads the transition after all, and the
// log does not say whose it is.
func (f *Follower) rememberOwn(e event) {
	if !e.Own {
		return
	}
	if len(f.dropped) == maxWaiting {
		f.dropped = slices.Delete(f.dropped, 0, 1)
	}
	f.dropped = append(f.dropped, ownDrop{e.Epoch, e.Err})
}

// deliverTransition hands a transition to hooks.
func (f *Follower) deliverTransition(t engine.Transition, out *Output) {
	if i := slices.IndexFunc(f.dropped, func(d ownDrop) bool { return d.epoch == t.Epoch }); i >= 0 {
		t.Own, t.Err = true, f.dropped[i].err
		f.dropped = slices.Delete(f.dropped, i, i+1)
	}
	kind := engine.EventTransition
	if t.Cause == engine.CauseHealed {
		kind = engine.EventHealed
	}
	out.Events = append(out.Events, engine.Event{Kind: kind, Transition: t})
}

// moveToEpoch makes epoch the one that the follower is at.
func (f *Follower) moveToEpoch(epoch, n int64) {
	f.atStart = !f.based
	f.based = true
	f.changes++
	f.epoch, f.n = epoch, n
	f.max = max(f.max, epoch)
	if epoch != 0 {
		f.rememberEpoch(epoch)
	}
}

// rememberEpoch keeps the last epochs, so that an event that comes late is known.
// Without it, each late event would make the record be read.
func (f *Follower) rememberEpoch(epoch int64) {
	if len(f.visited) == maxVisited {
		f.visited = slices.Delete(f.visited, 0, 1)
	}
	f.visited = append(f.visited, epoch)
}
