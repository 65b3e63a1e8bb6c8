package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestList(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		if out := s.must(t, "ls"); out != "" {
			t.Errorf("with no breaker it prints %q", out)
		}
		if out := s.must(t, "ls", "-o", "json"); out != "[]\n" {
			t.Errorf("with no breaker it prints %q", out)
		}
		s.must(t, "trip", "payments", "--create")
		s.must(t, "force-open", "orders", "--until-released", "--create")
		s.must(t, "reset", strings.Repeat("x", 600), "--create")
		text := s.must(t, "ls")
		var rows [][]string
		for line := range strings.Lines(text) {
			rows = append(rows, strings.Fields(line))
		}
		want := [][]string{
			{"NAME", "STATE", "MODE"},
			{"orders", "closed", "forced_open"},
			{"payments", "open", "auto"},
		}
		if len(rows) != 4 || len(rows[3]) != 3 || !strings.Contains(rows[3][0], "x#") {
			t.Fatalf("unexpected rows:\n%s", text)
		}
		if diff := cmp.Diff(want, rows[:3]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		var list []map[string]any
		out := s.must(t, "ls", "-o", "json")
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 3 || list[1]["name"] != "payments" || list[2]["key"] != rows[3][0] {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
