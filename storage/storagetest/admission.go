package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var admission = []test{
	{"closed_admits", closedAdmits},
	{"first_step_makes_the_record", firstStepMakesRecord},
	{"empty_step_makes_the_record", emptyStepMakesRecord},
	{"trip_is_seen_by_the_other_client_at_once", tripSeenAtOnce},
	{"rejection_says_why_and_for_how_long", rejectionSays},
	{"rejections_share_an_error", rejectionsShareError},
	{"rejection_writes_nothing", rejectionWritesNothing},
}

func closedAdmits(t *env) {
	a, b := t.pair(three)
	ticket := a.admit()
	if !ticket.Counted() || ticket.Lease != 0 {
		t.Fatalf("ticket %+v, want one with an epoch and no lease", ticket)
	}
	t.equal("ticket of the other client", ticket, b.admit())
}

func firstStepMakesRecord(t *env) {
	a, _ := t.pair(three)
	t.equal("exists after Bind", false, t.inspect().Exists)
	ticket := a.admit()
	s := t.inspect()
	t.equal("exists after Acquire", true, s.Exists)
	t.equal("epoch", ticket.Epoch, s.Epoch)
	t.equal("state", engine.StateClosed, s.State)
	t.equal("cause", engine.CauseCreated, t.last().Cause)
}

func emptyStepMakesRecord(t *env) {
	a, _ := t.pair(three)
	r := a.step(engine.Batch{})
	t.equal("cause of the reply's transition", engine.CauseCreated, r.Transition.Cause)
	t.equal("epoch", r.Epoch, t.inspect().Epoch)
}

func tripSeenAtOnce(t *env) {
	a, b := t.pair(three)
	b.admit()
	a.fail(3)
	b.reject()
	a.reject()
	t.equal("cause", engine.CauseConsecutive, t.last().Cause)
}

func rejectionSays(t *env) {
	a, b := t.pair(three)
	a.fail(3)
	e := b.rejection()
	t.is("Acquire", engine.ErrRejected, e)
	t.equal("name", name, e.Name)
	t.equal("reason", engine.ReasonOpen, e.Reason)
	t.equal("state", engine.StateOpen, e.State)
	t.equal("mode", engine.ModeAuto, e.Mode)
	t.between("RetryAfter", 0, time.Hour, e.RetryAfter())
}

// rejectionsShareError looks at many: two that are told different times, because
// one reply was slow to arrive, may differ.
func rejectionsShareError(t *env) {
	a, _ := t.pair(three)
	a.fail(3)
	last := a.rejection()
	for range 100 {
		e := a.rejection()
		if e == last {
			return
		}
		last = e
	}
	t.Fatal("of 100 rejections no two in a row were the same error")
}

func rejectionWritesNothing(t *env) {
	a, b := t.pair(three)
	a.fail(3)
	before := t.inspect()
	for range 5 {
		a.reject()
		b.reject()
	}
	t.equal("record", untimed(before), untimed(t.inspect()))
}
