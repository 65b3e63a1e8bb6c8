package scripts_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// header is the block at the top of a script, with all that its
// caller must know.
type header struct {
	purpose    string
	keys, argv []string
	returns    []string // a form a line: "text", {array} or words, then a colon and what it means
	writes     string
	invariants string
}

var headerBlock = regexp.MustCompile(`(?s)^--\[\[\n(\w+)\.lua: (.*?)\n\n` + // name and purpose
	`(KEYS\[1\].*?)\n\n(ARGV.*?)\n\nReturns (.*?)\n\nWrites   (.*?)\n\nInvariants\n(.*?)\n\]\]\n`)

// headerOf reads a script's header. It fails the test if it is not of the fixed form.
func headerOf(t testing.TB, name string) header {
	t.Helper()
	text, err := fs.ReadFile(scripts.Files, name+".lua")
	if err != nil {
		t.Fatal(err)
	}
	m := headerBlock.FindStringSubmatch(string(text))
	if m == nil || m[1] != name {
		t.Fatalf("%s.lua does not begin with a header of the form that step.lua has: name and purpose, KEYS, ARGV, Returns, Writes, Invariants", name)
	}
	h := header{purpose: m[2], keys: lines(m[3]), argv: lines(m[4]), returns: lines(m[5]), writes: m[6], invariants: strings.TrimSpace(m[7])}
	if m[4] == "ARGV     none" {
		h.argv = nil
	}
	return h
}

func lines(text string) []string {
	var list []string
	for _, line := range strings.Split(text, "\n") {
		list = append(list, strings.TrimSpace(line))
	}
	return list
}

// writeCommands are the commands that change a record, its TTL, or tell of it.
func (h header) writeCommands() []string {
	list, _, _ := strings.Cut(h.writes, ";")
	if list == "nothing" {
		return nil
	}
	return strings.Split(list, ", ")
}

var readCommands = []string{"TIME", "TYPE", "HGET", "HMGET", "HGETALL", "ZSCORE", "ZRANGEBYSCORE"}

func TestHeader_writes(t *testing.T) {
	for _, name := range scriptNames {
		var written []string
		for _, command := range commands(t, name) {
			if !slices.Contains(readCommands, command) && !slices.Contains(written, command) {
				written = append(written, command)
			}
		}
		if h := headerOf(t, name); !slices.Equal(written, h.writeCommands()) {
			t.Errorf("%s writes %q, its header says %q", name, written, h.writeCommands())
		}
	}
}

// checkRan holds what a script did just now against its header: the commands
// that write come in the header's order, as often as it says; in step.lua nothing
// is read once something was written.
func (h *host) checkRan(script string, head header) {
	h.t.Helper()
	order, last, times := head.writeCommands(), -1, map[string]int{}
	for _, command := range h.ran {
		times[command]++
		i := slices.Index(order, command)
		if i < 0 {
			if last >= 0 && script == "step" {
				h.t.Errorf("%s reads after it wrote: %q", script, h.ran)
			}
			continue
		}
		if i < last {
			h.t.Errorf("%s writes out of order: %q", script, h.ran)
		}
		last = i
		most := 1
		if strings.Contains(head.writes, command+" at most twice") {
			most = 2
		}
		if times[command] > most {
			h.t.Errorf("%s runs %s too often: %q", script, command, h.ran)
		}
	}
	if times["TIME"] > 1 {
		h.t.Errorf("%s reads the clock %d times", script, times["TIME"])
	}
}

// TestHeader_arguments holds KEYS and ARGV against the Go that calls the script.
func TestHeader_arguments(t *testing.T) {
	full := engine.Batch{
		Results:    []engine.Result{{Ticket: engine.Ticket{Epoch: 7, Lease: 2}, Runs: []engine.Run{{Outcome: engine.Failure, N: 1}}}},
		Admissions: 1, Reporter: "web-1", Detail: engine.Detail{OpenFor: 1, Text: "503"},
	}
	rules := zero(t)
	sent := map[string][]any{
		"step":    scripts.StepArgs(rules, 0, full),
		"control": scripts.ControlArgs(rules, true, 0, engine.Command{Action: engine.ActionTrip}),
		"inspect": nil,
		"ping":    nil,
		"since":   scripts.SinceArgs(7),
		"enrol":   scripts.EnrolArgs(1000, []string{"a", "b"}),
	}
	for _, name := range scriptNames {
		h := headerOf(t, name)
		if len(h.keys) != 1 || h.purpose == "" || h.invariants == "" {
			t.Errorf("%s: %d keys, purpose %q, invariants %q: one key, and say the rest", name, len(h.keys), h.purpose, h.invariants)
		}
		if len(h.argv) != len(sent[name]) {
			t.Errorf("%s: the header has %d arguments, Go sends %d", name, len(h.argv), len(sent[name]))
		}
		for i, line := range h.argv {
			if !strings.HasPrefix(line, fmt.Sprintf("ARGV[%d]  ", i+1)) {
				t.Errorf("%s: %q is not about ARGV[%d]", name, line, i+1)
			}
			refused := fmt.Sprintf("!args %d", i+1)
			tried := false
			for _, bad := range badArguments {
				tried = tried || bad.script == name && bad.want == refused
			}
			if !tried {
				t.Errorf("%s: no bad example of ARGV[%d] in badArguments", name, i+1)
			}
		}
	}
	if got, want := fmt.Sprint(sent["step"]), "[1 0 "+rules.Text()+" 7.2 f1 web-1 1 503]"; got != want {
		t.Errorf("step is sent %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(sent["control"]), "[trip 0 0 "+rules.Text()+" stored 0 - -]"; got != want {
		t.Errorf("control is sent %s, want %s", got, want)
	}
}

// replyExamples has, for each form under Returns, replies of that form and what
// the Go decoder makes of them.
var replyExamples = []struct {
	script, form string
	reply        any
	want         error // nil: it is taken
}{
	{"step", `"<epoch>"`, "1838594888820224", nil},
	{"step", `"<epoch> <left>"`, "1838594888820224 30000", errSurprise},                                         // there were outcomes
	{"step", `"<epoch> <granted> <ramp left> <share> <left>"`, "1838594888820224 1 5000 6000 100", errSurprise}, // there were outcomes
	{"step", `"<state> <mode> epoch=<n> left=<ms> mode_left=<ms> granted=<n> lease=<first> applied=<n> stale=<n> policy=<fingerprint>"`,
		"half_open auto epoch=7 left=30000 mode_left=0 granted=1 lease=3 applied=2 stale=0 policy=36c82cee", nil},
	{"step", `"<state> <mode> epoch=<n> left=<ms> mode_left=<ms> granted=<n> lease=<first> applied=<n> stale=<n> policy=<fingerprint>"`,
		"half_open auto epoch=7 left=30000 mode_left=0 granted=1 lease=3 applied=1 stale=1 policy=36c82cee applied_each=1", nil},
	{"step", `"<state> <mode> epoch=<n> left=<ms> mode_left=<ms> granted=<n> lease=<first> applied=<n> stale=<n> policy=<fingerprint>"`,
		"open shadow epoch=7 left=30000 mode_left=5 granted=0 lease=0 applied=2 stale=0 policy=36c82cee\n6 1 7 1000 closed/shadow>open/shadow consecutive for=30000 streak=2 calls=0 failures=0 slow=0 by=web-1", nil},
	{"step", `"=<streak> <seq> <calls> <failures> <slow> <leaving calls> <leaving failures> <leaving slow> <turn> <age> <other seq> <other turns>"`,
		"1838594888820224\n=2 5 9 4 0 3 1 0 250 8000 4 1", errSurprise}, // nothing asked for it
	{"step", `"!type <type>"`, "!type zset", engine.ErrForeignKey},
	{"step", `"!schema <n>"`, "!schema 2", engine.ErrNewerLayout},
	{"step", `"!args <n>"`, "!args 3", errBug},
	{"step", `"!clock <ms>"`, "!clock 4398046511104", engine.ErrClock},
	{"control", `"!clock <ms>"`, "!clock 4398046511104", engine.ErrClock},
	{"control", `{verdict, now, events, field, value, field, value, ...}`, []any{"done", "1000", "0 1 7 1000 closed>open operator for=60000 by=ops\n", "head", "1 closed", "tally", "x"}, nil},
	{"control", `{verdict, now, events, field, value, field, value, ...}`, []any{"conflict", "1000", ""}, engine.ErrConflict},
	{"control", `{verdict, now, events, field, value, field, value, ...}`, []any{"forced", "1000", "", "head", "1 closed", "tally", "x"}, engine.ErrForced},
	{"control", `"!type <type>"`, "!type list", engine.ErrForeignKey},
	{"control", `"!schema <n>"`, "!schema 12", engine.ErrNewerLayout},
	{"control", `"!args <n>"`, "!args 6", errBug},
	{"inspect", `{now, field, value, field, value, ...}`, []any{"1000", "head", "1 closed", "tally", "x"}, nil},
	{"inspect", `{now, field, value, field, value, ...}`, []any{"1000"}, nil},
	{"inspect", `"!type <type>"`, "!type string", engine.ErrForeignKey},
	{"since", `{now, field, value, field, value, ...}`, []any{"1000", "head", "1 closed", "log:01", "x"}, nil},
	{"since", `{now, field, value, field, value, ...}`, []any{"1000"}, nil},
	{"since", `"!type <type>"`, "!type string", engine.ErrForeignKey},
	{"since", `"!args <n>"`, "!args 1", errBug},
	{"enrol", `"<stamp>"`, "1795502821113", nil},
	{"enrol", `"!type <type>"`, "!type hash", engine.ErrForeignKey},
	{"enrol", `"!args <n>"`, "!args 2", errBug},
	{"ping", `""`, "", nil},
	{"ping", `"<command> <error>"`, "HSET NOPERM no", nil},
}

func TestHeader_returns(t *testing.T) {
	form := regexp.MustCompile(`"[^"]*"|^\{[^}]*\}`)
	for _, name := range scriptNames {
		for _, line := range headerOf(t, name).returns {
			if strings.HasPrefix(line, "otherwise") { // its form is at its end
				_, last, _ := strings.Cut(line, `"`)
				line = `"` + last
			}
			of := form.FindString(line)
			known := false
			for _, example := range replyExamples {
				if example.script == name && example.form == of {
					known = true
					checkDecode(t, name, example.reply, example.want)
				}
			}
			if !known {
				t.Errorf("%s: no example of a reply of the form %q", name, of)
			}
		}
	}
}
