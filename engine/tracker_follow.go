package engine

import "time"

// A storage that follows records delivers the transitions of all processes, in the
// order of the record's log. Replies come in another order, and some of them are
// older than what was delivered. So such a storage gives replies to the Follow
// methods, which raise no event of a transition, and raises those itself.

// OwnTransitions returns the transition that the step of the batch made, with the
// error of its outcomes; none if it made none.
func (r *Reply) OwnTransitions(b Batch) []Transition {
	move := r.Transition
	if move.Cause == "" {
		return nil
	}
	if move.Cause.isByOutcome() {
		move.Err = b.Detail.Err
	}
	return []Transition{move}
}

// FollowReply is [Tracker.ApplyReply] without the event of the transition. A reply
// that is not current, because something newer is known, leaves the status as it
// is.
func (t *Tracker) FollowReply(b Batch, r Reply, asked int64, current bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.observeReplyLocked(b, r, asked)
	t.emitSkew(r.Policy)
	t.emitOverdue(&r)
	t.emitIgnored(b.Results)
	if !current {
		return
	}
	now := t.nowNS()
	if r.Transition.Cause == CauseCreated {
		t.emitLostLocked(r.Epoch, now)
	}
	t.followLocked(knownFromReply(&r), now, len(b.Results) > 0, r.Transition, r.Transition.Cause == "")
}

// FollowCommand is [Tracker.ApplyCommand] without the events of the transitions.
func (t *Tracker) FollowCommand(s Snapshot, moves []Transition, current bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.observeLocked(Observation{})
	if !s.Exists || !current {
		return
	}
	now := t.nowNS()
	if createsRecord(moves) {
		t.emitLostLocked(s.Epoch, now)
	}
	var last Transition
	if len(moves) > 0 {
		last = moves[len(moves)-1]
	}
	t.followLocked(knownFromSnapshot(&s), now, len(moves) > 0, last, len(moves) == 0)
}

// FollowTransition makes the status follow a transition of which an event arrived, move.Ago
// before now. The event carries no time that is left, so what the transition began is
// taken to begin when the event arrived.
func (t *Tracker) FollowTransition(move Transition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := knownState{state: move.To, mode: move.ToMode, epoch: move.Epoch}
	length := CeilMillis(move.For)
	if length > 0 { // at least 1 ms, because 0 is a time without an end
		length = max(1, length-move.Ago.Milliseconds())
	}
	now := t.nowNS()
	switch {
	case move.beginsMode():
		k.modeLeftMS = length
	case move.keepsMode() && t.last.epoch == move.Was:
		k.modeLeftMS = t.modeLeftMSLocked(now)
	}
	switch {
	case move.ToMode == ModeForcedOpen:
		k.leftMS = k.modeLeftMS
	case move.To == StateOpen && !move.beginsMode():
		k.leftMS = length
	}
	move.Ago = 0 // that of a snapshot
	t.observeEpochLocked(k.epoch)
	t.followLocked(k, now, false, move, true)
}

// beginsMode reports whether a mode begins with the transition, possibly the same one again.
// In a forced mode no open period begins, so a length is the mode's.
func (t *Transition) beginsMode() bool {
	isForced := t.ToMode == ModeForcedOpen || t.ToMode == ModeForcedClosed
	return t.ToMode != ModeAuto && (t.ToMode != t.FromMode || isForced && t.For > 0)
}

// keepsMode reports whether a mode goes on for certain. A command that keeps the state may
// have begun the mode again, without an end.
func (t *Transition) keepsMode() bool {
	return t.ToMode != ModeAuto && t.ToMode == t.FromMode && (t.Cause != CauseOperator || t.From != t.To)
}

// modeLeftMSLocked returns how long the last known mode still lasts, at least 1 ms; 0 if it has
// no end.
func (t *Tracker) modeLeftMSLocked(now int64) int64 {
	if t.last.modeLeftMS == 0 {
		return 0
	}
	return max(1, t.last.modeLeftMS-(now-t.learnedNS)/int64(time.Millisecond))
}

// FollowRecord makes the status follow a record that was read just now: its state,
// mode and epoch, and how long the open period and the mode still last.
func (t *Tracker) FollowRecord(s State, m Mode, epoch int64, left, modeLeft time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := knownState{state: s, mode: m, epoch: epoch, leftMS: CeilMillis(left), modeLeftMS: CeilMillis(modeLeft)}
	t.observeEpochLocked(k.epoch)
	t.followLocked(k, t.nowNS(), false, Transition{}, true)
}

// followLocked records the state that is known now, and the transition that led to
// it, if known. For an epoch that no own step began it raises EventStatus.
func (t *Tracker) followLocked(k knownState, now int64, renews bool, move Transition, foreign bool) {
	before, known := t.last, t.learnedNS != 0
	if move.Cause != "" {
		move.Name = t.name
	}
	t.learnLocked(k, now, renews)
	t.noteOpenedLocked(before, move)
	if foreign && before.epoch != k.epoch {
		t.emitStatus(known, k.state, k.mode)
	}
}

// Raise hands an event of the followed record to the sink, under the handle's name.
func (t *Tracker) Raise(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Name = t.name
	if e.Transition.Cause != "" {
		e.Transition.Name = t.name
	}
	t.sink(e)
}
