package scripts_test

import (
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/scripts"
)

var zeroText = func() string {
	rules, err := engine.Policy{}.Rules()
	if err != nil {
		panic(err)
	}
	return rules.Text()
}()

// badArguments are arguments of the wrong form, at least one for each ARGV of
// each header. A script that meets one has not written: these are for a key that
// holds nothing, since step.lua answers the common cases first, and does not look
// at arguments that it has no use for.
var badArguments = []struct {
	script string
	args   []any
	want   string
}{
	{"step", []any{"", zeroText}, "!args 1"},
	{"step", []any{"1", zeroText}, "!args 1"},
	{"step", []any{"-1 0", zeroText}, "!args 1"},
	{"step", []any{"1e3 0", zeroText}, "!args 1"},
	{"step", []any{"10001 0", zeroText}, "!args 1"},
	{"step", []any{"1 1048576", zeroText}, "!args 1"},
	{"step", []any{"1 1048576", zeroText, "7 s1"}, "!args 1"},
	{"step", []any{"1 0", ""}, "!args 2"},
	{"step", []any{"1 0", zeroText[1:]}, "!args 2"},
	{"step", []any{"1 0", zeroText + " more=1"}, "!args 2"},
	{"step", []any{"1 0", strings.Replace(zeroText, "open_for=", "open_for=-", 1)}, "!args 2"},
	{"step", []any{"1 0", zeroText, "1"}, "!args 3"},
	{"step", []any{"1 0", zeroText, "x s1"}, "!args 3"},
	{"step", []any{"1 0", zeroText, "1.x s1"}, "!args 3"},
	{"step", []any{"1 0", zeroText, "1 x1"}, "!args 3"},
	{"step", []any{"1 0", zeroText, "1 s"}, "!args 3"},
	{"step", []any{"1 0", zeroText, "1 s1 2"}, "!args 3"},
	{"step", []any{"1 0", zeroText, "1 f1", "", "0", "-"}, "!args 4"},
	{"step", []any{"1 0", zeroText, "1 f1", "web 1", "0", "-"}, "!args 4"},
	{"step", []any{"1 0", zeroText, "1 f1", "web-1", "", "-"}, "!args 5"},
	{"step", []any{"1 0", zeroText, "1 f1", "web-1", "1.5", "-"}, "!args 5"},
	{"step", []any{"1 0", zeroText, "1 f1", "web-1", "0", "a b"}, "!args 6"},

	{"control", []any{"", zeroText, "own", "0", "-", "-"}, "!args 1"},
	{"control", []any{"none 0 0", zeroText, "own", "0", "-", "-"}, "!args 1"},
	{"control", []any{"trip 31622400001 0", zeroText, "own", "0", "-", "-"}, "!args 1"},
	{"control", []any{"trip 0 1048576", zeroText, "own", "0", "-", "-"}, "!args 1"},
	{"control", []any{"trip 0 0", "?", "own", "0", "-", "-"}, "!args 2"},
	{"control", []any{"trip 0 0", zeroText, "mine", "0", "-", "-"}, "!args 3"},
	{"control", []any{"trip 0 0", zeroText, "own", "", "-", "-"}, "!args 4"},
	{"control", []any{"trip 0 0", zeroText, "own", "1.5", "-", "-"}, "!args 4"},
	{"control", []any{"trip 0 0", zeroText, "own", "0", "", "-"}, "!args 5"},
	{"control", []any{"trip 0 0", zeroText, "own", "0", "ops", "a b"}, "!args 6"},

	{"since", []any{""}, "!args 1"},
	{"since", []any{"-1"}, "!args 1"},
	{"since", []any{"1.5"}, "!args 1"},

	{"enrol", []any{"", "a"}, "!args 1"},
	{"enrol", []any{"-1", "a"}, "!args 1"},
	{"enrol", []any{"+inf", "a"}, "!args 1"},
	{"enrol", []any{"94867200001", "a"}, "!args 1"},
	{"enrol", []any{"inf", ""}, "!args 2"},
	{"enrol", []any{"1000", " "}, "!args 2"},
}

func TestArguments_refused_miniredis(t *testing.T) {
	_, rdb := redistest.Mini(t)
	for _, test := range badArguments {
		got, err := rdb.Eval(t.Context(), byName(t, test.script).Source, []string{"args:{a}"}, test.args...).Result()
		if err != nil || got != test.want {
			t.Errorf("%s %q: %v, %v, want %v", test.script, test.args, got, err, test.want)
		}
	}
	if n := rdb.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

func TestArguments_refused_redis(t *testing.T) {
	rdb := redistest.Client(t)
	key := redistest.Namespace(t) + ":{a}"
	for _, test := range badArguments {
		got, err := rdb.Eval(t.Context(), byName(t, test.script).Source, []string{key}, test.args...).Result()
		if err != nil || got != test.want {
			t.Errorf("%s %q: %v, %v, want %v", test.script, test.args, got, err, test.want)
		}
	}
}

// byName returns a script as it is shipped.
func byName(t testing.TB, name string) *scripts.Script {
	t.Helper()
	for _, s := range []*scripts.Script{scripts.Step, scripts.Control, scripts.Inspect, scripts.Ping, scripts.Since, scripts.Enrol} {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no script %q", name)
	return nil
}
