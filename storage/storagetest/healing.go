package storagetest

import (
	"errors"
	"slices"

	"github.com/redbreaker/redbreaker/engine"
)

var healing = []test{
	{"lost_record_begins_anew", lostBegins},
	{"unreadable_head", unreadableHead},
	{"unreadable_tally", unreadableTally},
	{"unreadable_round", unreadableRound},
	{"unreadable_log_entry", unreadableLog},
	{"mode_survives", modeSurvives},
	{"unknown_field_is_no_fault", unknownField},
	{"newer_layout_is_refused", newerLayout},
}

func lostBegins(t *env) {
	t.needs("Lose", t.Lose != nil)
	a, b := t.pair(three)
	a.fail(3)
	t.Lose(name)
	t.nextEpochs()
	t.equal("exists", false, t.inspect().Exists)
	b.admit()
	a.admit()
	t.equal("transitions", 1, len(t.inspect().Log))
}

// heals checks that the record began anew, and kept its log.
func (t *env) heals(old engine.Snapshot) {
	t.Helper()
	s := t.inspect()
	t.equal("state", engine.StateClosed, s.State)
	t.equal("cause", engine.CauseHealed, t.last().Cause)
	t.equal("transitions", len(old.Log)+1, len(s.Log))
	t.equal("unreadable", []string(nil), s.Unreadable)
	if s.Epoch == old.Epoch {
		t.Fatalf("the epoch is still %d", s.Epoch)
	}
}

func unreadableHead(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, b := t.pair(three)
	late := a.admit()
	a.fail(2)
	old := t.inspect()
	t.Corrupt(name, "head", "?")
	t.nextEpochs()
	if unreadable := t.inspect().Unreadable; !slices.Contains(unreadable, "head") {
		t.Fatalf("unreadable: %v, want head among it", unreadable)
	}
	b.admit()
	t.heals(old)
	a.stale(late, engine.Failure)
}

// unreadableTally: an admission does not read it, an outcome does.
func unreadableTally(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(three)
	a.fail(1)
	old := t.inspect()
	t.Corrupt(name, "tally", "streak=1")
	ticket := a.admit()
	t.equal("epoch", old.Epoch, ticket.Epoch)
	a.stale(ticket, engine.Failure)
	t.heals(old)
}

func unreadableRound(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, b := t.probing(1, 1)
	a.admit()
	old := t.inspect()
	t.Corrupt(name, "round", "probes=1")
	b.admit()
	t.heals(old)
}

func unreadableLog(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(three)
	a.act(engine.ActionReset)
	t.Corrupt(name, "log:00", "what?")
	a.act(engine.ActionReset)
	t.equal("transitions that can be read", 1, len(t.inspect().Log))
	t.equal("cause", engine.CauseOperator, t.last().Cause)
}

// modeSurvives: what an operator said holds although the machine forgot.
func modeSurvives(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, b := t.pair(three)
	a.act(engine.ActionForceOpen)
	t.Corrupt(name, "head", "1 open forced_open what?")
	t.equal("reason", engine.ReasonForced, b.rejection().Reason)
	t.equal("cause", engine.CauseHealed, t.last().Cause)
}

// unknownField: a later release may add fields without a new layout.
func unknownField(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(three)
	a.fail(1)
	t.Corrupt(name, "later", "field of a later release")
	a.fail(2)
	t.equal("cause", engine.CauseConsecutive, t.last().Cause)
}

func newerLayout(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(three)
	a.admit()
	t.Corrupt(name, "head", "99 whatever comes then")
	for range 2 { // refusing changes nothing
		_, err := a.Acquire(t.Context())
		t.refused("Acquire", err)
		_, err = a.Control(t.Context(), engine.Command{Action: engine.ActionReset})
		t.refused("Control", err)
		_, err = t.B.Inspect(t.Context(), name)
		t.refused("Inspect", err)
	}
}

func (t *env) refused(what string, err error) {
	t.Helper()
	t.is(what, engine.ErrNewerLayout, err)
	var e *engine.StorageError
	if !errors.As(err, &e) || e.Class != engine.ClassForeign {
		t.Fatalf("%s: error %#v, want a *StorageError of class %v", what, err, engine.ClassForeign)
	}
	t.equal("name", name, e.Name)
}
