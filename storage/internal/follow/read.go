package follow

import (
	"errors"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

const (
	// rereadAfter is the least time between read results without anything new.
	// Somebody who publishes events of other records must not make every process
	// read at that rate.
	rereadAfter = time.Second
	// maxEmptyReads is how many read results in a row bring nothing new before
	// events that do not chain are ignored for ignoreFor.
	maxEmptyReads = 3
	ignoreFor     = time.Minute
	// PollAfter is how long no reply or read confirms a record before its head is polled.
	PollAfter = 30 * time.Second
)

// ErrOtherEvents is the reason of an EventPushLost about events that belong to
// no transition of the record.
var ErrOtherEvents = errors.New("redbreaker: events of this record are published that are not in its log; is another database or server in use under this namespace?")

// Record is a record as since.lua returns it.
type Record struct {
	Known
	N int64
	// Log has the transitions from the asked epoch on, that one included, oldest
	// first; or the whole log, if the epoch is not in it.
	Log []engine.Transition
}

// readState is the state of a follower's reads.
type readState struct {
	wantedAt time.Duration // 0: not wanted, apart from events that wait
	flying   bool          // a read was sent; its result has not been applied
	sentAt   time.Duration
	changes  uint32 // of the follower, when the read was sent
	arrivals uint32 // of events, when the read was sent
	held     *heldRecord
}

// heldRecord is a result that waits for own steps: one of them may have made a
// transition that is in it.
type heldRecord struct {
	record Record
	behind stepID
}

// pushState counts events that were not the record's.
type pushState struct {
	empty        int // reads in a row without anything new
	emptyAt      time.Duration
	ignoredUntil time.Duration
	reported     bool
}

// isIgnored reports whether events that do not chain are ignored now.
func (p *pushState) isIgnored(now time.Duration) bool { return now < p.ignoredUntil }

// wantRead makes a read due at the time, unless one is due earlier.
func (f *Follower) wantRead(at time.Duration) {
	if f.read.wantedAt == 0 || at < f.read.wantedAt {
		f.read.wantedAt = at
	}
}

// ReadDue returns when the record has to be read; 0 if it does not have to be.
func (f *Follower) ReadDue() time.Duration {
	if f.unsettled == nil || f.read.flying {
		return 0
	}
	// One read at a time: its result answers all that arrived before it was sent.
	due := f.read.wantedAt
	for _, e := range f.unchained() {
		if at := e.at + Grace; due == 0 || at < due {
			due = at
		}
	}
	if due != 0 && f.push.empty > 0 {
		due = max(due, f.push.emptyAt+rereadAfter)
	}
	return due
}

// unchained returns the events that wait for one that has not arrived.
func (f *Follower) unchained() []event {
	if len(f.waiting) == 0 {
		return nil
	}
	rest := slices.Clone(f.waiting)
	for epoch, highest := f.epoch, f.max; f.based; {
		i := slices.IndexFunc(rest, func(e event) bool { return follows(&e.Transition, epoch, highest) })
		if i < 0 {
			break
		}
		epoch, highest = rest[i].Epoch, rest[i].Epoch
		rest = slices.Delete(rest, i, i+1)
	}
	return rest
}

// SendRead registers a read that is about to be sent, and returns the epoch that
// it asks for.
func (f *Follower) SendRead(now time.Duration) (known int64) {
	f.unsettle()
	f.wasRead = true
	f.read = readState{flying: true, sentAt: now, changes: f.changes, arrivals: f.arrivals}
	return f.epoch
}

// FailRead registers that the read failed; it is due again at the time again.
func (f *Follower) FailRead(again time.Duration) {
	f.unsettle()
	f.read.flying = false
	f.wantRead(again)
}

// Read applies the result of the read.
func (f *Follower) Read(now time.Duration, r Record, out *Output) {
	f.unsettle()
	h := &heldRecord{record: r, behind: f.steps.newest}
	// Steps that begin later do not matter: their transitions are not in this result.
	if f.steps.hasStepUpTo(h.behind) {
		f.read.held = h
		return
	}
	f.applyRecord(now, r, out)
}

// applyRecord takes in a record that was read. A result that does not have the
// follower's epoch although that moved since the read was sent is an older one: to
// apply it would go back, and look like a failover that lost transitions.
func (f *Follower) applyRecord(now time.Duration, r Record, out *Output) {
	f.read.flying = false
	if f.based && f.read.changes != f.changes && !r.hasEpoch(f.epoch) {
		f.wantRead(now) // the follower has overtaken this result
		return
	}
	f.heardAt, f.confirmedAt = now, now
	f.confirmAdopted(&r)
	changed := f.epoch != r.Epoch
	switch {
	case !f.based:
		f.moveToEpoch(r.Epoch, r.N)
	// How much was lost with the record cannot be known. Epoch 0 is the baseline from which
	// the next record begins.
	case !r.Exists && changed:
		f.reportMissed(-1, r, out)
		f.moveToEpoch(0, 0)
	case changed:
		f.applyLog(now, r, out)
	default:
		f.n = r.N
	}
	f.judgePush(now, f.dropWaiting(), changed, out)
	f.showRecord(now, r, out)
	f.deliverNext(now, out)
}

// hasEpoch reports whether the epoch is the record's or one of its log.
func (r *Record) hasEpoch(epoch int64) bool { return r.Epoch == epoch || r.indexOfEpoch(epoch) >= 0 }

// indexOfEpoch returns the entry of the epoch; -1 if the log has none.
func (r *Record) indexOfEpoch(epoch int64) int {
	return slices.IndexFunc(r.Log, func(t engine.Transition) bool { return t.Epoch == epoch })
}

// showRecord makes Status follow the record, unless it shows something newer that
// arrived after the read was sent, and that another read will confirm.
func (f *Follower) showRecord(now time.Duration, r Record, out *Output) {
	newer := f.status > r.Epoch && f.statusAt >= f.read.sentAt
	if newer && (f.indexWaiting(f.status) >= 0 || f.read.wantedAt != 0) {
		return
	}
	if f.status != r.Epoch {
		out.Voided = r.Epoch
	}
	// A state that was read replaces an event of the same input: it has the times that are
	// left, where an event has the planned ones.
	f.status, f.statusAt = r.Epoch, now
	out.Status = engine.Transition{}
	out.Known = &r.Known
}

// applyLog delivers what the log has after the follower's epoch, and reports how
// many transitions it no longer has.
func (f *Follower) applyLog(now time.Duration, r Record, out *Output) {
	log, missed := f.newerEntries(&r)
	// The event about missed transitions comes before the first one that is delivered
	// after them, so that hooks see the order of the log with its gaps.
	for _, t := range log {
		if f.n > 0 && t.N > f.n+1 {
			missed = addMissed(missed, t.N-f.n-1) // entries that do not read well
		}
		// After a failover the log may have epochs that are not above those delivered. Hooks
		// rely on rising epochs, so such a transition is counted and not delivered.
		if t.Epoch <= f.max {
			missed = addMissed(missed, 1)
		} else {
			f.reportMissed(missed, r, out)
			missed = 0
			f.deliverEntry(now, t, out)
		}
		f.moveToEpoch(t.Epoch, t.N)
	}
	if f.epoch != r.Epoch {
		missed = addMissed(missed, max(1, r.N-f.n))
		f.moveToEpoch(r.Epoch, r.N)
	}
	f.reportMissed(missed, r, out)
}

// newerEntries returns the entries after the follower's epoch and the number of
// those that are gone; -1 if the record was lost or went back. Then the number
// of the follower's epoch means nothing.
func (f *Follower) newerEntries(r *Record) (log []engine.Transition, missed int64) {
	if i := r.indexOfEpoch(f.epoch); i >= 0 {
		f.n = r.Log[i].N
		return r.Log[i+1:], 0
	}
	// Numbers alone prove nothing, but together with an epoch that rises they mean that
	// the log has merely moved on, beyond its 16 entries.
	known := f.n > 0 || f.epoch == 0
	if known && len(r.Log) > 0 && r.Log[0].N > f.n && r.Log[0].Epoch > f.max {
		missed = r.Log[0].N - f.n - 1
	} else {
		missed = -1
	}
	f.n = 0
	return r.Log, missed
}

// addMissed adds to a count that may be unknown.
func addMissed(missed, more int64) int64 {
	if missed < 0 {
		return -1
	}
	return missed + more
}

// deliverEntry delivers a transition that the log has.
func (f *Follower) deliverEntry(now time.Duration, t engine.Transition, out *Output) {
	received := false
	if i := f.indexWaiting(t.Epoch); i >= 0 {
		t.Own, t.Err, received = f.waiting[i].Own, f.waiting[i].Err, f.waiting[i].received
		f.waiting = slices.Delete(f.waiting, i, i+1)
	}
	// It was learned by reading. If its event does not follow soon, push is suspect.
	if !received {
		f.addUnheard(missed{epoch: t.Epoch, at: now, since: now - t.Ago})
	}
	f.deliverTransition(t, out)
}

// reportMissed adds an event for n transitions that are not delivered, with the
// state that the record has now: a hook that cannot have them all can act on that.
func (f *Follower) reportMissed(n int64, r Record, out *Output) {
	if n == 0 {
		return
	}
	out.Events = append(out.Events, engine.Event{
		Kind: engine.EventMissed, Missed: n, State: r.State, Mode: r.Mode, Epoch: r.Epoch,
	})
}

// dropWaiting drops the events that the record has shown to be known, and those
// that it shows not to be its own: they arrived before the read was sent, and do
// not follow its result. It returns the number of the latter.
func (f *Follower) dropWaiting() (dropped int) {
	// A script publishes after it has written, so an event that arrived before the read
	// was sent is in the log, or belongs elsewhere. One that came later may not be in it.
	follow := f.waiting
	for _, e := range f.unchained() {
		if !f.isKnown(e.Epoch) && e.order > f.read.arrivals {
			continue
		}
		if !f.isKnown(e.Epoch) {
			dropped++
			f.rememberOwn(e)
		}
		follow = slices.DeleteFunc(follow, func(w event) bool { return w.Epoch == e.Epoch })
	}
	f.waiting = follow
	return dropped
}

// judgePush counts read results that had nothing new although an event made
// them necessary.
func (f *Follower) judgePush(now time.Duration, dropped int, changed bool, out *Output) {
	switch {
	case changed:
		f.push.empty = 0
		return
	case dropped == 0:
		return
	}
	f.push.empty++
	f.push.emptyAt = now
	if f.push.empty < maxEmptyReads {
		return
	}
	// Three reads in a row that an event asked for, and that found nothing: another database
	// or server publishes under this name. Its events are ignored, or this process would read
	// at their rate; polls still find what this record does.
	f.push.empty, f.push.ignoredUntil = 0, now+ignoreFor
	if !f.push.reported {
		f.push.reported = true
		out.Events = append(out.Events, engine.Event{Kind: engine.EventPushLost, Err: ErrOtherEvents})
	}
}
