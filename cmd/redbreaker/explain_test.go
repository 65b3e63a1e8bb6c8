package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// The number of failures that the command names opens the circuit on the server, and one
// less does not.
func TestExplain_failuresLeft(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		b := s.breaker(t, "dep", redbreaker.Policy{OpenFor: time.Hour, Window: redbreaker.Window{Calls: 20, FailureRate: 0.5, MinCalls: 4}})
		for range 3 {
			permit, err := b.Acquire(ctx)
			if err != nil {
				t.Fatal(err)
			}
			permit.Success()
		}
		for _, want := range []string{"3 more failures in a row open it.", "2 more failures in a row open it.", "1 more failure opens it.", `"dep" has been open for`} {
			if out := s.must(t, "explain", "dep"); !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
			if b.Status().State == redbreaker.StateClosed {
				fails(t, b)
			}
		}
	})
}

func TestExplain_severalNames(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "one", "--create", "--by", "ann")
		s.must(t, "reset", "two", "--create")
		out, err := s.run("explain", "two", "none", "one")
		if exitCode(err) != exitAbsent || !strings.HasPrefix(out, `"two" has been closed for `) ||
			!strings.Contains(out, "\n\n\"one\" has been open for ") || !strings.Contains(out, "It opened by a command of ann.") {
			t.Errorf("exit code %d for %v\n%s", exitCode(err), err, out)
		}
	})
}

func TestLog(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep", "--create", "--for", "90s", "--by", "ann", "--reason", "drill")
		lines := strings.Split(s.must(t, "log", "dep"), "\n")
		row := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  [\d.]+m?s +closed +open +1m30s +operator +ann +drill$`)
		if len(lines) != 3 || !strings.HasPrefix(lines[0], "TIME ") || !row.MatchString(lines[1]) {
			t.Errorf("prints %q", lines)
		}
		var log []redbreaker.Transition
		if err := json.Unmarshal([]byte(s.must(t, "log", "dep", "-o", "json")), &log); err != nil {
			t.Fatal(err)
		}
		if len(log) != 1 || log[0].For != 90*time.Second || log[0].By != "ann" || log[0].At == 0 {
			t.Errorf("log is %+v", log)
		}
		if out, err := s.run("log", "none"); exitCode(err) != exitAbsent || out != "" {
			t.Errorf("of no breaker: exit code %d, %q", exitCode(err), out)
		}
	})
}
