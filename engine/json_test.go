package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/engine"
)

// fullPolicy has every field set.
var fullPolicy = engine.Policy{
	ConsecutiveFailures: 4,
	Window: engine.Window{Period: 90 * time.Second, FailureRate: 0.5, FailureCount: 30, SlowCallRate: 0.25,
		SlowCallDuration: 1500 * time.Millisecond, MinCalls: 20},
	OpenFor: time.Minute, Backoff: engine.Backoff{Multiplier: 2, Max: time.Hour, Jitter: 0.1},
	HalfOpen: engine.HalfOpen{Probes: 3, Successes: 2, Lease: 10 * time.Second, AllowSlow: true},
	Ramp:     engine.Ramp{Over: time.Minute, From: 0.2},
	Initial:  engine.Initial{State: engine.StateHalfOpen, Mode: engine.ModeShadow}, MinReporters: 2, IdleTTL: 48 * time.Hour,
}

const fullJSON = `{
	"consecutive_failures": 4,
	"window": {"period": "1m30s", "failure_rate": 0.5, "failure_count": 30, "slow_call_rate": 0.25, "slow_call_duration": "1.5s", "min_calls": 20},
	"open_for": "1m0s",
	"backoff": {"multiplier": 2, "max": "1h0m0s", "jitter": 0.1},
	"half_open": {"probes": 3, "successes": 2, "lease": "10s", "allow_slow": true},
	"ramp": {"over": "1m0s", "from": 0.2},
	"initial": {"state": "half_open", "mode": "shadow"},
	"min_reporters": 2,
	"idle_ttl": "48h0m0s"
}`

// sameJSON compares two texts by what they say.
func sameJSON(t *testing.T, want string, got any) {
	t.Helper()
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("JSON of %T (-want +got):\n%s", got, diff)
	}
}

func TestPolicy_json(t *testing.T) {
	sameJSON(t, fullJSON, fullPolicy)
	var p engine.Policy
	if err := json.Unmarshal([]byte(fullJSON), &p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullPolicy, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	sameJSON(t, `{}`, engine.Policy{})
	sameJSON(t, `{"calls": 10, "failure_count": 5}`, engine.Window{Calls: 10, FailureCount: 5})
}

// TestPolicy_json_strict: a misspelt threshold or a number without a unit must
// not silently become a default.
func TestPolicy_json_strict(t *testing.T) {
	for text, want := range map[string]string{
		`{"consecutive_failure": 3}`:                  `unknown field "consecutive_failure"`,
		`{"window": {"calls": 10, "failure_rat": 1}}`: `unknown field "failure_rat"`,
		`{"backoff": {"factor": 2}}`:                  `unknown field "factor"`,
		`{"half_open": {"probe": 2}}`:                 `unknown field "probe"`,
		`{"open_for": 60}`:                            `cannot unmarshal number`,
		`{"open_for": "60"}`:                          `"60" is not a duration, write one such as "1m30s"`,
		`{"window": {"period": "a while"}}`:           `"a while" is not a duration`,
		`{"window": {"slow_call_duration": ""}}`:      `"" is not a duration`,
		`{"backoff": {"max": "1 hour"}}`:              `"1 hour" is not a duration`,
		`{"half_open": {"lease": {}}}`:                `cannot unmarshal object`,
		`{"idle_ttl": "1d"}`:                          `"1d" is not a duration`,
		`{"min_reporters": "two"}`:                    `cannot unmarshal string`,
		`{"window": {"failure_rate": "50%"}}`:         `cannot unmarshal string`,
		`[]`:                                          `cannot unmarshal array`,
		`{"consecutive_failures": 3, "open_for": "1m`: `unexpected end`,
	} {
		var p engine.Policy
		if err := json.Unmarshal([]byte(text), &p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	var p engine.Policy
	if err := json.Unmarshal([]byte(`{"open_for": "60"}`), &p); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("%v is not ErrInvalid", err)
	}
}

// TestPolicy_tags: each field of a policy has one name, in JSON and in YAML.
func TestPolicy_tags(t *testing.T) {
	for _, v := range []any{engine.Policy{}, engine.Window{}, engine.Backoff{}, engine.HalfOpen{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			yaml, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" || name != yaml || option != "omitempty" || strings.ToLower(name) != name {
				t.Errorf("%v.%s has the tags %s", typ, f.Name, f.Tag)
			}
		}
	}
}

// TestPolicy_json_keepsAbsent: JSON read over defaults changes only the fields that
// it has, at any depth, and nothing if it is invalid.
func TestPolicy_json_keepsAbsent(t *testing.T) {
	p := fullPolicy
	if err := json.Unmarshal([]byte(`{"window": {"failure_count": 7}, "half_open": {"lease": "1s"}, "backoff": {}, "min_reporters": 3}`), &p); err != nil {
		t.Fatal(err)
	}
	want := fullPolicy
	want.Window.FailureCount, want.HalfOpen.Lease, want.MinReporters = 7, time.Second, 3
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"min_reporters": 4, "open_for": 1}`), &p); err == nil {
		t.Fatal("a number is no duration")
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("after an error (-want +got):\n%s", diff)
	}
}

func TestCommand_json(t *testing.T) {
	sameJSON(t, `{"action": "force_open", "for": "1m0s", "reason": "deploy", "actor": "ops", "if_epoch": 7}`,
		engine.Command{Action: engine.ActionForceOpen, For: time.Minute, Reason: "deploy", Actor: "ops", IfEpoch: 7})
	var c engine.Command
	if err := json.Unmarshal([]byte(`{"action": "trip", "four": "1m"}`), &c); err == nil {
		t.Error("a misspelt field was ignored")
	}
}

func TestEvent_json(t *testing.T) {
	sameJSON(t, `{"kind": "restored", "name": "payments", "outage": "1m0s", "admitted": 3, "rejected": 2, "outcomes": 1}`,
		engine.Event{Kind: engine.EventRestored, Name: "payments", Outage: time.Minute, Admitted: 3, Rejected: 2, Outcomes: 1})
	sameJSON(t, `{"kind": "degraded", "name": "payments", "err": "EOF"}`,
		engine.Event{Kind: engine.EventDegraded, Name: "payments", Err: io.EOF})
}

// TestJSON_roundTrips: whatever marshals reads back to the same value.
func TestJSON_roundTrips(t *testing.T) {
	roundTrips[engine.Policy](t)
	roundTrips[engine.Window](t)
	roundTrips[engine.Backoff](t)
	roundTrips[engine.Ramp](t)
	roundTrips[engine.HalfOpen](t)
	roundTrips[engine.Status](t)
	roundTrips[engine.Snapshot](t)
	roundTrips[engine.ProbeRound](t)
	roundTrips[engine.Transition](t)
	roundTrips[engine.Command](t)
	roundTrips[engine.Event](t)
	roundTrips[engine.Reply](t)
	roundTrips[engine.Result](t)
}

func roundTrips[T any](t *testing.T) {
	values := rapid.MakeCustom[T](rapid.MakeConfig{Types: map[reflect.Type]*rapid.Generator[any]{
		reflect.TypeFor[engine.State]():   rapid.Custom(func(t *rapid.T) any { return engine.State(rapid.IntRange(0, 2).Draw(t, "state")) }),
		reflect.TypeFor[engine.Mode]():    rapid.Custom(func(t *rapid.T) any { return engine.Mode(rapid.IntRange(0, 3).Draw(t, "mode")) }),
		reflect.TypeFor[engine.Outcome](): rapid.Custom(func(t *rapid.T) any { return engine.Outcome(rapid.IntRange(0, 5).Draw(t, "outcome")) }),
		reflect.TypeFor[engine.Action]():  rapid.Custom(func(t *rapid.T) any { return engine.Action(rapid.IntRange(0, 7).Draw(t, "action")) }),
		reflect.TypeFor[engine.EventKind](): rapid.Custom(func(t *rapid.T) any {
			return engine.EventKind(rapid.IntRange(0, int(engine.EventReady)).Draw(t, "kind"))
		}),
		reflect.TypeFor[error](): rapid.Custom(func(t *rapid.T) any {
			return errors.New(rapid.StringN(1, -1, -1).Draw(t, "error"))
		}),
	}})
	ofThisProcess := cmpopts.IgnoreFields(engine.Transition{}, "Err")
	sameText := cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	rapid.Check(t, func(t *rapid.T) {
		want := values.Draw(t, "value")
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got T
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if diff := cmp.Diff(want, got, sameText, ofThisProcess, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", data, diff)
		}
	})
}

func TestStatus_json(t *testing.T) {
	sameJSON(t, `{"state": "open", "mode": "shadow", "retry_after": "1.5s", "mode_for": "1h0m0s", "age": "20ms", "degraded": true}`,
		engine.Status{State: engine.StateOpen, Mode: engine.ModeShadow, RetryAfter: 1500 * time.Millisecond, ModeFor: time.Hour,
			Age: 20 * time.Millisecond, Degraded: true})
}

func TestTransition_json(t *testing.T) {
	sameJSON(t, `{"name": "payments", "n": 12, "epoch": 7, "was": 6, "for": "1m30s", "at_ms": 1000, "ago": "3s", "from": "closed", "to": "open", "from_mode": "auto",
		"to_mode": "auto", "cause": "consecutive", "tally": "streak=2", "by": "web-1", "text": "503"}`,
		engine.Transition{Name: "payments", N: 12, Epoch: 7, Was: 6, For: 90 * time.Second, At: 1000, Ago: 3 * time.Second, To: engine.StateOpen,
			Cause: engine.CauseConsecutive, Tally: "streak=2", By: "web-1", Text: "503"})
}

func TestSnapshot_json(t *testing.T) {
	s := engine.Snapshot{
		Name: "payments", Exists: true, Epoch: 7, State: engine.StateHalfOpen, Mode: engine.ModeShadow, Age: time.Minute,
		RetryAfter: time.Second, OpenFor: 5 * time.Second, Trips: 2, ModeFor: time.Hour, ModeReason: "deploy", ModeBy: "ops",
		Streak: 1, Calls: 4, Failures: 2, Slow: 1, Reporters: []string{"web-1"}, Fingerprint: "a1b2c3d4",
		Probes: &engine.ProbeRound{Probes: 3, Successes: 2, Lease: 10 * time.Second, Granted: 4, Outstanding: 1, Succeeded: 1, Lapsed: 1, Late: 1},
		Policy: &engine.Policy{OpenFor: time.Minute},
		Log:    []engine.Transition{{N: 3, Epoch: 7, To: engine.StateHalfOpen, Cause: engine.CauseElapsed, Ago: time.Minute}},
	}
	sameJSON(t, `{"name": "payments", "exists": true, "epoch": 7, "state": "half_open", "mode": "shadow", "age": "1m0s",
		"retry_after": "1s", "open_for": "5s", "trips": 2, "mode_for": "1h0m0s", "mode_reason": "deploy", "mode_by": "ops",
		"streak": 1, "calls": 4, "failures": 2, "slow": 1, "reporters": ["web-1"], "fingerprint": "a1b2c3d4",
		"probes": {"probes": 3, "successes": 2, "lease": "10s", "granted": 4, "outstanding": 1, "succeeded": 1, "failed": 0, "lapsed": 1, "late": 1},
		"policy": {"open_for": "1m0s"},
		"log": [{"n": 3, "epoch": 7, "at_ms": 0, "ago": "1m0s", "from": "closed", "to": "half_open", "from_mode": "auto", "to_mode": "auto", "cause": "elapsed"}]}`, s)
}

// TestNames: states and modes are read and written as text, and what has no name
// is shown as a number.
func TestNames(t *testing.T) {
	for s := engine.StateClosed; s <= engine.StateHalfOpen; s++ {
		var back engine.State
		if text, _ := s.MarshalText(); back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v came back as %v", s, back)
		}
	}
	for m := engine.ModeAuto; m <= engine.ModeShadow; m++ {
		var back engine.Mode
		if text, _ := m.MarshalText(); back.UnmarshalText(text) != nil || back != m {
			t.Errorf("%v came back as %v", m, back)
		}
	}
	var s engine.State
	want := `redbreaker: "ajar" is not a state, use one of closed, open, half_open: invalid argument`
	if err := s.UnmarshalText([]byte("ajar")); err == nil || err.Error() != want || !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("%v, want %s", err, want)
	}
	var m engine.Mode
	if err := m.UnmarshalText(nil); err == nil {
		t.Error("no name is a mode")
	}
	for _, test := range []struct{ got, want string }{
		{engine.State(9).String(), "state(9)"}, {engine.Mode(9).String(), "mode(9)"},
		{engine.Outcome(9).String(), "outcome(9)"}, {engine.SlowFailure.String(), "slow_failure"},
		{engine.ActionForceOpen.String(), "force_open"}, {engine.EventDropped.String(), "dropped"},
		{engine.ClassNotExecuted.String(), "not executed"}, {engine.Class(9).String(), "class(9)"},
		{string(engine.Outcome(9).Code()), "?"}, {string(engine.Outcome(0).Code()), "?"}, {string(engine.SlowSuccess.Code()), "S"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}
