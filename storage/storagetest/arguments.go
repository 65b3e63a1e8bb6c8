package storagetest

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var arguments = []test{
	{"empty_name", emptyName},
	{"policies", badPolicies},
	{"commands", badCommands},
	{"batches", badBatches},
	{"reports", badReports},
	{"no_sink", noSink},
}

func emptyName(t *testEnv) {
	_, err := t.A.Bind("", threeFailures, nil)
	t.checkError("Bind", engine.ErrInvalid, err)
	_, err = t.A.Inspect(t.Context(), "")
	t.checkError("Inspect", engine.ErrInvalid, err)
	_, err = t.A.Control(t.Context(), "", engine.Command{Action: engine.ActionTrip})
	t.checkError("Control", engine.ErrInvalid, err)
}

func badPolicies(t *testEnv) {
	for _, p := range []engine.Policy{
		{ConsecutiveFailures: -1},
		{OpenFor: -time.Second},
		{OpenFor: 2 * engine.MaxDuration},
		{Window: engine.Window{Calls: 10}},
		{Window: engine.Window{FailureRate: 0.5}},
		{Window: engine.Window{Calls: 10, FailureRate: 50}},
		{HalfOpen: engine.HalfOpen{Probes: 1, Successes: 2}},
		{MinReporters: engine.MaxReporters + 1},
	} {
		_, err := t.A.Bind(name, p, nil)
		t.checkError("Bind", engine.ErrInvalid, err)
	}
}

func badCommands(t *testEnv) {
	a, _ := t.pair(threeFailures)
	for _, c := range []engine.Command{
		{},
		{Action: engine.ActionRelease + 1},
		{Action: engine.ActionTrip, For: -1},
		{Action: engine.ActionTrip, For: 2 * engine.MaxDuration},
		{Action: engine.ActionReset, For: time.Second},
		{Action: engine.ActionReset, IfEpoch: -2},
	} {
		_, err := a.Control(t.Context(), c)
		t.checkError("Control", engine.ErrInvalid, err)
		_, err = t.A.Control(t.Context(), name, c)
		t.checkError("Control by name", engine.ErrInvalid, err)
	}
	t.checkEqual("exists", false, t.inspect().Exists)
}

func badBatches(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ticket := a.admit()
	before := t.inspect()
	for _, b := range []engine.Batch{
		{Admissions: -1},
		{Admissions: engine.MaxBatch + 1},
		results(ticket),
		results(ticket, engine.Run{Outcome: engine.Failure}),
		results(ticket, engine.Run{N: 1}),
		results(ticket, engine.Run{Outcome: engine.TripNow + 1, N: 1}),
		results(ticket, engine.Run{Outcome: engine.Failure, N: engine.MaxBatch}, engine.Run{Outcome: engine.Failure, N: 1}),
		results(engine.Ticket{}, engine.Run{Outcome: engine.Failure, N: 1}),
		results(engine.Ticket{Epoch: ticket.Epoch, Lease: -1}, engine.Run{Outcome: engine.Failure, N: 1}),
		{Detail: engine.Detail{OpenFor: -1}},
	} {
		_, err := a.Step(t.Context(), b)
		t.checkError("Step", engine.ErrInvalid, err)
	}
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func badReports(t *testEnv) {
	a, _ := t.pair(threeFailures)
	ticket := a.admit()
	before := t.inspect()
	for _, r := range []struct {
		engine.Ticket
		engine.Outcome
		*engine.Detail
	}{
		{ticket, 0, nil},
		{ticket, engine.TripNow + 1, nil},
		{engine.Ticket{Epoch: -1}, engine.Failure, nil},
		{engine.Ticket{Epoch: ticket.Epoch, Lease: -1}, engine.Failure, nil},
		{ticket, engine.Failure, &engine.Detail{OpenFor: -time.Second}},
		{ticket, engine.Failure, &engine.Detail{OpenFor: 2 * engine.MaxDuration}},
	} {
		_, err := a.Report(t.Context(), r.Ticket, r.Outcome, 0, r.Detail)
		t.checkError("Report", engine.ErrInvalid, err)
	}
	t.checkEqual("record", untimed(before), untimed(t.inspect()))
}

func noSink(t *testEnv) {
	h, err := t.A.Bind(name, threeFailures, nil)
	t.checkError("Bind", nil, err)
	_, err = h.Acquire(t.Context())
	t.checkError("Acquire", nil, err)
	t.checkError("Close", nil, h.Close())
}
