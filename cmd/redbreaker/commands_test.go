package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
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
				s.must(t, append(tt.args, "--reason", "because", "--by", "ann@desk")...)
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
		s.must(t, "trip", "dep", "--for", "90s")
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
		s.must(t, "force-open", "dep", "--until-released")
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
			if !errors.Is(err, redbreaker.ErrConflict) {
				t.Errorf("of epoch %d: %v, want ErrConflict", other, err)
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
		s.must(t, "force-closed", "dep", "--until-released")
		for _, c := range []string{"trip", "half-open"} {
			if _, err := s.run(c, "dep"); !errors.Is(err, redbreaker.ErrForced) {
				t.Errorf("%s: %v, want ErrForced", c, err)
			}
		}
	})
}

func TestControl_namespacesAreApart(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep")
		_, err := execute("get", "dep", "--redis", s.addr, "--namespace", s.namespace+"-other")
		if exitCode(err) != exitAbsent {
			t.Errorf("in another namespace: %v", err)
		}
	})
}

func TestGet_absent(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		out, err := s.run("get", "dep")
		want := fmt.Sprintf("there is no breaker %q in namespace %q; one begins with its first call", "dep", s.namespace)
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
	if exitCode(err) != exitError {
		t.Errorf("without a server it exits with %d", exitCode(err))
	}
	onServers(t, func(t *testing.T, s server) {
		out, err := s.run("get", "dep", "-o", "json")
		var got redbreaker.Snapshot
		if json.Unmarshal([]byte(strings.NewReplacer(`"0s"`, "0").Replace(out)), &got) != nil || got.Exists || got.Epoch != -1 {
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
			"opened             once for 1h0m0s\n",
			"policy             consecutive_failures=1 open_for=1h0m0s probes=1 successes=1 lease=1h0m0s\n\nAGO ",
			"closed  open    consecutive  web-1  streak=1 calls=0 failures=0 slow=0 *errors.errorString\n",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
	})
}

// REDBREAKER_REDIS names the server where --redis does not.
func TestConnection_environment(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		t.Setenv(envRedis, s.addr)
		if out, err := execute("trip", "dep", "--namespace", s.namespace); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := s.inspect(t, "dep").State; got != redbreaker.StateOpen {
			t.Errorf("state is %v", got)
		}
	})
}

func TestVersion(t *testing.T) {
	out, err := execute("version")
	if err != nil || !strings.HasPrefix(out, "redbreaker ") {
		t.Errorf("prints %q, %v", out, err)
	}
	if got := version(nil, false); got != "redbreaker (unknown version)" {
		t.Errorf("without build information: %q", got)
	}
}
