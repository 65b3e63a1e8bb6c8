package scripts_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/scenario"
	"github.com/redbreaker/redbreaker/scripts"
)

// TestLines runs the engine's scenarios, and the refusals that no scenario can
// ask for, on scripts that note what runs: each statement of each file must have
// been reached. Code that nothing reaches is to be removed, here and in its Go twin.
func TestLines(t *testing.T) {
	h := newHost(t)
	files, err := filepath.Glob("../engine/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			h.t = t
			scenario.Run(t, file, h.twin("lines:{a}"))
		})
	}
	h.t = t
	h.refusals()
	h.checkRefused()
	h.checkPing()
	h.checkUnpublished()
	h.checkSince()
	h.checkEnrol()

	var missed []string
	all := map[string]bool{}
	for _, s := range h.sources {
		for _, site := range s.sites {
			if !h.hits[site] && !all[site] {
				missed = append(missed, site)
			}
			all[site] = true
		}
	}
	slices.Sort(missed)
	t.Logf("%d of %d statements reached", len(all)-len(missed), len(all))
	if len(missed) > 0 {
		t.Errorf("no test reaches\n\t%s", strings.Join(missed, "\n\t"))
	}
}

// refusals runs every malformed argument of TestArguments.
func (h *host) refusals() {
	h.t.Helper()
	for _, test := range badArguments {
		if got, err := h.run(test.script, "lines:{a}", test.args...); err != nil || got != test.want {
			h.t.Errorf("%s %q: %v, %v, want %v", test.script, test.args, got, err, test.want)
		}
	}
}

// checkRefused runs the scripts on keys that hold other data.
func (h *host) checkRefused() {
	h.t.Helper()
	ctx := h.t.Context()
	args := map[string][]any{
		"step":    scripts.StepArgs(zero(h.t), 0, engine.Batch{Admissions: 1}),
		"control": scripts.ControlArgs(zero(h.t), false, 0, engine.Command{Action: engine.ActionTrip}),
		"inspect": nil,
		"since":   scripts.SinceArgs(0),
	}
	h.rdb.Set(ctx, "text:{a}", "mine", 0)
	if got, err := h.run("enrol", "text:{a}", scripts.EnrolArgs(0, []string{"a"})...); got != "!type string" || err != nil {
		h.t.Errorf("enrol on a string: %v, %v", got, err)
	}
	h.rdb.HSet(ctx, "newer:{a}", "head", "2 closed auto")
	h.rdb.HSet(ctx, "newer-tally:{a}", "head", "1 closed auto epoch=7 policy=00000000 since=1 until=0 open_for=0 trips=0 n=1", "tally", "2 epoch=7 what=ever")
	h.rdb.HSet(ctx, "theirs:{a}", "email", "a@b.c", "policy", "gold")
	h.rdb.HSet(ctx, "theirs-too:{a}", "head", "left", "tail", "right")
	for _, key := range []string{"theirs:{a}", "theirs-too:{a}"} {
		before := h.rdb.HGetAll(ctx, key).Val()
		for _, script := range []string{"step", "control"} {
			if got, err := h.run(script, key, args[script]...); got != "!type hash" || err != nil {
				h.t.Errorf("%s on the hash %s: %v, %v", script, key, got, err)
			}
		}
		if after := h.rdb.HGetAll(ctx, key).Val(); !maps.Equal(before, after) || h.rdb.TTL(ctx, key).Val() >= 0 {
			h.t.Errorf("%s was changed: %v", key, after)
		}
	}
	for _, field := range []string{"log:03", "tally"} { // a record that lost its head is renewed
		key := "headless:{" + field + "}"
		h.rdb.HSet(ctx, key, field, "junk")
		if got, err := h.run("step", key, args["step"]...); err != nil || fmt.Sprint(got)[0] == '!' {
			h.t.Errorf("step on %s: %v, %v", key, got, err)
		}
	}
	for _, results := range []string{"", "7 s1", "7 f1"} { // with the fast path and without it
		args := []any{"0 0", zero(h.t).Text(), results}
		if got, err := h.run("step", "newer-tally:{a}", args...); got != "!schema 2" || err != nil {
			h.t.Errorf("step of %q on a tally of a newer layout: %v, %v", results, got, err)
		}
	}
	for script, args := range args {
		if script == "inspect" || script == "since" {
			continue // it has no use for the time
		}
		before := h.now
		h.now = 0
		if got, err := h.run(script, "late:{"+script+"}", args...); got != "!clock 0" || err != nil {
			h.t.Errorf("%s with a clock that is at 0: %v, %v", script, got, err)
		}
		h.now = 1 << 42
		if got, err := h.run(script, "late:{"+script+"}", args...); got != "!clock 4398046511104" || err != nil || h.rdb.Exists(ctx, "late:{"+script+"}").Val() != 0 {
			h.t.Errorf("%s in the year 2109: %v, %v", script, got, err)
		}
		h.now = 1<<42 - 1
		if got, err := h.run(script, "late:{"+script+"}", args...); err != nil || fmt.Sprint(got)[0] == '!' {
			h.t.Errorf("%s just before the last instant: %v, %v", script, got, err)
		}
		h.now = before
	}
	for script, args := range args {
		if got, err := h.run(script, "text:{a}", args...); got != "!type string" || err != nil {
			h.t.Errorf("%s on a string: %v, %v", script, got, err)
		}
		if script == "inspect" || script == "since" {
			continue // they hand over whatever there is
		}
		if got, err := h.run(script, "newer:{a}", args...); got != "!schema 2" || err != nil {
			h.t.Errorf("%s on a newer layout: %v, %v", script, got, err)
		}
		h.fail = map[string]string{"HMGET": "NOPERM no"}
		if got, err := h.run(script, "newer:{a}", args...); err == nil || err.Error() != "NOPERM no" {
			h.t.Errorf("%s without HMGET: %v, %v", script, got, err)
		}
		h.fail = nil
	}
}

// checkPing asks a server that refuses something, and one that does not.
func (h *host) checkPing() {
	h.t.Helper()
	if got, err := h.run("ping", "lines:{ping}"); got != "" || err != nil {
		h.t.Errorf("ping: %q, %v", got, err)
	}
	h.fail = map[string]string{"PUBLISH": "NOPERM no"}
	if got, err := h.run("ping", "lines:{ping}"); got != "PUBLISH NOPERM no" || err != nil {
		h.t.Errorf("ping without PUBLISH: %q, %v", got, err)
	}
	h.fail = nil
}

// checkUnpublished makes transitions whose events the server refuses: step and command
// count, and their replies say so.
func (h *host) checkUnpublished() {
	h.t.Helper()
	h.fail = map[string]string{"PUBLISH": "NOPERM no"}
	rules, batch := zero(h.t), engine.Batch{Admissions: 1}
	raw, err := h.run("step", "lines:{unpublished}", scripts.StepArgs(rules, 0, batch)...)
	h.fail = nil
	if err != nil {
		h.t.Fatal(err)
	}
	got, err := scripts.DecodeStep(raw, rules, batch)
	if err != nil || !got.Unpublished || got.Granted != 1 || got.Transition.Cause != engine.CauseCreated {
		h.t.Errorf("%q is %+v, %v, want a transition that was not published", raw, got, err)
	}
	h.fail = map[string]string{"PUBLISH": "NOPERM no"}
	raw, err = h.run("control", "lines:{unpublished}", scripts.ControlArgs(rules, false, 0, engine.Command{Action: engine.ActionTrip})...)
	h.fail = nil
	if err != nil {
		h.t.Fatal(err)
	}
	if c, err := scripts.DecodeControl(raw); err != nil || !c.Unpublished || len(c.Transitions) != 1 {
		h.t.Errorf("%q is %+v, %v, want a transition that was not published", raw, c, err)
	}
}

// checkSince reads a record of 5 transitions back to each of them.
func (h *host) checkSince() {
	h.t.Helper()
	fields := []any{"head", "1 closed auto epoch=5 policy=- since=5 until=0 open_for=0 trips=0 n=5", "tally", "not wanted"}
	for i := 1; i <= 5; i++ {
		fields = append(fields, fmt.Sprintf("log:%02d", i), fmt.Sprintf("%d %d %d closed>closed operator", i, i, i))
	}
	h.rdb.HSet(h.t.Context(), "since:{a}", fields...)
	for known, want := range map[int64]int{5: 3, 3: 3, 2: 5, 0: 5} {
		raw, err := h.run("since", "since:{a}", scripts.SinceArgs(known)...)
		if err != nil {
			h.t.Fatal(err)
		}
		record, _, err := scripts.DecodeInspect(raw)
		if log := record.Snapshot("a", 0).Log; err != nil || len(log) != want || log[len(log)-1].Epoch != 5 {
			h.t.Errorf("since %d: %+v, %v, want %d entries", known, log, err, want)
		}
	}
	h.fail = map[string]string{"HGET": "NOPERM no"}
	if raw, err := h.run("since", "since:{a}", scripts.SinceArgs(1)...); err == nil {
		h.t.Errorf("since without the right to read: %v", raw)
	}
	h.fail = nil
	if raw, err := h.run("since", "since:{gone}", scripts.SinceArgs(1)...); err != nil || len(raw.([]any)) != 1 {
		h.t.Errorf("since of no record: %v, %v", raw, err)
	}
}

// checkEnrol enters names, some of which are over at the next time.
func (h *host) checkEnrol() {
	h.t.Helper()
	run := func(at, ttl int64, names ...string) any {
		h.now = at
		stamp, err := h.run("enrol", "enrol:{#index:0}", scripts.EnrolArgs(ttl, names)...)
		if err != nil {
			h.t.Fatal(err)
		}
		return stamp
	}
	stamp := run(1000, 500, "a", "b")
	run(1200, 0, "c")
	if again := run(2000, 500, "b"); again != stamp || stamp != "1000" {
		h.t.Errorf("the stamp was %v and is %v, want 1000", stamp, again)
	}
	got := h.rdb.ZRange(h.t.Context(), "enrol:{#index:0}", 0, -1).Val()
	if want := []string{"#", "b", "c"}; !slices.Equal(got, want) {
		h.t.Errorf("listed are %q, want %q", got, want)
	}
}

func zero(t testing.TB) *engine.Rules {
	t.Helper()
	rules, err := engine.Policy{}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return &rules
}
