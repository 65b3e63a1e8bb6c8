package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// driven returns a record that a few steps have made, and the time after them.
func driven(t testing.TB, p engine.Policy, mode engine.Action, outcomes ...engine.Outcome) (engine.Record, int64) {
	t.Helper()
	rules := mustRules(t, p)
	var r engine.Record
	now := int64(start)
	if mode != 0 {
		if _, err := r.Control(rules, now, 3, engine.Command{Action: mode, For: time.Hour, Actor: "ops", Reason: "a reason"}); err != nil {
			t.Fatal(err)
		}
	}
	epoch := r.Step(rules, now, 3, engine.Batch{Admissions: 1}).Epoch
	for i, o := range outcomes {
		now += 700
		r.Step(rules, now, 5, engine.Batch{Reporter: fmt.Sprintf("web-%d", i%3), Results: []engine.Result{
			{Ticket: engine.Ticket{Epoch: epoch}, Runs: []engine.Run{{Outcome: o, N: 1}}},
		}})
	}
	return r, now
}

func mustRules(t testing.TB, p engine.Policy) *engine.Rules {
	t.Helper()
	rules, err := p.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return &rules
}

// TestRecord_roundTrip: a written record reads back to the same record, in any order
// of the fields, and behaves as before.
func TestRecord_roundTrip(t *testing.T) {
	window := engine.Window{Period: 10 * time.Second, FailureCount: 5, SlowCallRate: 0.5, SlowCallDuration: time.Second, MinCalls: 10}
	outcomes := []engine.Outcome{engine.Success, engine.Failure, engine.SlowSuccess, engine.SlowFailure, engine.Success}
	for name, made := range map[string]func() (engine.Record, int64){
		"absent": func() (engine.Record, int64) { return engine.Record{}, start },
		"closed": func() (engine.Record, int64) { return driven(t, engine.Policy{}, 0) },
		"streak": func() (engine.Record, int64) { return driven(t, engine.Policy{}, 0, engine.Failure, engine.Failure) },
		"open": func() (engine.Record, int64) {
			return driven(t, engine.Policy{ConsecutiveFailures: 1}, 0, engine.Failure)
		},
		"time window": func() (engine.Record, int64) { return driven(t, engine.Policy{Window: window}, 0, outcomes...) },
		"count window": func() (engine.Record, int64) {
			return driven(t, engine.Policy{Window: engine.Window{Calls: 4, FailureCount: 3}}, 0, outcomes...)
		},
		"reporters": func() (engine.Record, int64) {
			return driven(t, engine.Policy{MinReporters: 3, ConsecutiveFailures: 9}, 0, outcomes...)
		},
		"half-open": func() (engine.Record, int64) { return driven(t, engine.Policy{}, engine.ActionHalfOpen) },
		"forced":    func() (engine.Record, int64) { return driven(t, engine.Policy{}, engine.ActionForceOpen) },
		"shadow": func() (engine.Record, int64) {
			return driven(t, engine.Policy{Window: window}, engine.ActionShadow, outcomes...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, now := made()
			fields := r.Fields()
			shuffled := slices.Clone(fields)
			slices.Reverse(shuffled)
			back, err := engine.ParseRecord(shuffled)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fields, back.Fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			rules := mustRules(t, engine.Policy{})
			b := engine.Batch{Admissions: 2}
			if diff := cmp.Diff(r.Step(rules, now+1, 9, b), back.Step(rules, now+1, 9, b)); diff != "" {
				t.Errorf("the next reply (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(r.Fields(), back.Fields()); diff != "" {
				t.Errorf("fields after another step (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRecord_unknownFields: a neighbouring release's fields are kept as they are.
func TestRecord_unknownFields(t *testing.T) {
	later := []engine.Field{{Name: "hue", Value: "orange"}, {Name: "log:16", Value: ""}, {Name: "w01x", Value: "1"}, {Name: "w79", Value: "?"}}
	var own engine.Record
	own.Step(mustRules(t, engine.Policy{}), start, 0, engine.Batch{})
	r, err := engine.ParseRecord(append(own.Fields(), later...))
	if err != nil {
		t.Fatal(err)
	}
	r.Step(mustRules(t, engine.Policy{}), start, 0, engine.Batch{})
	all := r.Fields()
	if diff := cmp.Diff(later, all[len(all)-len(later):]); diff != "" {
		t.Errorf("after a step (-want +got):\n%s", diff)
	}
}

// TestParseRecord_foreign: fields without a readable head are a record if a field
// is there that each record has, and another application's otherwise.
func TestParseRecord_foreign(t *testing.T) {
	for _, test := range []struct {
		fields  []engine.Field
		foreign bool
	}{
		{nil, false},
		{[]engine.Field{{Name: "email", Value: "a@b.c"}}, true},
		{[]engine.Field{{Name: "head", Value: "left"}, {Name: "tail", Value: "right"}}, true},
		{[]engine.Field{{Name: "policy", Value: "gold"}, {Name: "mode", Value: "dark"}, {Name: "w0", Value: "1"}}, true},
		{[]engine.Field{{Name: "tally", Value: "junk"}}, false},
		{[]engine.Field{{Name: "head", Value: "junk"}, {Name: "tally", Value: ""}}, false},
		{[]engine.Field{{Name: "head", Value: "junk"}, {Name: "log:15", Value: "junk"}}, false},
		{[]engine.Field{{Name: "log:00", Value: ""}, {Name: "email", Value: "a@b.c"}}, false},
	} {
		_, err := engine.ParseRecord(test.fields)
		if errors.Is(err, engine.ErrForeignKey) != test.foreign || !test.foreign && err != nil {
			t.Errorf("%v: %v, foreign is %v", test.fields, err, test.foreign)
		}
	}
}

// TestParseRecord_newerSchema: a record of a later layout is not touched, one of
// an impossible layout is.
func TestParseRecord_newerSchema(t *testing.T) {
	for text, newer := range map[string]bool{
		"2 closed auto": true, "17 ": true, "9007199254740991 x": true,
		"1 closed": false, "0 closed": false, "2": false, "": false, "2x closed": false, "-2 x": false, "9007199254740992 x": false,
	} {
		_, err := engine.ParseRecord([]engine.Field{{Name: "head", Value: text}, {Name: "log:00"}})
		if errors.Is(err, engine.ErrNewerLayout) != newer || !newer && err != nil {
			t.Errorf("%q: %v, newer is %v", text, err, newer)
		}
		_, err = engine.ParseRecord([]engine.Field{{Name: "head", Value: "1 closed"}, {Name: "tally", Value: text}})
		if errors.Is(err, engine.ErrNewerLayout) != newer || !newer && err != nil {
			t.Errorf("tally %q: %v, newer is %v", text, err, newer)
		}
	}
}

// TestToken: nothing in a caller's text can be taken for the record's grammar.
func TestToken(t *testing.T) {
	for text, want := range map[string]string{
		"": "-", "-": "%2D", "--": "--", "web-1.example_2": "web-1.example_2",
		"a b": "a%20b", "50%": "50%25", "x=1\n": "x%3D1%0A", "é": "%C3%A9", "\xff\x00": "%FF%00", "%41": "%2541",
	} {
		if got := engine.EncodeToken(text); got != want {
			t.Errorf("Token(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestToken_log: what goes into the log comes out as it was, but for its end.
func TestToken_log(t *testing.T) {
	for _, text := range []string{"-", "a b=c>d\n\x00", "%zz", "50%", "%4", "日本語", "\xff"} {
		entry := "1 7 1000 closed>open operator by=" + engine.EncodeToken(text)
		got, ok := engine.ParseTransition(entry)
		if !ok || got.By != text {
			t.Errorf("%q came back as %q (%v)", text, got.By, ok)
		}
	}
	// What token would not have written stays as it is.
	if got, _ := engine.ParseTransition("1 7 1000 closed>open operator by=%2g%ab%4"); got.By != "%2g%ab%4" {
		t.Errorf("got %q", got.By)
	}
}

// TestToken_clip: 64 bytes of a text are kept, cut at a rune.
func TestToken_clip(t *testing.T) {
	for _, test := range []struct {
		text string
		want int
	}{
		{strings.Repeat("a", 64), 64}, {strings.Repeat("a", 65), 64},
		{strings.Repeat("é", 33), 64}, {"a" + strings.Repeat("é", 33), 63},
		{strings.Repeat("日", 30), 63}, {strings.Repeat("😀", 20), 64}, {"aa" + strings.Repeat("😀", 20), 62},
		{strings.Repeat("\x80", 100), 60}, // no rune begins: at most a rune's length is given up
	} {
		got, _ := engine.ParseTransition("1 7 1000 closed>open operator text=" + engine.EncodeToken(test.text))
		if len(got.Text) != test.want || !strings.HasPrefix(test.text, got.Text) || utf8.ValidString(test.text) != utf8.ValidString(got.Text) {
			t.Errorf("%q (%d bytes) was cut to %q (%d bytes), want %d", test.text, len(test.text), got.Text, len(got.Text), test.want)
		}
	}
}

func TestMatch(t *testing.T) {
	var n int64
	var s string
	for text, want := range map[string]bool{
		"at=12 by=web-1": true, "at=0 by=-": true, "at=9007199254740991 by=x": true, "at=007 by=x": true,
		"at=9007199254740992 by=x": false, "at=99999999999999999999 by=x": false, "at= by=x": false, "at=-1 by=x": false,
		"at=1 by=": false, "at=1 by=a b": false, "at=1 by=x ": false, "t=1 by=x": false, "at=1": false, "": false, "at=1e3 by=x": false,
	} {
		if got := engine.MatchLayout(text, "at=%d by=%s", &n, &s); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
}

func TestParseTransition(t *testing.T) {
	full := engine.Transition{N: 12, For: 1500 * time.Millisecond, Epoch: 7, At: 1000, From: engine.StateHalfOpen, FromMode: engine.ModeShadow, To: engine.StateOpen,
		ToMode: engine.ModeForcedOpen, Cause: engine.CauseProbeFailed, Tally: "succeeded=0 failed=1", By: "web-1", Text: "a b"}
	for entry, want := range map[string]engine.Transition{
		"12 7 1000 half_open/shadow>open/forced_open probe_failed for=1500 succeeded=0 failed=1 by=web-1 text=a%20b": full,
		"1 1 0 closed>closed created": {N: 1, Epoch: 1, Cause: engine.CauseCreated},
	} {
		got, ok := engine.ParseTransition(entry)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", entry, ok, diff)
		}
	}
	for _, entry := range []string{
		"", "7", "1 7 1000 closed>open", "1 x 1000 closed>open operator", "1 7 x closed>open operator", "1 7 1000 closed operator",
		"1 7 1000 ajar>open operator", "1 7 1000 closed>ajar operator", "1 7 1000 closed/auto>open operator", "1 7 1000 closed>open/x operator",
		"1 7 1000 closed/>open operator", "1 9007199254740992 1000 closed>open operator",
		"7 1000 closed>open operator", "0 7 1000 closed>open operator", "1000000000000000 7 1000 closed>open operator", "x 7 1000 closed>open operator",
	} {
		if got, ok := engine.ParseTransition(entry); ok {
			t.Errorf("%q was read as %+v", entry, got)
		}
	}
}

// TestParseEvent: an event is the epoch before, then the entry.
func TestParseEvent(t *testing.T) {
	got, ok := engine.ParseEvent("6 12 7 1000 closed>open operator for=500")
	want := engine.Transition{N: 12, Was: 6, Epoch: 7, At: 1000, To: engine.StateOpen, Cause: engine.CauseOperator, For: 500 * time.Millisecond}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	for _, event := range []string{"", "6", "x 12 7 1000 closed>open operator", "12 7 1000 closed>open operator", "6  12 7 1000 closed>open operator"} {
		if got, ok := engine.ParseEvent(event); ok {
			t.Errorf("%q was read as %+v", event, got)
		}
	}
}

func TestTransition_String(t *testing.T) {
	for want, tr := range map[string]engine.Transition{
		"closed > open (consecutive) streak=5 by web-2": {To: engine.StateOpen, Cause: engine.CauseConsecutive, Tally: "streak=5", By: "web-2"},
		"closed > open (consecutive) streak=2":          {To: engine.StateOpen, Cause: engine.CauseConsecutive, Tally: "streak=2 calls=0 failures=0 slow=0"},
		"closed > open (consecutive) streak=2 calls=9 failures=4 slow=0": {To: engine.StateOpen, Cause: engine.CauseConsecutive,
			Tally: "streak=2 calls=9 failures=4 slow=0"},
		"closed > open (consecutive) streak=3 local": {To: engine.StateOpen, Cause: engine.CauseConsecutive, Tally: "streak=3", Local: true},
		`open/shadow > closed (operator) by ops "it's \"over\""`: {From: engine.StateOpen, FromMode: engine.ModeShadow, Cause: engine.CauseOperator,
			By: "ops", Text: `it's "over"`},
	} {
		if got := tr.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestSnapshot: users see durations, not instants; overdue times are 0, times ahead
// at most as long as planned.
func TestSnapshot(t *testing.T) {
	absent := (&engine.Record{}).Snapshot("x", 5)
	if diff := cmp.Diff(engine.Snapshot{Name: "x", Epoch: -1}, absent); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	r, now := driven(t, engine.Policy{ConsecutiveFailures: 1, OpenFor: 10 * time.Second}, 0, engine.Failure)
	for later, want := range map[int64]time.Duration{0: 10 * time.Second, 4000: 6 * time.Second, 10_000: 0, 99_000: 0, -5000: 10 * time.Second} {
		s := r.Snapshot("x", now+later)
		if s.RetryAfter != want || s.Age != max(0, time.Duration(later)*time.Millisecond) {
			t.Errorf("%d ms later: retry after %v, age %v, want %v", later, s.RetryAfter, s.Age, want)
		}
		if len(s.Log) != 2 || s.Log[0].Name != "x" || s.Policy == nil || s.Policy.OpenFor != 10*time.Second {
			t.Errorf("%+v", s)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	window := engine.Window{Period: 10 * time.Second, FailureCount: 5, SlowCallRate: 0.5, SlowCallDuration: time.Second, MinCalls: 10}
	for _, made := range []func() (engine.Record, int64){
		func() (engine.Record, int64) {
			return driven(f, engine.Policy{Window: window}, 0, engine.Failure, engine.SlowSuccess)
		},
		func() (engine.Record, int64) {
			return driven(f, engine.Policy{MinReporters: 2, Window: engine.Window{Calls: 3, FailureCount: 3}}, 0, engine.Failure, engine.Success)
		},
		func() (engine.Record, int64) { return driven(f, engine.Policy{}, engine.ActionHalfOpen) },
		func() (engine.Record, int64) { return driven(f, engine.Policy{}, engine.ActionForceOpen) },
		func() (engine.Record, int64) { return driven(f, engine.Policy{}, engine.ActionTrip) },
	} {
		r, _ := made()
		hash := map[string]string{}
		for _, field := range r.Fields() {
			hash[field.Name] = field.Value
		}
		f.Add(hash["head"], hash["tally"], hash["round"], hash["rep"], hash["mode"], hash["w0"], hash["policy"], hash["log:01"])
	}
	rules := []*engine.Rules{mustRules(f, engine.Policy{MinReporters: 2, Window: window}), mustRules(f, engine.Policy{Window: engine.Window{Calls: 3, FailureCount: 3}})}
	f.Fuzz(func(t *testing.T, head, tally, round, rep, mode, w0, policy, log string) {
		fields := []engine.Field{{Name: "head", Value: head}, {Name: "tally", Value: tally}, {Name: "round", Value: round}, {Name: "rep", Value: rep},
			{Name: "mode", Value: mode}, {Name: "w0", Value: w0}, {Name: "policy", Value: policy}, {Name: "log:01", Value: log}}
		r, err := engine.ParseRecord(fields)
		if err != nil {
			return // a newer layout
		}
		again, err := engine.ParseRecord(r.Fields())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Fields(), again.Fields()); diff != "" {
			t.Fatalf("written and read once more (-want +got):\n%s", diff)
		}
		epoch := max(1, r.Snapshot("", start).Epoch)
		for i, o := range []engine.Outcome{engine.Failure, engine.Success, engine.SlowFailure, engine.Ignored} {
			b := engine.Batch{Admissions: 2, Reporter: "web-1", Results: []engine.Result{
				{Ticket: engine.Ticket{Epoch: epoch}, Runs: []engine.Run{{Outcome: o, N: 3}}},
				{Ticket: engine.Ticket{Epoch: epoch, Lease: 1}, Runs: []engine.Run{{Outcome: o, N: 1}}},
			}}
			reply := r.Step(rules[i%2], start+int64(i)*1000, 7, b)
			if reply.Applied+reply.Stale != b.Outcomes() || reply.Granted > b.Admissions || reply.LeftMS < 0 {
				t.Fatalf("%+v", reply)
			}
			epoch = reply.Epoch
		}
		if _, err := engine.ParseRecord(r.Fields()); err != nil {
			t.Fatalf("a step wrote what does not read: %v", err)
		}
		if s := r.Snapshot("", start+4000); !s.Exists || s.Epoch < 1 || s.RetryAfter < 0 {
			t.Fatalf("%+v", s)
		}
	})
}

func FuzzParseTransition(f *testing.F) {
	f.Add("12 7 1000 half_open/shadow>open/forced_open probe_failed for=1500 succeeded=0 failed=1 by=web-1 text=a%20b")
	f.Add("1 0 closed>closed created")
	f.Fuzz(func(t *testing.T, entry string) {
		tr, ok := engine.ParseTransition(entry)
		if ok && (tr.Epoch < 0 || tr.From > engine.StateHalfOpen || tr.ToMode > engine.ModeShadow) {
			t.Errorf("%q was read as %+v", entry, tr)
		}
		_ = tr.String()
	})
}

// FuzzRules gives a record any text as its policy: what reads well, the machine
// can calculate with, and comes from a policy.
func FuzzRules(f *testing.F) {
	for _, p := range append(twinPolicies, fullPolicy) {
		f.Add(mustRules(f, p).Text())
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := engine.ParseRecord([]engine.Field{{Name: "tally", Value: "?"}, {Name: "policy", Value: text}})
		if err != nil {
			t.Fatal(err)
		}
		rules, ok := r.Rules()
		if !ok {
			return
		}
		if rules.Text() != text || rules.Fingerprint() != text[:8] {
			t.Errorf("%q became %q", text, rules.Text())
		}
		var made engine.Record
		_, _ = made.Control(&rules, start, 1<<20-1, engine.Command{Action: engine.ActionTrip})
		if s := made.Snapshot("", start); s.RetryAfter <= 0 || s.RetryAfter > engine.MaxDuration {
			t.Errorf("%q opens for %v", text, s.RetryAfter)
		}
	})
}
