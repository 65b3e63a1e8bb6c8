package follow

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

const payload = "shop:{payments} 7 6 8 1795502821113 closed>open consecutive for=30000 streak=5 calls=0 failures=0 slow=0 by=web-2"

func TestPayload(t *testing.T) {
	key, rest, ok := CutKey(payload)
	got, parsed := ParseRest(rest)
	want := engine.Transition{
		Was: 7, N: 6, Epoch: 8, At: 1795502821113, To: engine.StateOpen, Cause: engine.CauseConsecutive,
		For: 30 * time.Second, Tally: "streak=5 calls=0 failures=0 slow=0", By: "web-2",
	}
	if !ok || !parsed || key != "shop:{payments}" {
		t.Errorf("key %q (%v), transition parsed: %v", key, ok, parsed)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPayload_malformed(t *testing.T) {
	_, good, _ := CutKey(payload)
	for what, rest := range map[string]string{
		"empty":             "",
		"no entry":          "7",
		"no epoch before":   strings.TrimPrefix(good, "7 "),
		"its own epoch":     "8 " + strings.TrimPrefix(good, "7 "),
		"no epoch":          strings.Replace(good, "6 8 ", "6 0 ", 1),
		"number 0":          strings.Replace(good, "7 6 8", "7 0 8", 1),
		"number 10^15":      strings.Replace(good, "7 6 8", "7 1000000000000000 8", 1),
		"number 2^53":       strings.Replace(good, "7 6 8", "7 9007199254740992 8", 1),
		"unknown state":     strings.Replace(good, ">open", ">ajar", 1),
		"a space too many":  "7  " + good[2:],
		"a negative number": strings.Replace(good, "7 6", "-7 6", 1),
	} {
		if got, ok := ParseRest(rest); ok {
			t.Errorf("%s: %q is %+v", what, rest, got)
		}
	}
	for what, text := range map[string]string{
		"no space": "shop:{payments}", "too long": "shop:{payments} " + strings.Repeat("x", maxPayload), "64 MB": strings.Repeat("x ", 32<<20),
	} {
		if key, _, ok := CutKey(text); ok {
			t.Errorf("%s: has the key %.40q", what, key)
		}
	}
}

// Whatever is published, parsing neither panics nor makes a follower deliver what
// does not chain.
func FuzzPayload(f *testing.F) {
	f.Add(payload)
	f.Add("")
	f.Add("k 0 1 1 1 closed>closed created")
	f.Fuzz(func(t *testing.T, text string) {
		key, rest, ok := CutKey(text)
		if !ok {
			return
		}
		if strings.Contains(key, " ") || key+" "+rest != text {
			t.Fatalf("%q was cut into %q and %q", text, key, rest)
		}
		move, ok := ParseRest(rest)
		if !ok {
			return
		}
		if move.N < 1 || move.Epoch < 1 || move.Epoch == move.Was {
			t.Fatalf("%q is %+v", rest, move)
		}
		var out Output
		follower := &Follower{}
		follower.Polled(time.Second, 0, Known{Exists: true, Epoch: 1}, 1, &Output{})
		follower.Push(2*time.Second, move, &out)
		if delivered := len(out.Events) > 0; delivered != (move.Was == 1) {
			t.Fatalf("%q was delivered: %v, though the epoch before is %d", rest, delivered, move.Was)
		}
	})
}
