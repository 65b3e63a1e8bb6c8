package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var admission = []test{
	{"closed_admits", closedAdmits},
	{"first_step_creates_the_record", firstStepCreatesRecord},
	{"empty_step_creates_the_record", emptyStepCreatesRecord},
	{"other_client_sees_a_trip_at_once", tripSeenAtOnce},
	{"rejection_has_reason_and_retry_after", rejectionDetails},
	{"rejections_share_an_error", rejectionsShareError},
	{"rejection_writes_nothing", rejectionWritesNothing},
}

func closedAdmits(t *testEnv) {
	a, b := t.pair(threeFailures)
	ticket := a.admit()
	if !ticket.Counted() || ticket.Lease != 0 {
		t.Fatalf("ticket %+v, want one with an epoch and no lease", ticket)
	}
	t.checkEqual("ticket of the other client", ticket, b.admit())
}

func firstStepCreatesRecord(t *testEnv) {
	a, _ := t.pair(threeFailures)
	t.checkEqual("exists after Bind", false, t.inspect().Exists)
	ticket := a.admit()
	s := t.inspect()
	t.checkEqual("exists after Acquire", true, s.Exists)
	t.checkEqual("epoch", ticket.Epoch, s.Epoch)
	t.checkEqual("state", engine.StateClosed, s.State)
	t.checkEqual("cause", engine.CauseCreated, t.lastTransition().Cause)
}

func emptyStepCreatesRecord(t *testEnv) {
	a, _ := t.pair(threeFailures)
	r := a.step(engine.Batch{})
	t.checkEqual("cause of the reply's transition", engine.CauseCreated, r.Transition.Cause)
	t.checkEqual("epoch", r.Epoch, t.inspect().Epoch)
}

func tripSeenAtOnce(t *testEnv) {
	a, b := t.pair(threeFailures)
	b.admit()
	a.fail(3)
	b.reject()
	a.reject()
	t.checkEqual("cause", engine.CauseConsecutive, t.lastTransition().Cause)
}

func rejectionDetails(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(3)
	e := b.rejection()
	t.checkError("Acquire", engine.ErrRejected, e)
	t.checkEqual("name", name, e.Name)
	t.checkEqual("reason", engine.ReasonOpen, e.Reason)
	t.checkEqual("state", engine.StateOpen, e.State)
	t.checkEqual("mode", engine.ModeAuto, e.Mode)
	t.checkBetween("RetryAfter", 0, time.Hour, e.RetryAfter())
}

// rejectionsShareError compares many rejections: two may differ if one reply was slow
// to arrive.
func rejectionsShareError(t *testEnv) {
	a, _ := t.pair(threeFailures)
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

func rejectionWritesNothing(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(3)
	before := t.inspect()
	for range 5 {
		a.reject()
		b.reject()
	}
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}
