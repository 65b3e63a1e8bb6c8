package main

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixture is a suite of seven rounds.
func fixture(t *testing.T) *results {
	t.Helper()
	r, err := readResults("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestJudge(t *testing.T) {
	const call, floor = "memory Memory/path=success/goroutines=1 ns/op", "memory Floor/do=two_adds ns/op"
	tests := map[string]struct {
		bound bound
		want  []string // work, limit, benchmark, figure, floor, value, verdict
	}{
		"met": {
			bound{figures: []string{call}, against: "two adds", floors: []term{{1, floor}}, value: slower, atMost: 1.5},
			[]string{"", "at most 1.5x", "`Memory/path=success/goroutines=1`", "12 ns ±20%", "two adds, 10 ns ±20%", "1.2x ±0%", "met"},
		},
		"missed": {
			bound{id: "mine", figures: []string{call}, against: "two adds", floors: []term{{1, floor}}, value: slower, atMost: 1.1},
			[]string{"", "at most 1.1x", "`Memory/path=success/goroutines=1`", "12 ns ±20%", "two adds, 10 ns ±20%", "1.2x ±0%", "**MISSED** (mine)"},
		},
		"within the noise": {
			bound{figures: []string{call}, value: alone, atMost: 12.5},
			[]string{"", "at most 12.5 ns", "`Memory/path=success/goroutines=1`", "12 ns ±20%", "", "", "met, within the noise"},
		},
		"too few rounds": {
			bound{figures: []string{"memory Memory/path=failures/goroutines=1 ns/op"}, value: alone, atMost: 100},
			[]string{"", "at most 100 ns", "`Memory/path=failures/goroutines=1`", "21 ns ±∞", "", "", "met, too few rounds"},
		},
		"the worst of several": {
			bound{figures: []string{"memory Memory/path=success/goroutines=1 allocs/op", "memory Memory/path=success/goroutines=64 allocs/op"}, atMost: 0},
			[]string{"", "at most 0", "`Memory/path=success/goroutines=*`", "2", "", "", "**MISSED** ()"},
		},
		"faster": {
			bound{figures: []string{floor}, against: "a call", floors: []term{{2, call}}, value: faster, atLeast: 2},
			[]string{"", "at least 2x faster", "`Floor/do=two_adds`", "10 ns ±20%", "a call, 24 ns ±20%", "2.4x ±0%", "met"},
		},
		"the lowest floor": {
			bound{figures: []string{floor}, against: "others", floors: []term{{2, call}, {1, call}}, lowest: true, value: faster, atLeast: 2},
			[]string{"", "at least 2x faster", "`Floor/do=two_adds`", "10 ns ±20%", "others, 12 ns ±20%", "1.2x ±0%", "**MISSED** ()"},
		},
		"distance": {
			bound{figures: []string{call}, against: "two adds and a constant", floors: []term{{1, floor}}, value: distance, atMost: 5},
			[]string{"", "at most 5 ns more", "`Memory/path=success/goroutines=1`", "12 ns ±20%", "two adds and a constant, 10 ns ±20%", "2 ns ±20%", "met"},
		},
		"no such benchmark": {
			bound{figures: []string{"memory Memory/path=gone ns/op"}, atMost: 1},
			[]string{"", "at most 1 ns", "`Memory/path=gone`", "", "", "", "**not measured**"},
		},
		"no such floor": {
			bound{figures: []string{call}, against: "nothing", floors: []term{{1, "memory Floor/do=gone ns/op"}}, value: slower, atMost: 1},
			[]string{"", "at most 1x", "`Memory/path=success/goroutines=1`", "12 ns ±20%", "nothing", "", "**not measured**"},
		},
		"no such unit": {
			bound{figures: []string{"memory Floor/do=two_adds p99-ns"}, atMost: 1},
			[]string{"", "at most 1 ns", "`Floor/do=two_adds`", "", "", "", "**not measured**"},
		},
	}
	r := fixture(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := r.judgeBound(&test.bound, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, v.tableRow()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A query that matches two benchmarks is an error.
func TestFind_ambiguous(t *testing.T) {
	if _, err := fixture(t).findBenchmark("memory Memory/path=success"); err == nil || errors.Is(err, errNotMeasured) {
		t.Errorf("%v", err)
	}
}

func TestReasons(t *testing.T) {
	got := parseReasons("# a comment: of no bound\nscripts: the server is slow\n\n")
	if diff := cmp.Diff(map[string]string{"scripts": "the server is slow"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestQuantity(t *testing.T) {
	for _, test := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "allocs/op", "0"},
		{12.345, "ns/op", "12.3 ns"},
		{999.6, "ns/op", "1 µs"},
		{1_870_000_000, "p99-ns", "1.87 s"},
		{3.7654, "server-us/decision", "3.77 µs"},
		{98.765, "lost-failures-%", "98.8 %"},
		{0.61, "x-return1/operation", "0.61x"},
		{48.2, "x", "48.2x"},
		{16462, "calls/s", "16 500"},
		{1_234_567, "decisions/s", "1 230 000"},
		{556.2, "calls/s", "556"},
		{670, "B/breaker", "670 B"},
		{17_400, "B/breaker", "17.4 kB"},
		{-13.84, "ns/op", "-13.8 ns"},
		{0.000012, "commands/call", "0.000012"},
	} {
		if got := formatQuantity(test.value, test.unit); got != test.want {
			t.Errorf("%v %s: %q, want %q", test.value, test.unit, got, test.want)
		}
	}
}

func TestGrid_missingResults(t *testing.T) {
	got, err := fixture(t).renderGrid("path", "memory Memory", "ns/op", axesOf("path", "success", "gone"), axesOf("goroutines", "1", "64"))
	if err != nil {
		t.Fatal(err)
	}
	want := `| path | 1 | 64 |
|---|---|---|
| success | 12 ns | 7 ns |
| gone | not measured | not measured |
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestList_allUnits(t *testing.T) {
	want := `|  | ns/op | decisions/s |
|---|---|---|
| two_adds | 10 ns ±20% |  |
| other | 5 ns ±∞ | 12 300 ±∞ |
`
	if diff := cmp.Diff(want, fixture(t).renderList("memory", "Floor")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
