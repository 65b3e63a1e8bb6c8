package redbreaker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
)

// HooksFor adds hooks to the breaker of its name only.
func TestRegistry_hooksFor(t *testing.T) {
	var got []string
	note := func(by string) redbreaker.Hooks {
		return redbreaker.Hooks{OnTransition: func(tr redbreaker.Transition) {
			if tr.To == redbreaker.StateOpen {
				got = append(got, by+" "+tr.Name)
			}
		}}
	}
	asked := map[string]int{}
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, HooksFor: func(name string) redbreaker.Hooks {
		asked[name]++
		if name == "b" {
			return redbreaker.Hooks{}
		}
		return note("own of " + name + ":")
	}}, redbreaker.WithHooks(note("all:")))
	for _, name := range []string{"a", "b", "c", "a"} {
		b := get(t, r, name)
		_ = b.Do(ctx, fail)
		if err := b.WaitForHooksForTest(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"all: a", "own of a: a", "all: b", "all: c", "own of c: c"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("openings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, asked); diff != "" {
		t.Errorf("calls of HooksFor (-want +got):\n%s", diff)
	}
}

// A registry that is too small says so once, and counts.
func TestRegistry_evictions(t *testing.T) {
	out := captureLog(t)
	r := newRegistry(t, redbreaker.RegistryConfig{Max: 2})
	for i := range 2 {
		get(t, r, fmt.Sprint(i))
	}
	if n := r.Evictions(); n != 0 || out.String() != "" {
		t.Errorf("%d evictions before Max, log %q", n, out.String())
	}
	for i := range 5 {
		get(t, r, fmt.Sprint(i))
	}
	if n := r.Evictions(); n != 3 {
		t.Errorf("%d evictions, want 3", n)
	}
	want := `level=WARN msg="redbreaker: registry is full, evicting breakers; raise RegistryConfig.Max if more names are in use" max=2` + "\n"
	if got := out.String(); got != want || strings.Count(got, "\n") != 1 {
		t.Errorf("log %q, want %q", got, want)
	}
}
