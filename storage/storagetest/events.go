package storagetest

import (
	"github.com/redbreaker/redbreaker/engine"
)

var events = []test{
	{"each_transition_in_order", eventsInOrder},
	{"only_to_the_handle_that_made_them", eventsToMaker},
	{"of_commands", eventsOfCommands},
	{"of_a_lost_record", eventLost},
	{"of_a_record_lost_before_a_command", eventLostCommand},
	{"of_a_healed_record", eventHealed},
	{"of_another_policy_once", eventSkew},
}

func eventsInOrder(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.fail(3)
	a.act(engine.ActionHalfOpen)
	a.call(engine.Failure)
	a.act(engine.ActionHalfOpen)
	a.call(engine.Success)
	log := t.inspect().Log
	events := a.events.take()
	t.checkEqual("events", len(log), len(events))
	for i, e := range events {
		t.checkEqual("kind", engine.EventTransition, e.Kind)
		t.checkEqual("name", name, e.Name)
		e.Transition.Ago = log[i].Ago
		if i > 0 {
			t.checkEqual("epoch before", log[i-1].Epoch, e.Transition.Was)
		}
		t.checkEqual("own", true, e.Transition.Own)
		e.Transition.Was, e.Transition.Own = 0, false // the log does not keep them
		t.checkEqual("transition", log[i], e.Transition)
	}
}

func eventsToMaker(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(2)
	b.fail(1)
	a.reject()
	t.checkEqual("events of A, which met B's epoch", []string{"transition created", "status"}, a.events.causes())
	t.checkEqual("events of B", []string{"transition consecutive"}, b.events.causes())
}

func eventsOfCommands(t *testEnv) {
	a, b := t.pair(threeFailures)
	b.admit()
	b.events.take()
	a.command(engine.Command{Action: engine.ActionForceOpen, For: shortTime})
	t.advance(shortTime)
	a.act(engine.ActionTrip)
	want := []string{"transition operator", "transition mode_ended", "transition operator"}
	t.checkEqual("events of A", want, a.events.causes())
	t.checkEqual("events of B", []string(nil), b.events.causes())
}

func eventLost(t *testEnv) {
	t.needs("Lose", t.Lose != nil)
	a, b := t.pair(threeFailures)
	a.fail(1)
	b.fail(1)
	epoch := t.inspect().Epoch
	a.events.take()
	t.Lose(name)
	t.advancePastEpoch()
	a.admit()
	events := a.events.take()
	t.checkEqual("events", 2, len(events))
	t.checkEqual("kind", engine.EventLost, events[0].Kind)
	t.checkEqual("epoch", epoch, events[0].Epoch)
	t.checkEqual("cause", engine.CauseCreated, events[1].Transition.Cause)
	b.admit()
	t.checkEqual("events of B, which found the new record", []string{"status"}, b.events.causes())
}

// eventLostCommand: a command is the first to meet the absent record.
func eventLostCommand(t *testEnv) {
	t.needs("Lose", t.Lose != nil)
	a, _ := t.pair(threeFailures)
	a.fail(1)
	epoch := t.inspect().Epoch
	a.events.take()
	t.Lose(name)
	t.advancePastEpoch()
	a.act(engine.ActionTrip)
	events := a.events.take()
	t.checkEqual("events", 2, len(events))
	t.checkEqual("kind", engine.EventLost, events[0].Kind)
	t.checkEqual("epoch", epoch, events[0].Epoch)
	t.checkEqual("cause", engine.CauseOperator, events[1].Transition.Cause)
}

func eventHealed(t *testEnv) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(threeFailures)
	a.admit()
	a.events.take()
	t.Corrupt(name, "head", "?")
	a.admit()
	t.checkEqual("events", []string{"healed healed"}, a.events.causes())
}

func eventSkew(t *testEnv) {
	a := t.bind(t.A, name, threeFailures)
	b := t.bind(t.B, name, engine.Policy{ConsecutiveFailures: 4})
	a.admit()
	a.events.take()
	for range 3 {
		b.fail(1)
		a.admit()
	}
	events := b.events.take()
	t.checkEqual("events of B", 1, len(events))
	t.checkEqual("kind", engine.EventSkew, events[0].Kind)
	t.checkEqual("policy", t.inspect().Fingerprint, events[0].Policy)
	t.checkEqual("events of A", []string(nil), a.events.causes())
}
