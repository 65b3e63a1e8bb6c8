package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
)

// newTestTop returns a model that shows three breakers.
func newTestTop() *topModel {
	m := newTopModel(&selection{order: "name"}, "ann", "redis at 10.0.0.1:6379")
	m.setReading(reading{list: []listed{
		{Snapshot: redbreaker.Snapshot{Name: "search", Exists: true}},
		{Snapshot: redbreaker.Snapshot{Name: "payments", Exists: true, State: redbreaker.StateOpen, RetryAfter: time.Minute}},
		{Snapshot: redbreaker.Snapshot{Name: "orders", Exists: true}},
		{key: "shop:{x#0123}"},
	}})
	return m
}

// press presses keys one after the other and returns what the last one did.
func press(m *topModel, keys ...terminal.Key) (order *topOrder, ended bool) {
	for _, key := range keys {
		order, ended = m.press(key)
	}
	return order, ended
}

// screenText returns a frame as text, the inverted line marked with >.
func screenText(m *topModel) string {
	var text strings.Builder
	for _, line := range m.frame(100, 12) {
		if line.Inverted {
			text.WriteString(">")
		}
		text.WriteString(line.Text + "\n")
	}
	return text.String()
}

func requireScreen(t *testing.T, m *topModel, want ...string) {
	t.Helper()
	for _, part := range want {
		if got := screenText(m); !strings.Contains(got, part) {
			t.Errorf("no %q in:\n%s", part, got)
		}
	}
}

func TestTop_table(t *testing.T) {
	m := newTestTop()
	requireScreen(t, m, "4 breakers  redis at 10.0.0.1:6379  by name", "\n>orders ", "\npayments ", "\nsearch ", "enter: open  a: act")
	press(m, terminal.KeyDown)
	requireScreen(t, m, "\n>payments ")
	press(m, "s", "s", "s", "s", "s") // name, retry, state, trips, age, failed
	if m.which.order != "failed" {
		t.Errorf("sorted by %s", m.which.order)
	}
	m.which.order = "state"
	m.selectRows()
	requireScreen(t, m, "\n>payments ")
	press(m, "R", terminal.KeyHome)
	requireScreen(t, m, "by state, reversed", "\n>shop:{x#0123} ")
	press(m, terminal.KeyEnd, "k", "j", "j", terminal.KeyPageUp, terminal.KeyPageDown)
	requireScreen(t, m, "\n>payments ")
	for _, key := range []terminal.Key{"q", terminal.KeyInterrupt} {
		if _, ended := press(m, key); !ended {
			t.Errorf("%s does not end it", key)
		}
	}
}

func TestPauseAfter(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{0: time.Second, 250 * time.Millisecond: time.Second, time.Second: 4 * time.Second} {
		if got := pauseAfter(took, nil, time.Second); got != want {
			t.Errorf("after %v: %v, want %v", took, got, want)
		}
		if got := pauseAfter(took, errors.New("down"), time.Second); got != time.Second {
			t.Errorf("after a fault and %v: %v", took, got)
		}
	}
}

// The cursor stays on its breaker when the list changes.
func TestTop_cursorFollows(t *testing.T) {
	m := newTestTop()
	press(m, terminal.KeyDown, terminal.KeyDown)
	requireScreen(t, m, "\n>search ")
	m.setReading(reading{list: []listed{{Snapshot: redbreaker.Snapshot{Name: "search"}}, {Snapshot: redbreaker.Snapshot{Name: "a"}}}})
	requireScreen(t, m, "\n>search ")
	m.setReading(reading{list: []listed{{Snapshot: redbreaker.Snapshot{Name: "a"}}}})
	requireScreen(t, m, "\n>a ")
	m.setReading(reading{})
	requireScreen(t, m, "no breakers")
	press(m, terminal.KeyDown, terminal.KeyEnter, "a", "R")
	requireScreen(t, m, "no breakers")
}

// A server that fails leaves the last reading, and shows.
func TestTop_fault(t *testing.T) {
	m := newTopModel(&selection{order: "name"}, "ann", "redis at x")
	requireScreen(t, m, "reading")
	m = newTestTop()
	m.setReading(reading{fault: errors.New("refused\x1b[2J")})
	requireScreen(t, m, "redbreaker: refused?[2J", "payments ")
	m.setReading(reading{})
	requireScreen(t, m, "no breakers")
}

func TestTop_filter(t *testing.T) {
	m := newTestTop()
	press(m, "/", "p", "a", "x", terminal.KeyBackspace)
	requireScreen(t, m, "1 breaker ", `filter "pa"`, "names that contain: pa_", "\n>payments ")
	press(m, terminal.KeyEnter)
	requireScreen(t, m, "enter: open")
	press(m, "/", terminal.KeyEscape)
	requireScreen(t, m, "4 breakers")
	press(m, "/", terminal.KeyBackspace, "q")
	requireScreen(t, m, "0 breakers", "no breakers")
}

func TestTop_breaker(t *testing.T) {
	m := newTestTop()
	press(m, terminal.KeyDown, terminal.KeyEnter)
	requireScreen(t, m, `"payments" has been open for 0s`, "escape: back")
	for i := range 16 {
		m.list[m.cursor].Log = append(m.list[m.cursor].Log, redbreaker.Transition{N: int64(i), Cause: redbreaker.CauseOperator, Text: strings.Repeat("x", i)})
	}
	requireScreen(t, m, "AGO ", strings.Repeat("x", 15)+"\n")
	if got := strings.Count(screenText(m), "\n"); got != 12 {
		t.Errorf("%d lines, want 12", got)
	}
	press(m, terminal.KeyEscape)
	requireScreen(t, m, "\n>payments ")
	press(m, terminal.KeyEnd, terminal.KeyEnter) // one without a name
	requireScreen(t, m, "\n>shop:{x#0123} ")
}

// An action is carried out only after y, on the breaker below the cursor.
func TestTop_actions(t *testing.T) {
	m := newTestTop()
	if chosen, _ := press(m, terminal.KeyDown, "a"); chosen != nil {
		t.Error("an action without a choice")
	}
	requireScreen(t, m, "t trip  h half-open  r reset  o force-open")
	if chosen, _ := press(m, "o"); chosen != nil {
		t.Error("an action without a confirmation")
	}
	requireScreen(t, m, `force-open "payments" for 10m0s? y: yes`)
	if chosen, _ := press(m, "n"); chosen != nil {
		t.Error("an action that was declined")
	}
	requireScreen(t, m, "not confirmed, nothing was done")
	chosen, _ := press(m, "a", "o", "y")
	if chosen == nil || chosen.name != "payments" || chosen.order.Action != redbreaker.ActionForceOpen || chosen.order.For != topTerm || chosen.order.Actor != "ann" {
		t.Fatalf("got %+v", chosen)
	}
	requireScreen(t, m, `force-open "payments" ...`)
	if chosen, _ := press(m, "a", terminal.KeyEscape, "y"); chosen != nil {
		t.Error("an action that was left")
	}
	if len(topActions) != len(controls) {
		t.Errorf("top has %d of %d actions", len(topActions), len(controls))
	}
	for _, action := range topActions {
		m := newTestTop()
		chosen, _ := press(m, "a", terminal.Key(action.key), "Y")
		if chosen == nil || chosen.order.use != action.use || chosen.order.Validate() != nil {
			t.Errorf("%s: %+v", action.use, chosen)
		}
	}
	press(m, terminal.KeyEnter, "a", "r")
	requireScreen(t, m, `"payments" has been open`, `reset "payments"? y: yes`)
}

// An action has a reason, if the user gives one before it is confirmed.
func TestTop_reason(t *testing.T) {
	m := newTestTop()
	press(m, terminal.KeyDown, "a", "o", "r", "d", "y", "n", terminal.KeyBackspace, "\u00e9")
	requireScreen(t, m, "reason, for the log: dy\u00e9_   enter: done")
	press(m, terminal.KeyEnter)
	requireScreen(t, m, `force-open "payments" for 10m0s because of "dyé"? y: yes`)
	if chosen, _ := press(m, "y"); chosen == nil || chosen.order.Reason != "dyé" {
		t.Errorf("got %+v", chosen)
	}
	for _, keys := range [][]terminal.Key{{"x", terminal.KeyEscape}, {terminal.KeyEnter}, {"x", terminal.KeyBackspace, terminal.KeyBackspace, terminal.KeyEnter}} {
		press(m, append([]terminal.Key{"a", "o", "r"}, keys...)...)
		if chosen, _ := press(m, "y"); chosen == nil || chosen.order.Reason != topReason {
			t.Errorf("%q: got %+v", keys, chosen)
		}
	}
	press(m, "a", "o", "r")
	for range 100 {
		press(m, "é")
	}
	press(m, terminal.KeyEnter)
	if chosen, _ := press(m, "y"); chosen == nil || chosen.order.Reason != strings.Repeat("é", maxReason/2) {
		t.Errorf("a long reason: %+v", chosen)
	}
}

// No name reaches the terminal as it is.
func TestTop_hostileNames(t *testing.T) {
	for kind, name := range hostileNames {
		m := newTestTop()
		m.setReading(reading{list: []listed{{Snapshot: redbreaker.Snapshot{
			Name: name, Exists: true, ModeBy: name, ModeReason: name, Mode: redbreaker.ModeShadow, Reporters: []string{name},
			Log: []redbreaker.Transition{{By: name, Text: name, Cause: redbreaker.Cause(name), Tally: name}},
		}}}, fault: errors.New(name)})
		for _, keys := range [][]terminal.Key{nil, {"/", terminal.Key(name)}, {terminal.KeyEscape, terminal.KeyEnter}, {"a"}, {"o"}, {"r", terminal.Key(name)}, {terminal.KeyEnter}, {"y"}} {
			press(m, keys...)
			for _, line := range m.frame(80, 24) {
				requireHarmless(t, kind, terminal.Cut(line.Text, 80))
			}
		}
	}
}

func TestTop_needsATerminal(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		if _, err := s.run("top"); exitCode(err) != exitUsage || !strings.Contains(err.Error(), "ls --watch") {
			t.Errorf("got %v", err)
		}
	})
}

// An action of top does what the command of that name does.
func TestTop_actOn(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "reset", "payments", "--create")
		store := s.storage(t)
		root := newRoot()
		root.SetContext(ctx)
		at := newTestSession(t, s.addr, s.namespace)
		at.store = store
		m := newTestTop()
		chosen, _ := press(m, terminal.KeyDown, "a", "o", "y")
		if got, want := at.actOn(root, chosen), "force-open: closed > closed/forced_open"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := s.inspect(t, "payments"); got.Mode != redbreaker.ModeForcedOpen || got.ModeBy != "ann" || got.ModeReason != "redbreaker top" {
			t.Errorf("mode %v by %q: %q", got.Mode, got.ModeBy, got.ModeReason)
		}
		chosen, _ = press(m, "a", "t", "y")
		if got := at.actOn(root, chosen); !strings.Contains(got, "forced mode") {
			t.Errorf("a refused action: %q", got)
		}
	})
}
