package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
)

func TestList(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		if out := s.must(t, "ls"); out != "" {
			t.Errorf("with no breaker it prints %q", out)
		}
		if out := s.must(t, "ls", "-o", "json"); out != "[]\n" {
			t.Errorf("with no breaker it prints %q", out)
		}
		s.must(t, "trip", "payments", "--create")
		s.must(t, "force-open", "orders", "--until-released", "--create")
		s.must(t, "reset", strings.Repeat("x", 600), "--create")
		text := s.must(t, "ls")
		var rows [][]string
		for line := range strings.Lines(text) {
			rows = append(rows, strings.Fields(line))
		}
		want := [][]string{
			{"NAME", "STATE", "MODE"},
			{"orders", "closed", "forced_open"},
			{"payments", "open", "auto"},
		}
		if len(rows) != 4 || len(rows[3]) != len(tableTitles) || !strings.Contains(rows[3][0], "x#") {
			t.Fatalf("unexpected rows:\n%s", text)
		}
		for i := range want {
			if diff := cmp.Diff(want[i], rows[i][:3]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		var list []map[string]any
		out := s.must(t, "ls", "-o", "json")
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 3 || list[1]["name"] != "payments" || list[2]["key"] != rows[3][0] {
			t.Errorf("%v\n%s", err, out)
		}
		if got := namesIn(s.must(t, "ls", "--state", "open,half_open")); !slices.Equal(got, []string{"payments"}) {
			t.Errorf("open ones: %q", got)
		}
		if got := namesIn(s.must(t, "ls", "--mode", "forced_open", "--match", "rd")); !slices.Equal(got, []string{"orders"}) {
			t.Errorf("forced ones: %q", got)
		}
	})
}

// namesIn returns the first column of a table.
func namesIn(table string) []string {
	var names []string
	for line := range strings.Lines(table) {
		names = append(names, strings.Fields(line)[0])
	}
	return names[min(1, len(names)):]
}

func TestFormatTable(t *testing.T) {
	closed := redbreaker.Snapshot{
		Name: "payments", Age: 65 * time.Second, Streak: 2, Calls: 9, Failures: 4, Slow: 1, FailuresLeft: 1,
		Policy: &redbreaker.Policy{ConsecutiveFailures: 5, Window: redbreaker.Window{
			Period: time.Minute, FailureRate: 0.5, FailureCount: 30, SlowCallRate: 0.255, SlowCallDuration: time.Second,
		}},
		Log: []redbreaker.Transition{{Cause: redbreaker.CauseCreated}, {Cause: redbreaker.CauseRecovered}},
	}
	list := []listed{
		{Snapshot: closed},
		{Snapshot: redbreaker.Snapshot{Name: "a\x1b[2J", State: redbreaker.StateOpen, RetryAfter: 71234 * time.Millisecond, Trips: 3, Unreadable: []string{"tally"}}},
		{key: "shop:{xxx#0123}"},
	}
	want := `NAME             STATE   MODE  AGE   RETRY    TRIPS  STREAK  CALLS  FAILED         SLOW        LEFT  CAUSE
payments         closed  auto  1m5s  -        0      2/5     9      4/30,44.4/50%  11.1/25.5%  1     recovered
"a\x1b[2J"       open    auto  0s    1m11.2s  3      0       0      -              -           -     damaged: tally
shop:{xxx#0123}  -       -     -     -        -      -       -      -              -           -     -`
	if diff := cmp.Diff(want, strings.Join(formatTable(list), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSelection_orders(t *testing.T) {
	list := []listed{
		{Snapshot: redbreaker.Snapshot{Name: "c", Age: 3, Calls: 10, Failures: 1, FailuresLeft: 9}},
		{Snapshot: redbreaker.Snapshot{Name: "b", State: redbreaker.StateOpen, Age: 1, RetryAfter: 2, Trips: 7, Mode: redbreaker.ModeShadow}},
		{Snapshot: redbreaker.Snapshot{Name: "a", Age: 2, FailuresLeft: 2}},
		{Snapshot: redbreaker.Snapshot{Name: "d", State: redbreaker.StateHalfOpen, Age: 4, RetryAfter: 1}},
	}
	for order, want := range map[string]string{
		"name": "abcd", "state": "bdac", "mode": "bacd", "age": "bacd", "retry": "dbac", "trips": "bacd", "failed": "cabd", "left": "acbd",
	} {
		for _, reverse := range []bool{false, true} {
			which := selection{order: order, reverse: reverse}
			var got []string
			for _, l := range which.apply(slices.Clone(list)) {
				got = append(got, l.Name)
			}
			if reverse {
				slices.Reverse(got)
			}
			if strings.Join(got, "") != want {
				t.Errorf("by %s (reverse: %v): %q, want %q", order, reverse, got, want)
			}
		}
	}
	if len(orders) != 8 {
		t.Errorf("%d orders, the test knows 8", len(orders))
	}
}

func TestList_badFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--state ajar":           `--state is "ajar", use one of closed, open, half_open`,
		"--mode manual":          `--mode is "manual", use one of auto, forced_open, forced_closed, shadow`,
		"--sort color":           `--sort is "color", use one of age, failed, left, mode, name, retry, state, trips`,
		"--watch -o json":        `--watch needs -o text; "redbreaker watch -o json" prints changes`,
		"--watch --interval 1ms": "--interval is 1ms, use 100ms or more",
	} {
		_, err := execute(append([]string{"ls"}, strings.Fields(args)...)...)
		if err == nil || err.Error() != want || exitCode(err) != exitUsage {
			t.Errorf("%s: %v, exit code %d; want %s", args, err, exitCode(err), want)
		}
	}
}

// The table is read again until the context ends; a server that fails meanwhile shows in it.
func TestList_watch(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "reset", "payments", "--create")
		watching, cancel := context.WithCancel(ctx)
		var out lockedBuffer
		ended := make(chan error, 1)
		root := newRoot()
		root.SetArgs([]string{"ls", "--watch", "--interval", "100ms", "--redis", s.addr, "--namespace", s.namespace})
		root.SetOut(&out)
		go func() { ended <- root.ExecuteContext(watching) }()
		awaitOutput(t, &out, "payments  closed  auto")
		s.must(t, "trip", "payments")
		awaitOutput(t, &out, "payments  open   auto")
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("an interrupted table ends with %v", err)
		}
	})
}

func TestFormatPage_faults(t *testing.T) {
	at := newTestSession(t, "10.0.0.1:6379", "shop")
	lines := at.formatPage(nil, errors.New("a\x1b[2J\nb"))
	if len(lines) != 4 || lines[1] != "redbreaker: a?[2J" || lines[2] != "redbreaker: b" || !strings.HasSuffix(lines[0], "  0 breakers  redis at 10.0.0.1:6379") {
		t.Errorf("got %q", lines)
	}
}

// awaitOutput waits until the command has printed a text.
func awaitOutput(t *testing.T, out *lockedBuffer, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in 20 s:\n%s", text, out.String())
		}
	}
}
