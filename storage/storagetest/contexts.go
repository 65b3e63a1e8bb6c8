package storagetest

import (
	"context"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var contexts = []test{
	{"done_before_the_call", doneBefore},
	{"past_its_deadline", pastDeadline},
	{"report_outlives_its_context", reportDetached},
}

func doneBefore(t *env) {
	a, _ := t.pair(three)
	ctx := t.cancelled()
	_, err := a.Acquire(ctx)
	t.is("Acquire", context.Canceled, err)
	_, err = a.Step(ctx, engine.Batch{Admissions: 1})
	t.is("Step", context.Canceled, err)
	_, err = a.Control(ctx, engine.Command{Action: engine.ActionTrip})
	t.is("Control", context.Canceled, err)
	_, err = t.A.Control(ctx, name, engine.Command{Action: engine.ActionTrip})
	t.is("Control by name", context.Canceled, err)
	_, err = t.A.Inspect(ctx, name)
	t.is("Inspect", context.Canceled, err)
	t.equal("exists", false, t.inspect().Exists)
}

func pastDeadline(t *env) {
	a, _ := t.pair(three)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := a.Acquire(ctx)
	t.is("Acquire", context.DeadlineExceeded, err)
	t.equal("exists", false, t.inspect().Exists)
}

// reportDetached: the call is over, and what it cost must not be lost because
// its caller has left.
func reportDetached(t *env) {
	a, _ := t.pair(three)
	stale, err := a.Report(t.cancelled(), a.admit(), engine.Failure, 0, nil)
	if stale || err != nil {
		t.Fatalf("Report: stale %v, error %v", stale, err)
	}
	t.equal("streak", int64(1), t.inspect().Streak)
}
