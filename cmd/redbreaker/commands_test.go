package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

func TestControl_eachActionHoldsForTheFleet(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		state redbreaker.State
		mode  redbreaker.Mode
		err   error // of the next call
	}{
		{[]string{"trip", "dep"}, redbreaker.StateOpen, redbreaker.ModeAuto, redbreaker.ErrRejected},
		{[]string{"trip", "dep", "--for", "1h"}, redbreaker.StateOpen, redbreaker.ModeAuto, redbreaker.ErrRejected},
		{[]string{"half-open", "dep"}, redbreaker.StateHalfOpen, redbreaker.ModeAuto, nil},
		{[]string{"reset", "dep"}, redbreaker.StateClosed, redbreaker.ModeAuto, nil},
		{[]string{"force-open", "dep", "--until-released"}, redbreaker.StateClosed, redbreaker.ModeForcedOpen, redbreaker.ErrRejected},
		{[]string{"force-open", "dep", "--for", "1h"}, redbreaker.StateClosed, redbreaker.ModeForcedOpen, redbreaker.ErrRejected},
		{[]string{"force-closed", "dep", "--for", "1h"}, redbreaker.StateClosed, redbreaker.ModeForcedClosed, nil},
		{[]string{"shadow", "dep", "--for", "1h"}, redbreaker.StateClosed, redbreaker.ModeShadow, nil},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			onServers(t, func(t *testing.T, s server) {
				b := s.breaker(t, "dep", redbreaker.Policy{})
				out := s.must(t, append(tt.args, "--create", "--reason", "because", "--by", "ann@desk")...)
				if !strings.HasPrefix(out, tt.args[0]+": closed > ") {
					t.Errorf("it does not say what it did:\n%s", out)
				}
				got := s.inspect(t, "dep")
				if got.State != tt.state || got.Mode != tt.mode {
					t.Errorf("state %v, mode %v; want %v, %v", got.State, got.Mode, tt.state, tt.mode)
				}
				last := got.Log[len(got.Log)-1]
				if last.Cause != redbreaker.CauseOperator || last.By != "ann@desk" || last.Text != "because" {
					t.Errorf("log ends with %v", last)
				}
				permit, err := b.Acquire(ctx)
				permit.Success()
				if !errors.Is(err, tt.err) {
					t.Errorf("the next call gets %v, want %v", err, tt.err)
				}
			})
		})
	}
}

func TestControl_durations(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep", "--create", "--for", "90s")
		if got := s.inspect(t, "dep"); got.OpenFor != 90*time.Second {
			t.Errorf("opened for %v, want 1m30s", got.OpenFor)
		}
		s.must(t, "shadow", "dep", "--for", "2h")
		if got := s.inspect(t, "dep").ModeFor; got <= time.Hour || got > 2*time.Hour {
			t.Errorf("the mode lasts %v, want 2h", got)
		}
		s.must(t, "shadow", "dep", "--until-released")
		if got := s.inspect(t, "dep").ModeFor; got != 0 {
			t.Errorf("the mode ends in %v, want never", got)
		}
	})
}

func TestControl_release(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "force-open", "dep", "--until-released", "--create")
		out := s.must(t, "release", "dep")
		if got := s.inspect(t, "dep"); got.Mode != redbreaker.ModeAuto || got.State != redbreaker.StateClosed {
			t.Errorf("after release: %v, %v\n%s", got.State, got.Mode, out)
		}
	})
}

// A command by name keeps the policy that the fleet uses.
func TestControl_usesTheStoredPolicy(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		fails(t, s.breaker(t, "dep", redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: 7 * time.Minute}))
		s.must(t, "trip", "dep")
		if got := s.inspect(t, "dep"); got.OpenFor != 7*time.Minute {
			t.Errorf("opened for %v, want the policy's 7m", got.OpenFor)
		}
	})
}

func TestControl_ifEpoch(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "reset", "dep", "--if-epoch", "-1")
		epoch := s.inspect(t, "dep").Epoch
		for _, other := range []int64{-1, epoch + 1} {
			_, err := s.run("trip", "dep", "--if-epoch", fmt.Sprint(other))
			if !errors.Is(err, redbreaker.ErrConflict) || exitCode(err) != exitRefused {
				t.Errorf("of epoch %d: %v, exit code %d; want ErrConflict, 4", other, err, exitCode(err))
			}
		}
		if got := s.inspect(t, "dep"); got.Epoch != epoch {
			t.Errorf("a refused command changed the record: %v", got.Log)
		}
		s.must(t, "trip", "dep", "--if-epoch", strconv.FormatInt(epoch, 10))
	})
}

func TestControl_refusedInForcedMode(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "force-closed", "dep", "--until-released", "--create")
		for _, c := range []string{"trip", "half-open"} {
			if _, err := s.run(c, "dep"); !errors.Is(err, redbreaker.ErrForced) || exitCode(err) != exitRefused {
				t.Errorf("%s: %v, exit code %d; want ErrForced, 4", c, err, exitCode(err))
			}
		}
	})
}

func TestControl_namespacesAreApart(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep", "--create")
		_, err := execute("get", "dep", "--redis", s.addr, "--namespace", s.namespace+"-other")
		if exitCode(err) != exitAbsent {
			t.Errorf("in another namespace: %v", err)
		}
	})
}

func TestGet_absent(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		out, err := s.run("get", "dep")
		want := fmt.Sprintf("there is no breaker %q in namespace %q (key %q): check the name and --namespace; a breaker appears with its first call",
			"dep", s.namespace, s.namespace+":{dep}")
		if out != "" || err == nil || err.Error() != want || exitCode(err) != 3 {
			t.Errorf("prints %q, exits with %d for %v", out, exitCode(err), err)
		}
		if n := s.rdb.Exists(ctx, s.namespace+":{dep}").Val(); n != 0 {
			t.Error("get made a record")
		}
	})
}

func TestGet_json(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		fails(t, s.breaker(t, "dep", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}))
		var got struct {
			Name   string
			Exists bool
			Epoch  int64
			State  redbreaker.State
			Mode   redbreaker.Mode
			Trips  int
			Policy redbreaker.Policy
			Log    []struct {
				Cause redbreaker.Cause
				By    string
			}
		}
		if err := json.Unmarshal([]byte(s.must(t, "get", "dep", "-o", "json")), &got); err != nil {
			t.Fatal(err)
		}
		want := s.inspect(t, "dep")
		if !got.Exists || got.Name != "dep" || got.Epoch != want.Epoch || got.State != redbreaker.StateOpen || got.Trips != 1 {
			t.Errorf("got %+v", got)
		}
		if diff := cmp.Diff(*want.Policy, got.Policy); diff != "" {
			t.Errorf("policy (-want +got):\n%s", diff)
		}
		if n := len(got.Log); n != 2 || got.Log[1].Cause != redbreaker.CauseConsecutive || got.Log[1].By != "web-1" {
			t.Errorf("log is %+v", got.Log)
		}
	})
}

func TestGet_jsonOfAnAbsentBreaker(t *testing.T) {
	_, err := execute("get", "dep", "-o", "json", "--redis", "127.0.0.1:1")
	if exitCode(err) != exitFailure {
		t.Errorf("without a server it exits with %d", exitCode(err))
	}
	onServers(t, func(t *testing.T, s server) {
		out, err := s.run("get", "dep", "-o", "json")
		var got redbreaker.Snapshot
		if json.Unmarshal([]byte(out), &got) != nil || got.Exists || got.Epoch != -1 {
			t.Errorf("prints %s", out)
		}
		if exitCode(err) != exitAbsent {
			t.Errorf("exits with %d", exitCode(err))
		}
	})
}

func TestGet_text(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		fails(t, s.breaker(t, "dep", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}))
		out := s.must(t, "get", "dep")
		for _, want := range []string{
			"name               dep\n",
			"key                " + s.namespace + ":{dep} in redis at " + s.addr + "\n",
			"opened             once for 1h0m0s\n",
			"policy             consecutive_failures=1 open_for=1h0m0s probes=1 successes=1 lease=1h0m0s\nfingerprint        " + s.inspect(t, "dep").Fingerprint + "\n\nAGO ",
			"closed  open    consecutive  web-1  streak=1 *errors.errorString\n",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
	})
}

// REDBREAKER_REDIS and REDBREAKER_NAMESPACE replace the flags.
func TestConnection_environment(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		t.Setenv(envRedis, s.addr)
		t.Setenv(envNamespace, s.namespace)
		if out, err := execute("trip", "dep", "--create"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := s.inspect(t, "dep").State; got != redbreaker.StateOpen {
			t.Errorf("state is %v", got)
		}
		if _, err := execute("get", "dep", "-n", s.namespace+"-other"); exitCode(err) != exitAbsent {
			t.Errorf("-n does not override the environment: %v", err)
		}
	})
}

// A command on a breaker that does not exist is refused and makes no record.
func TestControl_absent(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for _, c := range controls {
			args := []string{c.use, "paymnts"}
			if c.term == modeTerm {
				args = append(args, "--for", "1m")
			}
			out, err := s.run(args...)
			var absent *absentError
			if !errors.As(err, &absent) || exitCode(err) != exitAbsent || out != "" {
				t.Errorf("%s: %v, exit code %d, prints %q", c.use, err, exitCode(err), out)
			}
		}
		if _, err := s.run("trip", "paymnts", "--if-epoch", "1"); exitCode(err) != exitAbsent {
			t.Errorf("with an epoch: %v", err)
		}
		if n := s.rdb.Exists(ctx, s.namespace+":{paymnts}").Val(); n != 0 {
			t.Error("a refused command made a record")
		}
	})
}

// The commands say what they did.
func TestControl_describesChange(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for _, tt := range []struct{ args, want string }{
			{"trip dep --create --for 1d", "trip: closed > open for 24h0m0s"},
			{"reset dep", "reset: open > closed"},
			{"half-open dep", "half-open: closed > half_open"},
			{"force-open dep --for 1h", "force-open: half_open > closed/forced_open"},
			{"shadow dep --for 1h", "shadow: closed/forced_open > closed/shadow"},
			{"release dep", "release: closed/shadow > closed"},
			{"release dep", "release: nothing changed, the breaker has no mode to end"},
		} {
			first, _, _ := strings.Cut(s.must(t, strings.Fields(tt.args)...), "\n")
			if first != tt.want {
				t.Errorf("%s: got %q, want %q", tt.args, first, tt.want)
			}
		}
	})
}

// A trip of an open circuit begins a new open period, and says so.
func TestControl_tripOfOpenCircuit(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep", "--create", "--for", "1h")
		before := s.inspect(t, "dep")
		first, _, _ := strings.Cut(s.must(t, "trip", "dep", "--for", "2h"), "\n")
		after := s.inspect(t, "dep")
		if want := "trip: open > open for 2h0m0s"; first != want || after.Epoch == before.Epoch || after.OpenFor != 2*time.Hour {
			t.Errorf("got %q, want %q; open for %v", first, want, after.OpenFor)
		}
	})
}

// Another process that changes the breaker in between does not fail the command.
func TestOrder_repeatsAfterConflict(t *testing.T) {
	m, rdb := redistest.Mini(t)
	s := server{m.Addr(), "shop", rdb}
	s.must(t, "reset", "dep", "--create")
	changes := 0
	m.Server().SetPreHook(func(_ *miniserver.Peer, cmd string, args ...string) bool {
		if cmd == "EVALSHA" && len(args) > 6 && changes < 3 { // a control command
			changes++
			head := m.HGet("shop:{dep}", "head")
			var epoch int64
			_, after, _ := strings.Cut(head, "epoch=")
			_, _ = fmt.Sscanf(after, "%d", &epoch)
			m.HSet("shop:{dep}", "head", strings.Replace(head, fmt.Sprint(epoch), fmt.Sprint(epoch+1), 1))
		}
		return false
	})
	out, err := s.run("trip", "dep")
	if err != nil || changes != 3 || !strings.Contains(out, "open for ") {
		t.Errorf("%v after %d changes\n%s", err, changes, out)
	}
}

func TestGet_severalNames(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "one", "--create")
		s.must(t, "reset", "two", "--create")
		out, err := s.run("get", "two", "none", "one")
		if exitCode(err) != exitAbsent || !strings.Contains(err.Error(), `no breaker "none"`) {
			t.Errorf("exit code %d for %v", exitCode(err), err)
		}
		if names := regexp.MustCompile(`(?m)^name +(.*)$`).FindAllString(out, -1); len(names) != 2 ||
			!strings.HasSuffix(names[0], " two") || !strings.HasSuffix(names[1], " one") {
			t.Errorf("prints %q", names)
		}
		out, err = s.run("get", "two", "none", "one", "-o", "json")
		var list []struct {
			Name   string
			Exists bool
		}
		if exitCode(err) != exitAbsent || json.Unmarshal([]byte(out), &list) != nil || len(list) != 3 || list[1].Exists || !list[2].Exists {
			t.Errorf("exit code %d, prints %s", exitCode(err), out)
		}
	})
}

// A name may look like the prefix of errors or control a terminal.
func TestGet_hostileNames(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for name, want := range map[string]string{
			"redbreaker: x":               `redbreaker: there is no breaker "redbreaker: x" in namespace `,
			"a\x1b[2Jb\nc":                `redbreaker: there is no breaker "a\x1b[2Jb\nc" in namespace `,
			strings.Repeat("ä", 99):       `redbreaker: there is no breaker "` + strings.Repeat("ä", 32) + `"... in namespace `,
			"a" + strings.Repeat("ä", 99): `redbreaker: there is no breaker "a` + strings.Repeat("ä", 31) + `"... in namespace `,
		} {
			_, err := s.run("get", name)
			if err == nil || !strings.HasPrefix(errorText(err), want) {
				t.Errorf("%q: got %q, want %q", name, errorText(err), want)
			}
			if text := errorText(err); strings.ContainsAny(text, "\x1b\n") || len(text) > 500 {
				t.Errorf("%q: unprintable or long: %q", name, text)
			}
			out := s.must(t, "trip", name, "--create")
			if strings.Contains(out, "\x1b") || strings.Contains(out, "b\nc") {
				t.Errorf("%q: prints %q", name, out)
			}
		}
	})
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		out, err := execute(arg)
		if err != nil || !strings.HasPrefix(out, "redbreaker ") || !strings.HasSuffix(out, "\n") {
			t.Errorf("%s prints %q, %v", arg, out, err)
		}
	}
	if got := formatVersion(nil, false); got != "redbreaker (unknown version)" {
		t.Errorf("without build information: %q", got)
	}
}

// The help lists the exit codes, the completion, and the demo's flags in its order.
func TestHelp(t *testing.T) {
	out, err := execute("--help")
	if err != nil || !strings.Contains(out, exitCodesHelp) || !strings.Contains(out, "completion ") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, code := range []int{0, exitFailure, exitUsage, exitAbsent, exitRefused} {
		if !strings.Contains(exitCodesHelp, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("exit code %d is not documented", code)
		}
	}
	if out, err = execute("trip", "--help"); err != nil || !strings.Contains(out, exitCodesHelp) {
		t.Errorf("trip: %v\n%s", err, out)
	}
	out, err = execute("demo", "--help")
	order := regexp.MustCompile(`(?m)^ +(?:-n, )?--([a-z-]+)`).FindAllStringSubmatch(out, 5)
	if err != nil || len(order) < 5 || order[0][1] != "replicas" || order[2][1] != "healthy" || order[3][1] != "failing" || order[4][1] != "recovered" {
		t.Errorf("flags %q, %v", order, err)
	}
	if out, err := execute("completion", "bash"); err != nil || !strings.Contains(out, "__start_redbreaker") {
		t.Errorf("completion: %v, %.80s", err, out)
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "2h": 2 * time.Hour, "1d": 24 * time.Hour, "1d12h": 36 * time.Hour, "366d": 366 * 24 * time.Hour,
	} {
		var d days
		if err := d.Set(text); err != nil || time.Duration(d) != want {
			t.Errorf("%s is %v, %v; want %v", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{"", "d", "1.5d", "-1d", "1d-2h", "1d24h", "1h1d", "99999999999d", "soon"} {
		var d days
		if err := d.Set(text); err == nil {
			t.Errorf("%q is %v, want an error", text, time.Duration(d))
		}
	}
}
