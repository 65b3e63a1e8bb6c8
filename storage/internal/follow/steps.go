package follow

import (
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// stepID numbers the own steps of a follower, from 1.
type stepID uint64

// steps are the own steps in flight. The event of an own step may arrive before
// its reply: deliveries wait for the steps that were in flight, because only the
// reply says that a transition is own.
type steps struct {
	newest stepID
	flying []step // in the order in which they began
}

type step struct {
	id    stepID
	began time.Duration
}

// hasStepUpTo reports whether a step that began up to id is in flight.
func (s *steps) hasStepUpTo(id stepID) bool { return len(s.flying) > 0 && s.flying[0].id <= id }

// StepID identifies an own step between BeginStep and its end.
type StepID = stepID

// BeginStep registers an own step that is about to be sent.
func (f *Follower) BeginStep(now time.Duration) StepID {
	f.unsettle()
	f.steps.newest++
	f.steps.flying = append(f.steps.flying, step{f.steps.newest, now})
	return f.steps.newest
}

// EndStep ends a step without a reply. If it made a transition nevertheless,
// that is delivered as one of another process.
func (f *Follower) EndStep(now time.Duration, id StepID, out *Output) {
	f.unsettle()
	f.endStep(id)
	f.deliverHeld(now, out)
}

// endStep forgets a step and returns when it began; 0 if it is not known.
func (f *Follower) endStep(id stepID) (began time.Duration) {
	i := slices.IndexFunc(f.steps.flying, func(s step) bool { return s.id == id })
	if i < 0 {
		return 0
	}
	began = f.steps.flying[i].began
	f.steps.flying = slices.Delete(f.steps.flying, i, i+1)
	return began
}

// deliverHeld delivers what own steps held back.
func (f *Follower) deliverHeld(now time.Duration, out *Output) {
	f.deliverNext(now, out)
	// Events come first: those that chain need no reading, and the result is then known.
	if r := f.read.held; r != nil && !f.steps.hasStepUpTo(r.behind) {
		f.read.held = nil
		f.applyRecord(now, r.record, out)
	}
}

// Reply ends a step with its reply: the record's epoch after it, and the
// transitions that it made. current reports whether the reply may change Status
// and views: a reply that other events have overtaken does not.
func (f *Follower) Reply(now time.Duration, id StepID, epoch int64, own []engine.Transition, unpublished bool, out *Output) (current bool) {
	f.unsettle()
	began := f.endStep(id)
	// An own transition is delivered even if nothing was known before: without a watch
	// it would be, too.
	// The baseline is the epoch before the first own transition, so that the transition
	// itself chains and is delivered.
	if len(own) > 0 && !f.based {
		f.moveToEpoch(own[0].Was, max(0, own[0].N-1))
	}
	for _, t := range own {
		t.Own = true
		f.addOwn(now, began, t, !unpublished, out)
	}
	if !f.based {
		f.moveToEpoch(epoch, 0)
	}
	f.deliverNext(now, out)
	current = f.isCurrent(began, epoch)
	if current {
		f.status, f.statusAt = epoch, now
		if len(own) > 0 {
			out.Status = engine.Transition{} // the reply says more: the times that are left, and the ramp
		}
	}
	// A reply whose epoch is neither known nor waiting comes from a step of another
	// process that this one has not received the event of, or from a failover.
	switch {
	case epoch == f.epoch:
		f.heardAt, f.confirmedAt = now, now
	case !f.isKnown(epoch) && f.indexWaiting(epoch) < 0:
		f.wantRead(now + Grace)
	}
	f.deliverHeld(now, out)
	return current
}

// addOwn adds a transition that a reply carries, or marks its event as own.
func (f *Follower) addOwn(now, began time.Duration, t engine.Transition, published bool, out *Output) {
	if f.isKnown(t.Epoch) {
		if f.atStart && t.Epoch == f.epoch {
			f.atStart = false // another reply was faster, and had no transition to deliver
			f.deliverTransition(t, out)
		}
		return
	}
	if i := f.indexWaiting(t.Epoch); i >= 0 {
		f.waiting[i].Transition, f.waiting[i].behind = t, 0 // it is own, and has the error
		return
	}
	if published {
		f.addUnheard(missed{epoch: t.Epoch, at: now, since: began})
	}
	f.addWaiting(event{Transition: t, at: now})
}

// isCurrent reports whether a reply is not older than what Status shows.
func (f *Follower) isCurrent(began time.Duration, epoch int64) bool {
	if epoch != f.epoch && slices.Contains(f.visited, epoch) {
		return false
	}
	// An epoch below the one that is shown counts only if the step began after that arrived:
	// then the record has gone back, else the reply was overtaken on its way.
	return epoch >= f.status || began > f.statusAt
}
