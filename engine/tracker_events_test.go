package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// EventStatus is raised for an epoch that this process did not begin, once.
func TestTracker_statusEvent(t *testing.T) {
	w := watch(t, engine.Policy{})
	check := func(what, want string) {
		t.Helper()
		if got := kinds(w.taken()); got != want {
			t.Errorf("%s: events %q, want %q", what, got, want)
		}
	}
	w.ApplyReply(engine.Batch{}, w.reply(1, ""), 1)
	check("closed, the first reply", "")
	open := w.reply(2, "")
	open.State = engine.StateOpen
	w.ApplyReply(engine.Batch{}, open, 1)
	check("opened by another process", "status ")
	w.ApplyReply(engine.Batch{}, open, 1)
	check("still open", "")
	w.ApplyReply(engine.Batch{}, w.reply(3, engine.CauseRecovered), 1)
	check("closed by this process", "transition ")
	w.ApplyCommand(engine.Snapshot{Exists: true, Epoch: 4, Mode: engine.ModeShadow}, nil)
	check("a command that did nothing, after another's", "status ")

	w = watch(t, engine.Policy{})
	w.ApplyReply(engine.Batch{}, open, 1)
	check("open, the first reply", "status ")
}

// The rejections of an open period, and of the round after it, carry the
// transition that opened the circuit, if this process knows it.
func TestTracker_opened(t *testing.T) {
	errDown := errors.New("down")
	step := func(w *watched, b engine.Batch, r engine.Reply) *engine.Transition {
		t.Helper()
		w.ApplyReply(b, r, 1)
		_, err := w.Decision(&r, 0)
		var rejected *engine.RejectedError
		if !errors.As(err, &rejected) {
			t.Fatalf("decision %v, want a rejection", err)
		}
		if rejected.Unwrap() != nil {
			t.Errorf("the rejection wraps %v", rejected.Unwrap())
		}
		return rejected.Opened
	}
	opens := func(w *watched, epoch int64) engine.Reply {
		r := w.reply(epoch, engine.CauseConsecutive)
		r.State, r.Transition.To = engine.StateOpen, engine.StateOpen
		return r
	}
	halfOpens := func(w *watched, epoch, was int64) engine.Reply {
		r := w.reply(epoch, engine.CauseElapsed)
		r.State, r.Transition.From, r.Transition.To, r.Transition.Was = engine.StateHalfOpen, engine.StateOpen, engine.StateHalfOpen, was
		return r
	}
	failed := reports
	failed.Detail.Err = errDown

	w := watch(t, engine.Policy{})
	opened := step(w, failed, opens(w, 2))
	if opened == nil || opened.Epoch != 2 || opened.Name != "payments" || !errors.Is(opened.Err, errDown) {
		t.Fatalf("after its own trip: %+v", opened)
	}
	if e := w.taken(); !errors.Is(e[len(e)-1].Transition.Err, errDown) {
		t.Errorf("the event's transition has the error %v", e[len(e)-1].Transition.Err)
	}
	later := w.reply(2, "")
	later.State = engine.StateOpen
	if got := step(w, engine.Batch{}, later); got != opened {
		t.Errorf("later in the period: %+v", got)
	}
	if got := step(w, engine.Batch{}, halfOpens(w, 3, 2)); got != opened {
		t.Errorf("in the round after it: %+v", got)
	}

	// Another process has opened the circuit since.
	other := w.reply(5, "")
	other.State = engine.StateOpen
	if got := step(w, engine.Batch{}, other); got != nil {
		t.Errorf("in another process's period: %+v", got)
	}

	// Its own step ends an open period, but not the one that it knows.
	w = watch(t, engine.Policy{})
	step(w, failed, opens(w, 2))
	if got := step(w, engine.Batch{}, halfOpens(w, 7, 6)); got != nil {
		t.Errorf("in the round after another process's period: %+v", got)
	}

	// Half-open, but by another process: maybe after another open period.
	w = watch(t, engine.Policy{})
	step(w, failed, opens(w, 2))
	r := w.reply(9, "")
	r.State = engine.StateHalfOpen
	if got := step(w, engine.Batch{}, r); got != nil {
		t.Errorf("in another process's round: %+v", got)
	}

	// An operator's trip has no error.
	w = watch(t, engine.Policy{})
	move := engine.Transition{Epoch: 4, To: engine.StateOpen, Cause: engine.CauseOperator, By: "ann"}
	w.ApplyCommand(engine.Snapshot{Exists: true, Epoch: 4, State: engine.StateOpen, RetryAfter: time.Minute}, []engine.Transition{move})
	r = w.reply(4, "")
	r.State = engine.StateOpen
	if got := step(w, engine.Batch{}, r); got == nil || got.By != "ann" || got.Err != nil {
		t.Errorf("after a command: %+v", got)
	}
}

// In memory all handles know all transitions.
func TestMemory_opened(t *testing.T) {
	m, now := memory(t)
	p := engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Second}
	a, b := bind(t, m, p, nil), bind(t, m, p, nil)
	rejection := func(h engine.Handle) *engine.RejectedError {
		t.Helper()
		_, err := h.Acquire(t.Context())
		var rejected *engine.RejectedError
		if !errors.As(err, &rejected) {
			t.Fatalf("Acquire: %v, want a rejection", err)
		}
		return rejected
	}
	errDown := errors.New("down")
	ticket, err := a.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = a.Report(t.Context(), ticket, engine.Failure, 0, &engine.Detail{Text: "down", Err: errDown}); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]engine.Handle{"A": a, "B": b} {
		if o := rejection(h).Opened; o == nil || o.Cause != engine.CauseConsecutive || o.Name == "" || !errors.Is(o.Err, errDown) {
			t.Errorf("open, handle %s: opened by %+v", name, o)
		}
	}
	now.Add(int64(time.Second))
	if _, err := b.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := rejection(a); r.Reason != engine.ReasonProbing || r.Opened == nil || r.Opened.Cause != engine.CauseConsecutive {
		t.Errorf("half-open: %+v, opened by %+v", r, r.Opened)
	}
	if _, err := m.Control(t.Context(), "payments", engine.Command{Action: engine.ActionTrip, Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	if o := rejection(a).Opened; o == nil || o.By != "ann" || o.Err != nil {
		t.Errorf("tripped by name: opened by %+v", o)
	}
	if _, err := a.Control(t.Context(), engine.Command{Action: engine.ActionForceOpen}); err != nil {
		t.Fatal(err)
	}
	if r := rejection(a); r.Reason != engine.ReasonForced || r.Opened != nil {
		t.Errorf("forced open: %+v, opened by %+v", r, r.Opened)
	}
}

func TestEvent_String(t *testing.T) {
	opened := engine.Transition{To: engine.StateOpen, Cause: engine.CauseConsecutive}
	for want, e := range map[string]engine.Event{
		"transition dep: closed > open (consecutive)": {Kind: engine.EventTransition, Name: "dep", Transition: opened},
		"degraded dep: no route":                      {Kind: engine.EventDegraded, Name: "dep", Err: errors.New("no route")},
		"restored dep after 2s, the fallback admitted 9 calls, rejected 3 and got 8 results": {
			Kind: engine.EventRestored, Name: "dep", Outage: 2 * time.Second, Admitted: 9, Rejected: 3, Outcomes: 8},
		"lost dep, epoch 7":                                        {Kind: engine.EventLost, Name: "dep", Epoch: 7},
		"skew dep, another policy is 465d2a6c":                     {Kind: engine.EventSkew, Name: "dep", Policy: "465d2a6c"},
		"probe_overdue dep, took 3s or more of a lease of 1s":      {Kind: engine.EventProbeOverdue, Name: "dep", Took: 3 * time.Second, Lease: time.Second},
		"dropped dep, 4 events":                                    {Kind: engine.EventDropped, Name: "dep", Dropped: 4},
		"missed dep, 5 transitions, now open/shadow":               {Kind: engine.EventMissed, Name: "dep", Missed: 5, State: engine.StateOpen, Mode: engine.ModeShadow},
		"missed dep, an unknown number of transitions, now closed": {Kind: engine.EventMissed, Name: "dep", Missed: -1},
		"ready": {Kind: engine.EventReady},
	} {
		if got := e.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTransition_tallies(t *testing.T) {
	for tally, want := range map[string]engine.Tallies{
		"":                                    {},
		"streak=5 calls=12 failures=7 slow=1": {Streak: 5, Calls: 12, Failures: 7, Slow: 1},
		"succeeded=1 failed=2 lapsed=3":       {Succeeded: 1, Failed: 2, Lapsed: 3},
		"streak=x later=9 slow= =3 calls=2":   {Calls: 2},
	} {
		if diff := cmp.Diff(want, engine.Transition{Tally: tally}.Tallies()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tally, diff)
		}
	}
}

// Tallies reads the tallies that the machine writes.
func TestTransition_talliesOfTheMachine(t *testing.T) {
	m, _ := memory(t)
	var moves []engine.Transition
	h := bind(t, m, engine.Policy{ConsecutiveFailures: 2, Window: engine.Window{Calls: 10, FailureCount: 9}}, func(e engine.Event) { moves = append(moves, e.Transition) })
	fail(t, h)
	fail(t, h)
	if last := moves[len(moves)-1]; last.Tallies() != (engine.Tallies{Streak: 2, Calls: 2, Failures: 2}) {
		t.Errorf("%q reads as %+v", last.Tally, last.Tallies())
	}
}

// Ten probes of a round that were ignored in a row raise an event, once a round. A result
// that counts begins the row again; results that are not of probes do not matter.
func TestTracker_probesIgnored(t *testing.T) {
	w := watch(t, engine.Policy{})
	half := w.reply(2, "")
	half.State = engine.StateHalfOpen
	w.ApplyReply(engine.Batch{}, half, 1)
	w.taken()
	end := func(epoch, lease int64, o engine.Outcome, n int64) string {
		half.Epoch = epoch
		w.ApplyReply(engine.Batch{Results: []engine.Result{{
			Ticket: engine.Ticket{Epoch: epoch, Lease: lease}, Runs: []engine.Run{{Outcome: o, N: n}},
		}}}, half, 1)
		return strings.ReplaceAll(kinds(w.taken()), "status ", "")
	}
	for i, step := range []struct {
		epoch, lease int64
		outcome      engine.Outcome
		n            int64
		want         string
	}{
		{2, 0, engine.Ignored, 50, ""},
		{2, 1, engine.Ignored, 9, ""},
		{2, 2, engine.Success, 1, ""},
		{2, 3, engine.Ignored, 9, ""},
		{2, 4, engine.Ignored, 1, "probes_ignored "},
		{2, 5, engine.Success, 1, ""},
		{2, 6, engine.Ignored, 30, ""},
		{3, 1, engine.Ignored, 9, ""},
		{4, 1, engine.Ignored, 9, ""},
		{4, 2, engine.Ignored, 9, "probes_ignored "},
	} {
		if got := end(step.epoch, step.lease, step.outcome, step.n); got != step.want {
			t.Errorf("step %d: events %q, want %q", i, got, step.want)
		}
	}
}

// What an event began is counted from its arrival, also if the status follows it later. Zero
// would be a time without an end.
func TestTracker_followLateTransition(t *testing.T) {
	opens := engine.Transition{Was: 1, Epoch: 2, To: engine.StateOpen, Cause: engine.CauseConsecutive, For: time.Minute}
	forces := engine.Transition{Was: 1, Epoch: 2, ToMode: engine.ModeForcedOpen, Cause: engine.CauseOperator, For: time.Minute}
	for _, tt := range []struct {
		move engine.Transition
		ago  time.Duration
		want engine.Status
	}{
		{opens, 0, engine.Status{State: engine.StateOpen, RetryAfter: time.Minute}},
		{opens, time.Second, engine.Status{State: engine.StateOpen, RetryAfter: 59 * time.Second}},
		{forces, time.Second, engine.Status{Mode: engine.ModeForcedOpen, RetryAfter: 59 * time.Second, ModeFor: 59 * time.Second}},
		{forces, time.Hour, engine.Status{Mode: engine.ModeForcedOpen, RetryAfter: time.Millisecond, ModeFor: time.Millisecond}},
	} {
		w := watch(t, engine.Policy{})
		tt.move.Ago = tt.ago
		w.FollowTransition(tt.move)
		if diff := cmp.Diff(tt.want, w.Status()); diff != "" {
			t.Errorf("%v, %v ago (-want +got):\n%s", tt.move, tt.ago, diff)
		}
	}
}

// A transition within a mode leaves the end of the mode as it is, and a mode that begins again
// has its own.
func TestTracker_followTransitionInMode(t *testing.T) {
	inMode := func(m engine.Mode, from, to engine.State, c engine.Cause, length time.Duration) engine.Transition {
		return engine.Transition{Was: 1, Epoch: 2, FromMode: m, ToMode: m, From: from, To: to, Cause: c, For: length}
	}
	const left = 9 * time.Minute // of the mode when the transition arrives
	for what, tt := range map[string]struct {
		move engine.Transition
		want engine.Status
	}{
		"opens":                 {inMode(engine.ModeShadow, engine.StateClosed, engine.StateOpen, engine.CauseConsecutive, time.Hour), engine.Status{State: engine.StateOpen, Mode: engine.ModeShadow, ModeFor: left}},
		"probes":                {inMode(engine.ModeShadow, engine.StateOpen, engine.StateHalfOpen, engine.CauseElapsed, 0), engine.Status{State: engine.StateHalfOpen, Mode: engine.ModeShadow, ModeFor: left}},
		"tripped":               {inMode(engine.ModeShadow, engine.StateClosed, engine.StateOpen, engine.CauseOperator, time.Hour), engine.Status{State: engine.StateOpen, Mode: engine.ModeShadow, ModeFor: left}},
		"forced for longer":     {inMode(engine.ModeForcedOpen, engine.StateClosed, engine.StateClosed, engine.CauseOperator, time.Hour), engine.Status{Mode: engine.ModeForcedOpen, RetryAfter: time.Hour, ModeFor: time.Hour}},
		"forced without an end": {inMode(engine.ModeForcedOpen, engine.StateClosed, engine.StateClosed, engine.CauseOperator, 0), engine.Status{Mode: engine.ModeForcedOpen}},
	} {
		t.Run(what, func(t *testing.T) {
			w := watch(t, engine.Policy{})
			w.FollowRecord(tt.move.From, tt.move.FromMode, 1, 0, 10*time.Minute)
			w.now += int64(time.Minute)
			w.FollowTransition(tt.move)
			if diff := cmp.Diff(tt.want, w.Status()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
