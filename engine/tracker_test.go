package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// watched is an observer on a clock of the test's, and the events it raised.
type watched struct {
	*engine.Tracker
	rules  *engine.Rules
	now    int64
	events []engine.Event
}

func watch(t testing.TB, p engine.Policy) *watched {
	t.Helper()
	w := &watched{rules: mustRules(t, p), now: 1}
	w.Tracker = engine.NewTracker("payments", w.rules, func() int64 { return w.now }, func(e engine.Event) { w.events = append(w.events, e) })
	return w
}

// taken returns the events since the last call.
func (w *watched) taken() []engine.Event {
	events := w.events
	w.events = nil
	return events
}

func (w *watched) reply(epoch int64, cause engine.Cause) engine.Reply {
	r := engine.Reply{Epoch: epoch, Policy: w.rules.Fingerprint()}
	if cause != "" {
		r.Transition = engine.Transition{Epoch: epoch, Cause: cause}
	}
	return r
}

var reports = engine.Batch{Results: []engine.Result{{Ticket: engine.Ticket{Epoch: 1}, Runs: []engine.Run{{Outcome: engine.Success, N: 1}}}}}

func kinds(events []engine.Event) string {
	s := ""
	for _, e := range events {
		s += e.Kind.String() + " "
	}
	return s
}

func TestTracker_transitions(t *testing.T) {
	w := watch(t, engine.Policy{})
	w.ApplyReply(engine.Batch{}, w.reply(1, engine.CauseCreated), 1)
	w.ApplyReply(reports, w.reply(2, engine.CauseConsecutive), 1)
	w.ApplyReply(engine.Batch{}, w.reply(2, ""), 1)
	w.ApplyReply(engine.Batch{}, w.reply(3, engine.CauseHealed), 1)
	want := []engine.Event{
		{Kind: engine.EventTransition, Name: "payments", Transition: engine.Transition{Name: "payments", Epoch: 1, Cause: engine.CauseCreated, Own: true}},
		{Kind: engine.EventTransition, Name: "payments", Transition: engine.Transition{Name: "payments", Epoch: 2, Cause: engine.CauseConsecutive, Own: true}},
		{Kind: engine.EventHealed, Name: "payments", Transition: engine.Transition{Name: "payments", Epoch: 3, Cause: engine.CauseHealed, Own: true}},
	}
	if diff := cmp.Diff(want, w.taken()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestTracker_lost: a record created under a process that knew one was lost, unless
// it may have expired: nothing was reported for half of IdleTTL.
func TestTracker_lost(t *testing.T) {
	hour := int64(time.Hour)
	for name, test := range map[string]struct {
		quiet int64
		want  string
	}{
		"at once":            {0, "lost transition "},
		"half of IdleTTL":    {hour, "lost transition "},
		"more than that":     {hour + 1, "transition "},
		"the whole of it":    {2 * hour, "transition "},
		"an admission later": {hour + 1, "transition "},
	} {
		w := watch(t, engine.Policy{IdleTTL: 2 * time.Hour})
		w.ApplyReply(engine.Batch{Admissions: 1}, w.reply(1, engine.CauseCreated), 1)
		w.ApplyReply(reports, w.reply(1, ""), 1)
		w.taken()
		w.now += test.quiet / 2
		w.ApplyReply(engine.Batch{Admissions: 1}, w.reply(1, ""), 1) // an admission feeds nothing
		w.now += test.quiet - test.quiet/2
		w.ApplyReply(engine.Batch{Admissions: 1}, w.reply(9, engine.CauseCreated), 1)
		events := w.taken()
		if got := kinds(events); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		if events[0].Kind == engine.EventLost && events[0].Epoch != 1 {
			t.Errorf("%s: epoch %d was lost, want 1", name, events[0].Epoch)
		}
	}
}

// TestTracker_lost_kept: a record that cannot have expired and is gone was lost,
// however long ago this process reported to it.
func TestTracker_lost_kept(t *testing.T) {
	hour := int64(time.Hour / time.Millisecond)
	for name, test := range map[string]struct {
		known engine.Reply
		quiet time.Duration
		want  string
	}{
		"open, within its period":         {engine.Reply{State: engine.StateOpen, LeftMS: 100 * hour}, 101 * time.Hour, "lost transition "},
		"open, long after its period":     {engine.Reply{State: engine.StateOpen, LeftMS: 100 * hour}, 102 * time.Hour, "transition "},
		"a mode until it ends":            {engine.Reply{Mode: engine.ModeForcedClosed, ModeLeftMS: 50 * hour}, 51 * time.Hour, "lost transition "},
		"a mode long after its end":       {engine.Reply{Mode: engine.ModeForcedClosed, ModeLeftMS: 50 * hour}, 52 * time.Hour, "transition "},
		"a mode without end":              {engine.Reply{Mode: engine.ModeForcedOpen}, 10_000 * time.Hour, "lost transition "},
		"closed again after such a mode":  {engine.Reply{Mode: engine.ModeShadow}, 3 * time.Hour, "transition "},
		"closed, reported half a TTL ago": {engine.Reply{}, time.Hour, "lost transition "},
		"closed, reported longer ago":     {engine.Reply{}, 2 * time.Hour, "transition "},
	} {
		w := watch(t, engine.Policy{IdleTTL: 2 * time.Hour})
		w.ApplyReply(reports, w.reply(1, ""), 1)
		test.known.Epoch, test.known.Policy = 2, w.rules.Fingerprint()
		w.ApplyReply(reports, test.known, 1)
		if strings.HasPrefix(name, "closed again") {
			w.ApplyReply(reports, w.reply(3, ""), 1)
		}
		w.taken()
		w.now += int64(test.quiet)
		w.ApplyReply(engine.Batch{Admissions: 1}, w.reply(9, engine.CauseCreated), 1)
		if got := kinds(w.taken()); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestTracker_lost_command: a command that creates the record finds the loss like a
// step does.
func TestTracker_lost_command(t *testing.T) {
	w := watch(t, engine.Policy{})
	w.ApplyReply(reports, w.reply(5, ""), 1)
	w.taken()
	moves := []engine.Transition{{Epoch: 9, To: engine.StateOpen, Cause: engine.CauseOperator}}
	w.ApplyCommand(engine.Snapshot{Exists: true, Epoch: 9, State: engine.StateOpen}, moves)
	events := w.taken()
	if got := kinds(events); got != "lost transition " || events[0].Epoch != 5 {
		t.Errorf("events: %s of epoch %d, want lost of epoch 5", got, events[0].Epoch)
	}
	moves = []engine.Transition{{Was: 9, Epoch: 10, Cause: engine.CauseOperator}}
	w.ApplyCommand(engine.Snapshot{Exists: true, Epoch: 10}, moves)
	if got := kinds(w.taken()); got != "transition " {
		t.Errorf("events of a command on the record: %s", got)
	}
}

// TestTracker_skew: each foreign policy raises one event, and a record that shows
// ever new ones fills no memory.
func TestTracker_skew(t *testing.T) {
	w := watch(t, engine.Policy{})
	for _, fingerprint := range []string{w.rules.Fingerprint(), "", "aaaa0001", "aaaa0001", "aaaa0002", w.rules.Fingerprint(), "aaaa0001"} {
		w.ApplyReply(engine.Batch{}, engine.Reply{Epoch: 1, Policy: fingerprint}, 1)
	}
	want := []engine.Event{
		{Kind: engine.EventSkew, Name: "payments", Policy: "aaaa0001"},
		{Kind: engine.EventSkew, Name: "payments", Policy: "aaaa0002"},
	}
	if diff := cmp.Diff(want, w.taken()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for i := range 1000 {
		w.ApplyReply(engine.Batch{}, engine.Reply{Epoch: 1, Policy: fmt.Sprintf("bbbb%04d", i)}, 1)
	}
	if n := len(w.taken()); n >= 100 {
		t.Errorf("%d events about policies", n)
	}
}

func TestTracker_admission(t *testing.T) {
	w := watch(t, engine.Policy{})
	closed := engine.Reply{Epoch: 5, Granted: 2}
	probes := engine.Reply{Epoch: 5, State: engine.StateHalfOpen, Granted: 2, FirstLease: 7, LeftMS: 3000}
	open := engine.Reply{Epoch: 5, State: engine.StateOpen, LeftMS: 3000}
	forced := engine.Reply{Epoch: 5, Mode: engine.ModeForcedOpen}
	shadow := engine.Reply{Epoch: 5, State: engine.StateOpen, Mode: engine.ModeShadow, LeftMS: 3000}
	free := engine.Reply{Epoch: 5, Mode: engine.ModeForcedClosed}
	for name, test := range map[string]struct {
		reply  engine.Reply
		i      int64
		ticket engine.Ticket
		reason engine.Reason
		left   time.Duration
	}{
		"closed":                 {closed, 1, engine.Ticket{Epoch: 5}, "", 0},
		"the first probe":        {probes, 0, engine.Ticket{Epoch: 5, Lease: 7}, "", 0},
		"the second probe":       {probes, 1, engine.Ticket{Epoch: 5, Lease: 8}, "", 0},
		"one more than probes":   {probes, 2, engine.Ticket{}, engine.ReasonProbing, 3 * time.Second},
		"open":                   {open, 0, engine.Ticket{}, engine.ReasonOpen, 3 * time.Second},
		"forced open":            {forced, 0, engine.Ticket{}, engine.ReasonForced, 0},
		"shadow, not counted":    {shadow, 0, engine.Ticket{}, "", 0},
		"forced closed, neither": {free, 0, engine.Ticket{}, "", 0},
	} {
		ticket, err := w.Decision(&test.reply, test.i)
		if ticket != test.ticket {
			t.Errorf("%s: ticket %+v, want %+v", name, ticket, test.ticket)
		}
		var rejected *engine.RejectedError
		if got := errors.As(err, &rejected); got != (test.reason != "") {
			t.Errorf("%s: %v", name, err)
		} else if got && (rejected.Reason != test.reason || rejected.RetryAfter() != test.left || rejected.Name != "payments" ||
			rejected.State != test.reply.State || rejected.Mode != test.reply.Mode) {
			t.Errorf("%s: %+v, retry after %v", name, rejected, rejected.RetryAfter())
		}
	}
}

// TestTracker_sharedRejection: rejections share an error if it ends at the time that
// the reply says or at most 10 ms later, never earlier.
func TestTracker_sharedRejection(t *testing.T) {
	w := watch(t, engine.Policy{})
	open := engine.Reply{Epoch: 5, State: engine.StateOpen, LeftMS: 60_000}
	reject := func() error {
		_, err := w.Decision(&open, 0)
		return err
	}
	first := reject()
	open.LeftMS -= 10
	if reject() != first {
		t.Error("an end 10 ms earlier: another error")
	}
	open.LeftMS--
	if reject() == first {
		t.Error("an end 11 ms earlier: the same error")
	}
	second := reject()
	w.now++
	if reject() == second {
		t.Error("an end 1 ns later: the same error, which ends too early")
	}
	second = reject()
	w.now += int64(10 * time.Millisecond)
	if reject() != second {
		t.Error("ends that creep forward by 10 ms: another error")
	}
	open.State = engine.StateHalfOpen
	if reject() == second {
		t.Error("probing and open share an error")
	}
}

func TestTracker_status(t *testing.T) {
	w := watch(t, engine.Policy{})
	if diff := cmp.Diff(engine.Status{Age: -1}, w.Status()); diff != "" {
		t.Errorf("nothing heard yet (-want +got):\n%s", diff)
	}
	w.ApplyReply(engine.Batch{}, engine.Reply{Epoch: 5, State: engine.StateOpen, Mode: engine.ModeShadow, LeftMS: 5000, ModeLeftMS: 60_000}, 1)
	w.now += int64(2 * time.Second)
	want := engine.Status{State: engine.StateOpen, Mode: engine.ModeShadow, ModeFor: 58 * time.Second, Age: 2 * time.Second}
	if diff := cmp.Diff(want, w.Status()); diff != "" {
		t.Errorf("in shadow no call would be rejected (-want +got):\n%s", diff)
	}
	w.ApplyReply(engine.Batch{}, engine.Reply{Epoch: 5, State: engine.StateOpen, LeftMS: 5000}, 1)
	w.now += int64(2 * time.Second)
	want = engine.Status{State: engine.StateOpen, RetryAfter: 3 * time.Second, Age: 2 * time.Second}
	if diff := cmp.Diff(want, w.Status()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	w.now += int64(time.Minute)
	if s := w.Status(); s.RetryAfter != 0 || s.Age != 62*time.Second {
		t.Errorf("long after: %+v", s)
	}
}

// TestTracker_commanded: what a command did through this handle is heard, too.
func TestTracker_commanded(t *testing.T) {
	w := watch(t, engine.Policy{})
	w.ApplyCommand(engine.Snapshot{Epoch: -1}, nil) // refused on an absent record
	if s := w.Status(); s.Age != -1 || len(w.events) > 0 {
		t.Errorf("%+v and %v of a record that is not there", s, w.events)
	}
	moves := []engine.Transition{{Epoch: 6, Cause: engine.CauseModeEnded}, {Epoch: 7, ToMode: engine.ModeForcedOpen, Cause: engine.CauseOperator}}
	w.ApplyCommand(engine.Snapshot{Exists: true, Epoch: 7, Mode: engine.ModeForcedOpen, ModeFor: time.Minute}, moves)
	if got := kinds(w.taken()); got != "transition transition " {
		t.Errorf("events: %s", got)
	}
	want := engine.Status{Mode: engine.ModeForcedOpen, ModeFor: time.Minute, RetryAfter: time.Minute}
	if diff := cmp.Diff(want, w.Status()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.ApplyReply(engine.Batch{}, w.reply(9, engine.CauseCreated), 1)
	if got := kinds(w.taken()); got != "lost transition " {
		t.Errorf("the epoch that the command made was lost: %s", got)
	}
}

// TestTracker_noSink: a handle without a sink raises nothing.
func TestTracker_noSink(t *testing.T) {
	o := engine.NewTracker("x", mustRules(t, engine.Policy{}), func() int64 { return 1 }, nil)
	o.ApplyReply(engine.Batch{}, engine.Reply{Epoch: 1, Policy: "aaaa0001", Transition: engine.Transition{Cause: engine.CauseCreated}}, 1)
}
