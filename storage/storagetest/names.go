package storagetest

import (
	"fmt"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

var names = []test{
	{"any_bytes_are_a_name", anyName},
	{"are_independent", namesIndependent},
}

// odd are names that differ in what a careless storage takes for the same.
var odd = []string{
	"a", "A", "a ", " a", "a\n", "a\x00", "\x00", "é", "e\u0301", "\xff", "\xfe", "\xc3", "-", "%", "%41", "%61", "a%",
	"{a}", "{a", "a}", "{}", "{a}b", "a:b", "a/b", `a\b`, "*", "?", "..", "payments:{x}", "'a'", `"a"`,
	strings.Repeat("x", 200), strings.Repeat("x", 201), strings.Repeat("y", 1<<20) + "1", strings.Repeat("y", 1<<20) + "2",
}

func anyName(t *testEnv) {
	for _, name := range odd {
		a, b := t.bind(t.A, name, threeFailures), t.bind(t.B, name, threeFailures)
		a.fail(2)
		b.fail(1)
		t.checkEqual("name of the rejection", name, b.rejection().Name)
		s := t.inspectName(name)
		t.checkEqual("name of the snapshot", name, s.Name)
		t.checkEqual("name in the log", name, s.Log[len(s.Log)-1].Name)
	}
}

func namesIndependent(t *testEnv) {
	for i, name := range odd {
		c := engine.Command{Action: engine.ActionTrip, Reason: fmt.Sprint(i), IfEpoch: -1}
		if _, err := t.A.Control(t.Context(), name, c); err != nil {
			t.Fatalf("Control of %.50q: %v", name, err)
		}
	}
	for i, name := range odd {
		log := t.inspectName(name).Log
		if len(log) != 1 || log[0].Text != fmt.Sprint(i) {
			t.Fatalf("log of %.50q: %v, want its own trip, %d, alone", name, log, i)
		}
	}
}
