package storagetest

import (
	"fmt"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var reporters = []test{
	{"one_sick_host_does_not_open", oneSickHost},
	{"window_asks_for_reporters", windowReporters},
	{"batch_carries_its_reporter", batchReporter},
	{"half_open_asks_for_none", halfOpenReporters},
}

func oneSickHost(t *testEnv) {
	t.needs("Reporters", t.Reporters)
	a, b := t.pair(engine.Policy{ConsecutiveFailures: 3, MinReporters: 2, OpenFor: time.Hour})
	a.fail(5)
	t.checkState(engine.StateClosed)
	b.fail(1)
	t.checkState(engine.StateOpen)
}

func windowReporters(t *testEnv) {
	t.needs("Reporters", t.Reporters)
	a, b := t.pair(engine.Policy{MinReporters: 2, OpenFor: time.Hour, Window: engine.Window{Calls: 4, FailureCount: 2}})
	b.fail(1)
	a.call(engine.Success, engine.Success, engine.Success)
	a.fail(3) // which push B's out of the window
	t.checkState(engine.StateClosed)
	b.fail(1)
	t.checkState(engine.StateOpen)
}

func batchReporter(t *testEnv) {
	t.needs("Reporters", t.Reporters)
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 3, MinReporters: 3, OpenFor: time.Hour})
	ticket := a.admit()
	for i := range 3 {
		t.checkState(engine.StateClosed)
		b := results(ticket, engine.Run{Outcome: engine.Failure, N: 3})
		b.Reporter = fmt.Sprintf("host {%d}\n", i)
		a.step(b)
	}
	t.checkState(engine.StateOpen)
	t.checkEqual("by", "host {2}\n", t.lastTransition().By)
}

func halfOpenReporters(t *testEnv) {
	a, _ := t.pair(engine.Policy{MinReporters: 2, OpenFor: time.Hour})
	a.act(engine.ActionHalfOpen)
	a.fail(1)
	t.checkState(engine.StateOpen)
}
