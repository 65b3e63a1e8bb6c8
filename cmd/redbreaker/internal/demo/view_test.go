package demo

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

// moment is a frame of a demo of three replicas, 6 seconds in.
func moment(c *Config) frame {
	return frame{
		config: c, elapsed: 6 * time.Second, stage: failing,
		record: redbreaker.Snapshot{Exists: true, Epoch: 4, State: redbreaker.StateOpen, RetryAfter: 1500 * time.Millisecond, Trips: 2},
		age:    100 * time.Millisecond,
		replicas: []tally{
			{"replica-1", 200, 71, 3}, {"replica-2", 201, 70, 4}, {"replica-3", 199, 72, 2},
		},
		entries: []entry{
			{Transition: redbreaker.Transition{Epoch: 1, Cause: redbreaker.CauseCreated}, elapsed: 20 * time.Millisecond, by: "replica-1"},
			{Transition: redbreaker.Transition{Epoch: 2, To: redbreaker.StateOpen, Cause: redbreaker.CauseConsecutive, Tally: "streak=5 calls=0 failures=0 slow=0"}, elapsed: 4050 * time.Millisecond, by: "replica-3"},
			{Transition: redbreaker.Transition{Epoch: 3, From: redbreaker.StateOpen, To: redbreaker.StateHalfOpen, Cause: redbreaker.CauseElapsed}, elapsed: 5060 * time.Millisecond, by: "replica-2"},
			{
				Transition: redbreaker.Transition{Epoch: 4, From: redbreaker.StateHalfOpen, To: redbreaker.StateOpen, Cause: redbreaker.CauseProbeFailed, Tally: "succeeded=0 failed=2 lapsed=0"},
				elapsed:    5090 * time.Millisecond, by: "replica-1",
			},
			{Transition: redbreaker.Transition{Epoch: 4}, elapsed: 5500 * time.Millisecond, by: "replica-2", note: "redis does not answer: i/o timeout"},
		},
	}
}

// longDemo returns the configuration of moment, on a screen if it has a width.
func longDemo(out *bytes.Buffer, width, height int) *Config {
	c := short(out)
	c.Rate, c.Namespace = 50, "redbreaker-demo"
	c.Healthy, c.Failing, c.Recovered = 4*time.Second, 9*time.Second, 6*time.Second
	if width > 0 {
		c.Screen = &Screen{Size: func() (int, int) { return width, height }}
	}
	return &c
}

func TestScreen(t *testing.T) {
	var out bytes.Buffer
	c := longDemo(&out, 80, 24)
	s := newScreen(c)
	out.Reset()
	s.draw(moment(c))
	want := `3 replicas, 50 calls a second each, one HTTP dependency, one shared breaker
state: "dependency" in namespace "redbreaker-demo" of an embedded miniredis

dependency  failing    [========][====--------------][------------] 6 of 19 s
breaker     open       probes in 1.40s, opened 2 times in a row

              admitted  rejected    failed
replica-1          200        71         3
replica-2          201        70         4
replica-3          199        72         2
all                600       213         9

     0.02s  -         > closed     created       replica-1
     4.05s  closed    > open       consecutive   replica-3   streak=5
     5.06s  open      > half_open  elapsed       replica-2
     5.09s  half_open > open       probe_failed  replica-1   failed=2
     5.50s  replica-2: redis does not answer: i/o timeout
`
	got := plainFrame(out.String()) + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// plainFrame returns a drawn frame without its escape sequences.
func plainFrame(text string) string {
	return strings.NewReplacer(clearRight, "", clearBelow, "", clearScreen, "", cursorHome, "", "\r\n", "\n").Replace(text)
}

// Each frame is drawn over the one before, in one write, on the alternate screen. A
// new size clears the screen first.
func TestScreen_redraws(t *testing.T) {
	var out bytes.Buffer
	width := 80
	c := longDemo(&out, width, 24)
	c.Screen.Size = func() (int, int) { return width, 24 }
	w := &writes{}
	c.Out = w
	s := newScreen(c)
	s.draw(moment(c))
	s.draw(moment(c))
	width = 60
	s.draw(moment(c))
	s.close()
	wants := []string{enterScreen, clearScreen + cursorHome + "3 replicas", cursorHome + "3 replicas", clearScreen + cursorHome + "3 replicas", leaveScreen}
	if len(*w) != len(wants) {
		t.Fatalf("%d writes, want %d", len(*w), len(wants))
	}
	for i, want := range wants {
		if !strings.HasPrefix((*w)[i], want) {
			t.Errorf("write %d begins %.30q, want %q", i, (*w)[i], want)
		}
	}
}

type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// No frame is higher or wider than the terminal, with or without colours, and the
// state is always shown.
func TestScreen_fits(t *testing.T) {
	colors := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for _, size := range [][2]int{{80, 24}, {80, 16}, {80, 15}, {80, 12}, {80, 6}, {80, 4}, {80, 2}, {80, 1}, {40, 18}, {12, 17}, {1, 5}, {200, 60}} {
		for _, color := range []bool{false, true} {
			var out bytes.Buffer
			c := longDemo(&out, size[0], size[1])
			c.Color = color
			s := newScreen(c)
			f := moment(c)
			for range 30 {
				f.replicas = append(f.replicas, tally{name: "replica-x"})
				f.entries = append(f.entries, f.entries[3])
			}
			out.Reset()
			s.draw(f)
			if size[0] > 1 && colors.MatchString(out.String()) != color {
				t.Errorf("%v: coloured is not %v", size, color)
			}
			text := plainFrame(colors.ReplaceAllString(out.String(), ""))
			lines := strings.Split(text, "\n")
			if len(lines) > size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, line := range lines {
				if len(line) >= size[0] {
					t.Errorf("%v: a line is too wide: %q", size, line)
				}
			}
			if size[0] >= 40 && size[1] >= 2 && !strings.Contains(text, "breaker     open") {
				t.Errorf("%v: the state is not shown", size)
			}
			if size[0] >= 12 && size[1] >= 4 && !strings.Contains(text, "all   ") {
				t.Errorf("%v: the sum is not shown", size)
			}
			if size[1] >= 6 && len(lines) != size[1] {
				t.Errorf("%v: only %d lines are used", size, len(lines))
			}
		}
	}
}

// Lines are in the order of time, though transitions become known late, and the state
// of a line fits the transitions before it.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	c := longDemo(&out, 0, 0)
	c.Redis, _ = target.Parse("redis://:secret@10.0.0.1:6379", target.Settings{})
	l := newLines(c)
	f := moment(c)
	all := f.entries
	f.entries = all[:3] // the other two become known later
	for range 2 {       // a line is printed once
		l.draw(f)
	}
	if strings.Contains(out.String(), "6.00s") {
		t.Errorf("a line is printed before earlier transitions can be known:\n%s", out.String())
	}
	f.elapsed, f.entries = 6*time.Second+settleTime, all
	l.draw(f)
	f.elapsed, f.stage = 6900*time.Millisecond, recovered
	f.entries = append(f.entries, entry{Transition: redbreaker.Transition{Epoch: 5, From: redbreaker.StateOpen, To: redbreaker.StateHalfOpen, Cause: redbreaker.CauseElapsed}, elapsed: 6100 * time.Millisecond, by: "replica-2"})
	l.draw(f)
	l.close()
	want := `3 replicas, 50 calls a second each, one HTTP dependency, one shared breaker
state: "dependency" in namespace "redbreaker-demo" of 10.0.0.1:6379

  0.02s  breaker     -         > closed     created       replica-1
  4.05s  breaker     closed    > open       consecutive   replica-3   streak=5
  5.06s  breaker     open      > half_open  elapsed       replica-2
  5.09s  breaker     half_open > open       probe_failed  replica-1   failed=2
  5.50s  breaker     replica-2: redis does not answer: i/o timeout
  6.00s  dependency  failing
  6.00s  calls       600 admitted, 213 rejected, 9 failed so far; circuit open
  6.10s  breaker     open      > half_open  elapsed       replica-2
  6.90s  dependency  recovered
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A transition that is newer than the last reading of the record is the state.
func TestFrame_newestState(t *testing.T) {
	f := frame{record: redbreaker.Snapshot{Exists: true, Epoch: 4, State: redbreaker.StateOpen, RetryAfter: time.Second}}
	f.entries = []entry{
		{Transition: redbreaker.Transition{Epoch: 5, To: redbreaker.StateHalfOpen}},
		{Transition: redbreaker.Transition{Epoch: 5}, note: "a note"},
	}
	if got := f.stateText() + ": " + f.detailText(); got != "half_open: " {
		t.Errorf("got %q", got)
	}
	f.entries[0].Epoch = 4
	if got := f.stateText(); got != "open" {
		t.Errorf("got %q", got)
	}
}

func TestFrame_detailText(t *testing.T) {
	for _, tt := range []struct {
		s    redbreaker.Snapshot
		want string
	}{
		{redbreaker.Snapshot{}, "-: "},
		{redbreaker.Snapshot{Exists: true}, "closed: "},
		{redbreaker.Snapshot{Exists: true, Streak: 3}, "closed: 3 failed in a row"},
		{redbreaker.Snapshot{Exists: true, Mode: redbreaker.ModeShadow}, "closed/shadow: "},
		{redbreaker.Snapshot{Exists: true, State: redbreaker.StateOpen, RetryAfter: time.Second, Trips: 1}, "open: probes in 0.90s, opened once in a row"},
		{redbreaker.Snapshot{Exists: true, State: redbreaker.StateOpen}, "open: the next call is a probe"},
		{redbreaker.Snapshot{Exists: true, State: redbreaker.StateHalfOpen, Probes: &redbreaker.ProbeRound{Probes: 3, Succeeded: 1, Outstanding: 2}},
			"half_open: 1 of 3 probes succeeded, 0 failed, 2 in flight"},
	} {
		f := frame{record: tt.s, age: 100 * time.Millisecond}
		if got := f.stateText() + ": " + f.detailText(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// The text of an operator cannot control the terminal.
func TestEntry_printable(t *testing.T) {
	e := entry{Transition: redbreaker.Transition{Cause: redbreaker.CauseOperator, By: "ann\x1b[2J", Text: "a\nb"}}
	if want := "closed    > closed     operator      ann?[2J     a?b"; e.describe() != want {
		t.Errorf("got %q, want %q", e.describe(), want)
	}
}
