package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

func TestWriteText(t *testing.T) {
	opened := redbreaker.Snapshot{
		Name: "payments", Exists: true, Epoch: 1838594888820224,
		State: redbreaker.StateOpen, Age: 18800 * time.Millisecond, RetryAfter: 71234 * time.Millisecond,
		OpenFor: 90 * time.Second, Trips: 2, Calls: 65, Failures: 31, Slow: 4,
		Reporters: []string{"web-2", "web-1"},
		Policy: &redbreaker.Policy{
			ConsecutiveFailures: 5, OpenFor: time.Minute, MinReporters: 2,
			Window:   redbreaker.Window{Period: time.Minute, FailureRate: 0.5, MinCalls: 20, SlowCallRate: 0.8, SlowCallDuration: time.Second},
			Backoff:  redbreaker.Backoff{Multiplier: 1.5, Max: time.Hour, Jitter: 0.1},
			HalfOpen: redbreaker.HalfOpen{Probes: 3, Successes: 2, Lease: 30 * time.Second},
		},
		Fingerprint: "36c82cee",
		Log: []redbreaker.Transition{
			{Cause: redbreaker.CauseCreated, Ago: 26*time.Hour + 1234*time.Millisecond},
			{To: redbreaker.StateOpen, Cause: redbreaker.CauseConsecutive, Tally: "streak=5", By: "web-2", Text: "*net.OpError", Ago: 18800 * time.Millisecond},
		},
	}
	at := newTestSession(t, "10.0.0.1:6379", "shop")
	for _, tt := range []struct {
		name string
		s    redbreaker.Snapshot
		want string
	}{
		{"open", opened, `name               payments
key                shop:{payments} in redis at 10.0.0.1:6379
state              open for 18.8s, probes may start in 1m11.2s
mode               auto
epoch              1838594888820224
opened             2 times in a row for 1m30s
failures in a row  0
window             65 calls, 31 failed, 4 slow
reporters          web-2, web-1
policy             consecutive_failures=5 period=1m0s failure_rate=0.5 slow_call_rate=0.8 slow_call_duration=1s min_calls=20 open_for=1m0s multiplier=1.5 max=1h0m0s jitter=0.1 probes=3 successes=2 lease=30s min_reporters=2
fingerprint        36c82cee

AGO      FROM    TO      CAUSE        BY     WHAT
26h0m1s  closed  closed  created      -      -
18.8s    closed  open    consecutive  web-2  streak=5 *net.OpError
`},
		{"open and overdue", redbreaker.Snapshot{Name: "x", Exists: true, Epoch: 1, State: redbreaker.StateOpen, OpenFor: time.Second, Trips: 1}, `name               x
key                shop:{x} in redis at 10.0.0.1:6379
state              open for 0s, the next call is a probe
mode               auto
epoch              1
opened             once for 1s
failures in a row  0
`},
		{"all probe slots taken", redbreaker.Snapshot{Name: "x", Exists: true, Epoch: 1, State: redbreaker.StateHalfOpen, RetryAfter: 2 * time.Second,
			Probes: &redbreaker.ProbeRound{Probes: 3, Successes: 2, Outstanding: 2, Succeeded: 1, Lapsed: 1}}, `name               x
key                shop:{x} in redis at 10.0.0.1:6379
state              half_open for 0s, all probe slots are taken, the next is free in 2s at the latest
mode               auto
epoch              1
failures in a row  0
probes             1 succeeded, 0 failed, 2 in flight, 1 outlived their lease; 2 of 3 must succeed
`},
		{"texts of other programs are quoted", redbreaker.Snapshot{Name: "a\x1b[2J", Exists: true, Epoch: 1,
			Mode: redbreaker.ModeForcedOpen, ModeFor: time.Minute, ModeBy: "ann\nbob", ModeReason: "\x1b]0;x\a", Unreadable: []string{"w1"}}, `name               "a\x1b[2J"
key                shop:{a%1B%5B2J} in redis at 10.0.0.1:6379
state              closed for 0s
mode               forced_open for 1m0s more (all calls are rejected), by "ann\nbob": "\x1b]0;x\a"
epoch              1
failures in a row  0
unreadable         w1; the next step that needs one of them replaces the record
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := writeText(&out, at, &tt.s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// newTestSession returns a session that is not connected.
func newTestSession(t *testing.T, addr, namespace string) *session {
	t.Helper()
	server, err := target.Parse(addr, target.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := cluster.New(namespace)
	if err != nil {
		t.Fatal(err)
	}
	return &session{server: server, namespace: namespace, keys: keys}
}

// A log shows of a tally the same as Transition.String.
func TestDescribeCause(t *testing.T) {
	for tally, want := range map[string]string{
		"": "", "streak=5 calls=0 failures=0 slow=0": "streak=5", "streak=0 calls=20 failures=12 slow=0": "streak=0 calls=20 failures=12 slow=0",
	} {
		move := redbreaker.Transition{Tally: tally}
		if got := describeCause(&move); got != want || !strings.HasSuffix(strings.TrimSpace(move.String()), got) {
			t.Errorf("%q: %q, want %q; String returns %q", tally, got, want, move)
		}
	}
}
