package scripts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/scripts"
)

// mirrored are the files that stand in engine and in lib as two columns of one
// page: the same functions under the same names, in the same order.
var mirrored = []string{"machine", "probes", "transition", "window", "judge", "log", "control", "head", "tally", "round", "fields", "ramp", "standing"}

// goOnly and luaOnly are the functions that one column does without, and why.
var goOnly = map[string]string{
	"machine.step":            "step.lua itself",
	"machine.note_applied":    "step.lua itself",
	"window.outcome_of":       "in Lua an outcome is its letter",
	"window.drop_window_junk": "a script reads a field only where it needs it",
	"log.log_entry":           "record.lua writes the entry that it keeps",
	"log.parse_place":         "a script never reads an entry",
	"log.parse_transition":    "a script never reads an entry",
	"log.parse_event":         "a script never reads an event",
	"log.read_log":            "a script never reads an entry",
	"round.settled":           "in Lua it is two fields of m",
	"fields.window_reaches":   "in Lua rotate_buckets drops what the window no longer reaches",
	"fields.add_cells":        "a script writes only the cells that a step changed",
	"control.rules":           "control.lua itself",
}

var luaOnly = map[string]string{
	"head.is_known_state":      "in Go a state is an index",
	"head.is_known_mode":       "in Go a mode is an index",
	"tally.clear_tally":        "in Go a new tally is a literal",
	"tally.scan_tally":         "in Go matchText reads the whole layout",
	"window.same_shape":        "in Go shapes compare",
	"window.remove_window":     "in Go an empty field is not written",
	"transition.remove_state":  "in Go an empty field is not written",
	"control.is_sound_rules":   "in Go it is in rules.go",
	"control.is_sound_initial": "in Go it is in rules.go",
}

func TestMirror(t *testing.T) {
	known := map[string]bool{}
	for _, file := range mirrored {
		goNames := without(goFunctions(t, "../engine/"+file+".go"), file, goOnly, known)
		luaNames := without(luaFunctions(t, "lib/"+file+".lua"), file, luaOnly, known)
		if diff := cmp.Diff(goNames, luaNames); diff != "" {
			t.Errorf("%s.go and %s.lua have other functions, or another order (-go +lua):\n%s", file, file, diff)
		}
	}
	for _, exceptions := range []map[string]string{goOnly, luaOnly} {
		for name := range exceptions {
			if !known[name] {
				t.Errorf("%s is an exception that nothing needs", name)
			}
		}
	}
}

// without drops the exceptions, and notes which were needed.
func without(names []string, file string, exceptions map[string]string, known map[string]bool) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		_, is := exceptions[file+"."+name]
		if is {
			known[file+"."+name] = true
		}
		return is
	})
}

var upper = regexp.MustCompile(`[A-Z]+`)

// goFunctions are the functions of a Go file, in the manner of Lua's names.
func goFunctions(t testing.TB, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			snake := upper.ReplaceAllStringFunc(f.Name.Name, func(s string) string { return "_" + strings.ToLower(s) })
			names = append(names, strings.TrimPrefix(snake, "_"))
		}
	}
	return names
}

var luaFunction = regexp.MustCompile(`(?m)^(?:local )?function (?:m\.)?(\w+)`)

func luaFunctions(t testing.TB, path string) []string {
	t.Helper()
	text, err := fs.ReadFile(scripts.Files, path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range luaFunction.FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}
