package storagetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/redbreaker/redbreaker/engine"
)

var healing = []test{
	{"lost_record_begins_again", lostBegins},
	{"unreadable_head", unreadableHead},
	{"unreadable_tally", unreadableTally},
	{"unreadable_round", unreadableRound},
	{"unreadable_log_entry", unreadableLog},
	{"mode_survives", modeSurvives},
	{"unknown_field_is_no_fault", unknownField},
	{"newer_layout_is_refused", newerLayout},
	{"newer_layout_of_the_tally_is_refused", newerTally},
}

func lostBegins(t *testEnv) {
	t.needs("Lose", t.Lose != nil)
	a, b := t.pair(threeFailures)
	a.fail(3)
	t.Lose(name)
	t.advancePastEpoch()
	t.checkEqual("exists", false, t.inspect().Exists)
	b.admit()
	a.admit()
	t.checkEqual("transitions", 1, len(t.inspect().Log))
}

// checkHealed checks that the record began again and kept its log.
func (t *testEnv) checkHealed(old engine.Snapshot) {
	t.Helper()
	s := t.inspect()
	t.checkEqual("state", engine.StateClosed, s.State)
	t.checkEqual("cause", engine.CauseHealed, t.lastTransition().Cause)
	t.checkEqual("transitions", len(old.Log)+1, len(s.Log))
	t.checkEqual("unreadable", []string(nil), s.Unreadable)
	if s.Epoch == old.Epoch {
		t.Fatalf("the epoch is still %d", s.Epoch)
	}
}

func unreadableHead(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, b := t.pair(threeFailures)
	late := a.admit()
	a.fail(2)
	old := t.inspect()
	t.Corrupt(name, "head", "?")
	t.advancePastEpoch()
	if unreadable := t.inspect().Unreadable; !slices.Contains(unreadable, "head") {
		t.Fatalf("unreadable: %v, want head among it", unreadable)
	}
	b.admit()
	t.checkHealed(old)
	a.reportStale(late, engine.Failure)
}

// unreadableTally: an admission does not read it, an outcome does.
func unreadableTally(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(threeFailures)
	a.fail(1)
	old := t.inspect()
	t.Corrupt(name, "tally", "streak=1")
	ticket := a.admit()
	t.checkEqual("epoch", old.Epoch, ticket.Epoch)
	a.reportStale(ticket, engine.Failure)
	t.checkHealed(old)
}

func unreadableRound(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, b := t.probing(1, 1)
	a.admit()
	old := t.inspect()
	t.Corrupt(name, "round", "probes=1")
	b.admit()
	t.checkHealed(old)
}

func unreadableLog(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(threeFailures)
	a.act(engine.ActionReset)
	t.Corrupt(name, "log:01", "what?")
	a.act(engine.ActionReset)
	t.checkEqual("transitions that can be read", 1, len(t.inspect().Log))
	t.checkEqual("cause", engine.CauseOperator, t.lastTransition().Cause)
}

// modeSurvives: an operator's mode survives a damaged head.
func modeSurvives(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, b := t.pair(threeFailures)
	a.act(engine.ActionForceOpen)
	t.Corrupt(name, "head", "1 open forced_open what?")
	t.checkEqual("reason", engine.ReasonForced, b.rejection().Reason)
	t.checkEqual("cause", engine.CauseHealed, t.lastTransition().Cause)
}

// unknownField: a later release may add fields without a new layout.
func unknownField(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(threeFailures)
	a.fail(1)
	t.Corrupt(name, "later", "field of a later release")
	a.fail(2)
	t.checkEqual("cause", engine.CauseConsecutive, t.lastTransition().Cause)
}

func newerLayout(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(threeFailures)
	a.admit()
	t.Corrupt(name, "head", "99 whatever comes then")
	for range 2 { // refusing changes nothing
		_, err := a.Acquire(t.Context())
		t.checkRefused("Acquire", err)
		_, err = a.Control(t.Context(), engine.Command{Action: engine.ActionReset})
		t.checkRefused("Control", err)
		_, err = t.B.Inspect(t.Context(), name)
		t.checkRefused("Inspect", err)
	}
}

// newerTally: a release that kept the head's form and changed the tally's is not
// written over, not even by a step that reads the tally alone.
func newerTally(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(threeFailures)
	ticket := a.admit()
	t.Corrupt(name, "tally", fmt.Sprintf("2 epoch=%d", ticket.Epoch))
	for _, o := range []engine.Outcome{engine.Success, engine.Failure} {
		_, err := a.Report(t.Context(), ticket, o, 0, nil)
		t.checkRefused("Report", err)
	}
	_, err := t.B.Inspect(t.Context(), name)
	t.checkRefused("Inspect", err)
}

func (t *testEnv) checkRefused(what string, err error) {
	t.Helper()
	t.checkError(what, engine.ErrNewerLayout, err)
	var e *engine.StorageError
	if !errors.As(err, &e) || e.Class != engine.ClassForeign {
		t.Fatalf("%s: error %#v, want a *StorageError of class %v", what, err, engine.ClassForeign)
	}
	t.checkEqual("name", name, e.Name)
}
