package storagetest

import (
	"context"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var contexts = []test{
	{"done_before_the_call", doneBefore},
	{"past_its_deadline", pastDeadline},
	{"report_ignores_cancellation", reportDetached},
}

func doneBefore(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ctx := t.cancelled()
	_, err := a.Acquire(ctx)
	t.checkError("Acquire", context.Canceled, err)
	_, err = a.Step(ctx, engine.Batch{Admissions: 1})
	t.checkError("Step", context.Canceled, err)
	_, err = a.Control(ctx, engine.Command{Action: engine.ActionTrip})
	t.checkError("Control", context.Canceled, err)
	_, err = t.A.Control(ctx, name, engine.Command{Action: engine.ActionTrip})
	t.checkError("Control by name", context.Canceled, err)
	_, err = t.A.Inspect(ctx, name)
	t.checkError("Inspect", context.Canceled, err)
	t.checkEqual("exists", false, t.inspect().Exists)
}

func pastDeadline(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := a.Acquire(ctx)
	t.checkError("Acquire", context.DeadlineExceeded, err)
	t.checkEqual("exists", false, t.inspect().Exists)
}

// reportDetached: the outcome of a call counts though its context is done.
func reportDetached(t *testEnv) {
	a, _ := t.pair(threeFailures)
	stale, err := a.Report(t.cancelled(), a.admit(), engine.Failure, 0, nil)
	if stale || err != nil {
		t.Fatalf("Report: stale %v, error %v", stale, err)
	}
	t.checkEqual("streak", int64(1), t.inspect().Streak)
}
