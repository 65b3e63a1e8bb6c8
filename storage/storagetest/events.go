package storagetest

import (
	"github.com/redbreaker/redbreaker/engine"
)

var events = []test{
	{"tell_each_transition_in_order", eventsInOrder},
	{"come_to_the_handle_that_made_them", eventsToMaker},
	{"tell_of_commands", eventsOfCommands},
	{"tell_of_a_lost_record", eventLost},
	{"tell_of_a_healed_record", eventHealed},
	{"tell_of_another_policy_once", eventSkew},
}

func eventsInOrder(t *env) {
	a, _ := t.pair(three)
	a.fail(3)
	a.act(engine.ActionHalfOpen)
	a.call(engine.Failure)
	a.act(engine.ActionHalfOpen)
	a.call(engine.Success)
	log := t.inspect().Log
	events := a.events.take()
	t.equal("events", len(log), len(events))
	for i, e := range events {
		t.equal("kind", engine.EventTransition, e.Kind)
		t.equal("name", name, e.Name)
		e.Transition.Ago = log[i].Ago
		t.equal("transition", log[i], e.Transition)
	}
}

func eventsToMaker(t *env) {
	a, b := t.pair(three)
	a.fail(2)
	b.fail(1)
	a.reject()
	t.equal("events of A", []string{"transition created"}, a.events.causes())
	t.equal("events of B", []string{"transition consecutive"}, b.events.causes())
}

func eventsOfCommands(t *env) {
	a, b := t.pair(three)
	b.admit()
	b.events.take()
	a.command(engine.Command{Action: engine.ActionForceOpen, For: brief})
	t.pass(brief)
	a.act(engine.ActionTrip)
	want := []string{"transition operator", "transition mode_ended", "transition operator"}
	t.equal("events of A", want, a.events.causes())
	t.equal("events of B", []string(nil), b.events.causes())
}

func eventLost(t *env) {
	t.needs("Lose", t.Lose != nil)
	a, b := t.pair(three)
	a.fail(1)
	b.fail(1)
	epoch := t.inspect().Epoch
	a.events.take()
	t.Lose(name)
	t.nextEpochs()
	a.admit()
	events := a.events.take()
	t.equal("events", 2, len(events))
	t.equal("kind", engine.EventLost, events[0].Kind)
	t.equal("epoch", epoch, events[0].Epoch)
	t.equal("cause", engine.CauseCreated, events[1].Transition.Cause)
	b.admit()
	t.equal("events of B, which found the new record", []string(nil), b.events.causes())
}

func eventHealed(t *env) {
	t.needs("Corrupt", t.Corrupt != nil)
	a, _ := t.pair(three)
	a.admit()
	a.events.take()
	t.Corrupt(name, "head", "?")
	a.admit()
	t.equal("events", []string{"healed healed"}, a.events.causes())
}

func eventSkew(t *env) {
	a := t.bind(t.A, name, three)
	b := t.bind(t.B, name, engine.Policy{ConsecutiveFailures: 4})
	a.admit()
	a.events.take()
	for range 3 {
		b.fail(1)
		a.admit()
	}
	events := b.events.take()
	t.equal("events of B", 1, len(events))
	t.equal("kind", engine.EventSkew, events[0].Kind)
	t.equal("policy", t.inspect().Fingerprint, events[0].Policy)
	t.equal("events of A", []string(nil), a.events.causes())
}
