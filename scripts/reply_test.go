package scripts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// errBug and errSurprise stand for the decoders' errors without a sentinel.
var (
	errBug      = errors.New("which is a bug of this release")
	errSurprise = errors.New("the server answered with a reply that no script gives")
)

// asked is the batch that the replies below answer: one admission, two outcomes.
var asked = engine.Batch{
	Results:    []engine.Result{{Ticket: engine.Ticket{Epoch: 7}, Runs: []engine.Run{{Outcome: engine.Success, N: 2}}}},
	Admissions: 1,
}

// decode gives a reply to the script's decoder.
func decode(t testing.TB, script string, reply any) error {
	t.Helper()
	var err error
	switch script {
	case "step":
		_, err = scripts.DecodeStep(reply, zero(t), asked)
	case "control":
		_, err = scripts.DecodeControl(reply)
	case "enrol":
		_, err = scripts.DecodeEnrol(reply)
	case "inspect", "since":
		_, _, err = scripts.DecodeInspect(reply)
	case "ping":
		_, err = scripts.DecodePing(reply)
	}
	return err
}

func checkDecode(t *testing.T, script string, reply any, want error) {
	t.Helper()
	err := decode(t, script, reply)
	switch {
	case want == nil && err != nil, want != nil && err == nil:
		t.Errorf("%s: %q: error %v, want %v", script, reply, err, want)
	case want == nil || errors.Is(err, want):
	case !strings.Contains(err.Error(), want.Error()):
		t.Errorf("%s: %q: error %v, want %v", script, reply, err, want)
	}
}

// TestDecode_surprises: a proxy, another product or another release may answer
// anything. Each such reply is an error that says so and shows it, never a panic.
func TestDecode_surprises(t *testing.T) {
	whole := "open auto epoch=7 left=5 mode_left=0 granted=0 lease=0 applied=2 stale=0 policy=36c82cee"
	if err := decode(t, "step", whole); err != nil {
		t.Fatalf("the reply that the others are made of: %v", err)
	}
	for _, reply := range []any{
		nil, int64(7), 1.5, true, []any{"7"}, map[any]any{"epoch": "7"}, errors.New("ERR"),
		"", "OK", "0", "-7", "7 ", "07x", "9007199254740992000000", "!", "!!", "!later 1", "! type string",
		strings.Replace(whole, "open", "ajar", 1), strings.Replace(whole, "auto", "manual", 1),
		strings.Replace(whole, "epoch=7", "epoch=", 1), strings.Replace(whole, "epoch=7", "epoch=-7", 1),
		strings.Replace(whole, "left=5", "left=9007199254740992", 1), whole + " more=1", whole + "\n", whole + "\nnot an entry",
		strings.Replace(whole, "granted=0", "granted=2", 1),                                       // more than was asked for
		strings.Replace(whole, "applied=2", "applied=1", 1),                                       // one outcome is missing
		strings.Replace(whole, "stale=0", "stale=1", 1),                                           // one too many
		whole + " applied_each=2",                                                                 // though none is stale
		strings.Replace(whole, "applied=2 stale=0", "applied=1 stale=1", 1),                       // and the counts are missing
		strings.Replace(whole, "applied=2 stale=0", "applied=1 stale=1", 1) + " applied_each=1,1", // of more results than there are
		strings.Replace(whole, "applied=2 stale=0", "applied=1 stale=1", 1) + " applied_each=x",
		strings.Replace(whole, "applied=2 stale=0", "applied=1 stale=1", 1) + " applied_each=2", // which does not add up
	} {
		checkDecode(t, "step", reply, errSurprise)
	}
	for _, reply := range []any{
		nil, int64(7), "", "OK", "!later", []any{}, []any{"done"}, []any{"done", "1000"}, []any{"done", "1000", int64(1)},
		[]any{"done", "1000", "", "head"}, []any{"done", "soon", ""}, []any{"done", "1000", "not an entry"}, []any{"well", "1000", ""},
	} {
		checkDecode(t, "control", reply, errSurprise)
	}
	for _, reply := range []any{nil, int64(7), "", "OK", []any{}, []any{"1000", "head"}, []any{"-1"}, []any{"1000", "head", nil}} {
		checkDecode(t, "inspect", reply, errSurprise)
	}
	for _, reply := range []any{nil, int64(7), []any{}} {
		checkDecode(t, "ping", reply, errSurprise)
	}

	// The error shows a bounded part of it.
	err := decode(t, "step", strings.Repeat("long ", 1000))
	if n := len(fmt.Sprint(err)); n > 300 {
		t.Errorf("an error of %d bytes", n)
	}
}

func TestDecode_newerRecord(t *testing.T) {
	checkDecode(t, "inspect", []any{"1000", "head", "2 closed"}, engine.ErrNewerLayout)
	checkDecode(t, "control", []any{"done", "1000", "", "head", "2 closed"}, engine.ErrNewerLayout)
}

func TestDecodeStep(t *testing.T) {
	rules := zero(t)
	for text, want := range map[string]engine.Reply{
		"77": {Epoch: 77, Granted: 1, Applied: 2, Policy: rules.Fingerprint()},
		"half_open shadow epoch=77 left=5 mode_left=6 granted=1 lease=9 applied=0 stale=2 policy=a-b applied_each=0": {
			State: engine.StateHalfOpen, Mode: engine.ModeShadow, Epoch: 77, LeftMS: 5, ModeLeftMS: 6, Granted: 1, FirstLease: 9, Stale: 2, AppliedPerResult: []int64{0}, Policy: "a-b",
		},
	} {
		got, err := scripts.DecodeStep(text, rules, asked)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

// An open circuit answers admissions alone in few words.
func TestDecodeStep_rejected(t *testing.T) {
	rules, admissions := zero(t), engine.Batch{Admissions: 3}
	want := engine.Reply{State: engine.StateOpen, Epoch: 77, LeftMS: 5, Policy: rules.Fingerprint()}
	got, err := scripts.DecodeStep("77 5", rules, admissions)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, reply := range []string{"77 0", "77 -5", "77 ", "77 x", "77 5 6", "77  5", "0 5", "x 5"} {
		if _, err := scripts.DecodeStep(reply, rules, admissions); err == nil || !strings.Contains(err.Error(), errSurprise.Error()) {
			t.Errorf("%q: error %v", reply, err)
		}
	}
}

func TestDecodeControl(t *testing.T) {
	events := "6 3 7 999 closed/forced_open>closed mode_ended\n7 4 8 1000 closed>open operator for=500 by=ops text=a%20b"
	c, err := scripts.DecodeControl([]any{"done", "1000", events, "log:00", "x"})
	if err != nil || c.NowMS != 1000 || len(c.Record.Fields()) != 1 || c.Unpublished {
		t.Errorf("%+v: %v", c, err)
	}
	want := []engine.Transition{
		{N: 3, Was: 6, Epoch: 7, At: 999, FromMode: engine.ModeForcedOpen, Cause: engine.CauseModeEnded},
		{N: 4, Was: 7, For: 500 * time.Millisecond, Epoch: 8, At: 1000, To: engine.StateOpen, Cause: engine.CauseOperator, By: "ops", Text: "a b"},
	}
	if diff := cmp.Diff(want, c.Transitions); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
	c, err = scripts.DecodeControl([]any{"done", "1000", events + "\n!unpublished", "log:00", "x"})
	if diff := cmp.Diff(want, c.Transitions); err != nil || diff != "" || !c.Unpublished {
		t.Errorf("unpublished: %+v, %v (-want +got):\n%s", c, err, diff)
	}
}

func TestDecodePing(t *testing.T) {
	got, err := scripts.DecodePing("HSET NOPERM no permissions\nPUBLISH NOPERM no channel")
	want := map[string]string{"HSET": "NOPERM no permissions", "PUBLISH": "NOPERM no channel"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func FuzzDecodeStep(f *testing.F) {
	for _, example := range replyExamples {
		if text, ok := example.reply.(string); ok {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := scripts.DecodeStep(text, zero(t), asked)
		if err == nil && (r.Epoch <= 0 && r.Policy == "" || r.Granted > asked.Admissions || r.Applied+r.Stale != 2) {
			t.Errorf("%q was taken as %+v", text, r)
		}
	})
}

// parts makes an array of text that a fuzzer can change.
func parts(text string) []any {
	var list []any
	for _, s := range strings.Split(text, "|") {
		list = append(list, s)
	}
	return list
}

func FuzzDecodeControl(f *testing.F) {
	f.Add("done|1000|0 1 7 1000 closed>open operator by=ops|head|1 closed auto")
	f.Add("done|1000|0 1 7 1000 closed>open operator by=ops\n!unpublished|head|1 closed auto")
	f.Add("forced|1000||tally|epoch=1|round|probes=1|w0|ss|log:00|7 1 closed>closed created")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := scripts.DecodeControl(parts(text))
		if err == nil && len(c.Transitions) > strings.Count(text, "\n")+1 {
			t.Errorf("%q has %d transitions", text, len(c.Transitions))
		}
		_ = c.Record.Snapshot("fuzz", c.NowMS)
	})
}

func FuzzDecodeInspect(f *testing.F) {
	f.Add("1000|head|1 closed auto epoch=7 policy=a since=0 until=0 open_for=0 trips=0 n=1|rep|a:1:0")
	f.Add("1000|head|1 half_open auto epoch=7 policy=a since=0 until=0 open_for=0 trips=0 n=1|round|probes=1 successes=1 lease=1 grants=1 succeeded=0 failed=0 lapsed=0 held=1 first=5 last=5|leases|late=- held=1@5")
	f.Fuzz(func(_ *testing.T, text string) {
		record, now, _ := scripts.DecodeInspect(parts(text))
		_ = record.Snapshot("fuzz", now)
	})
}

// TestDecode_standing reads the line of the standing, and refuses one that no closed
// record has or that nothing asked for.
func TestDecode_standing(t *testing.T) {
	b := asked
	b.AskStanding = true
	const line = "\n=2 5 9 4 0 3 1 0 250 8000 4 1"
	want := engine.Standing{
		Known: true, Streak: 2, Seq: 5, TurnMS: 250, WindowAgeMS: 8000, Other: engine.OtherReporter{Seq: 4, Turns: 1},
		Window: engine.WindowSums{Calls: 9, Failures: 4}, Leaving: engine.WindowSums{Calls: 3, Failures: 1},
	}
	for _, reply := range []string{
		"7" + line,
		"closed shadow epoch=7 left=0 mode_left=5 granted=0 lease=0 applied=2 stale=0 policy=36c82cee" + line,
		"closed auto epoch=7 left=0 mode_left=0 granted=0 lease=0 applied=2 stale=0 policy=36c82cee\n6 1 7 1000 half_open>closed recovered succeeded=1 failed=0 lapsed=0\n!unpublished" + line,
	} {
		r, err := scripts.DecodeStep(reply, zero(t), b)
		if diff := cmp.Diff(want, r.Standing); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", reply, err, diff)
		}
		if _, err := scripts.DecodeStep(reply, zero(t), asked); err == nil {
			t.Errorf("%q was taken, though nothing asked for the standing", reply)
		}
	}
	for _, reply := range []string{
		line, "7\n=", "7\n=2", "7" + line + " 1", "7" + line + "\n", "7" + line + line, "7 30000" + line,
		strings.Replace("7"+line, " 3 1 0 ", " 10 1 0 ", 1), strings.Replace("7"+line, " 3 1 0 ", " 3 5 0 ", 1), strings.Replace("7"+line, " 3 1 0 ", " 3 1 1 ", 1),
	} {
		if r, err := scripts.DecodeStep(reply, zero(t), b); err == nil {
			t.Errorf("%q was taken: %+v", reply, r.Standing)
		}
	}
}
