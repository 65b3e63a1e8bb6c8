package main

import (
	"strings"
	"testing"
)

// A name that does not exist is answered with the most similar one.
func TestSimilarName(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for _, name := range []string{"payments", "payments-eu", "search"} {
			s.must(t, "reset", name, "--create")
		}
		for name, want := range map[string]string{
			"paymnts": "payments", "paymenst": "payments", "payments-eua": "payments-eu", "Search": "search",
			"orders": "", "sea": "", strings.Repeat("payments", 20): "",
		} {
			for _, args := range [][]string{{"get", name}, {"reset", name}} {
				_, err := s.run(args...)
				if exitCode(err) != exitAbsent {
					t.Fatalf("%v: %v", args, err)
				}
				hint := `: did you mean "` + want + `"?`
				if got := strings.HasSuffix(err.Error(), hint); got != (want != "") || want == "" && strings.Contains(err.Error(), "did you mean") {
					t.Errorf("%v: %v, want a hint at %q", args, err, want)
				}
			}
		}
	})
}

func TestEditDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"", "abc"}: 3, {"abc", "abc"}: 0, {"abc", "acb"}: 1, {"abc", "abd"}: 1, {"abc", "ab"}: 1,
		{"kitten", "sitting"}: 3, {"ä", "a"}: 1,
	} {
		if got := editDistance(pair[0], pair[1]); got != want {
			t.Errorf("%q: %d, want %d", pair, got, want)
		}
	}
}
