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
// page: the same functions under the same names, in the same order. A library that is
// not among them has exceptions only.
var mirrored = []string{"machine", "probes", "transition", "renew", "window", "cells", "judge", "log", "control", "head", "tally", "round", "fields", "ramp", "standing", "rules", "codec"}

// goOnly and luaOnly are the functions that one column does without, and why.
var goOnly = map[string]string{
	"machine.step":            "step.lua itself",
	"machine.note_applied":    "step.lua itself",
	"cells.outcome_of":        "in Lua an outcome is its letter",
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
	"rules.rules":             "a script gets sound rules as text",
	"rules.default_streak":    "a part of Rules",
	"rules.window_shape":      "a part of Rules",
	"rules.window_rules":      "a part of Rules",
	"rules.backoff_rules":     "a part of Rules",
	"rules.half_open_rules":   "a part of Rules",
	"rules.ramp_rules":        "a part of Rules",
	"rules.initial_rules":     "a part of Rules",
	"rules.text":              "in Lua it is a field of p",
	"rules.fingerprint":       "in Lua it is a field of p",
	"rules.encode_rules":      "a script never writes rules, it keeps their text",
	"rules.policy":            "only a caller asks for it",
	"codec.cell_field":        "a script formats it where it needs it",
	"codec.log_field":         "a script formats it where it needs it",
	"codec.is_field_readable": "in Lua each of these fields has a flag in m",
	"codec.keep_junk":         "in Lua what a step does not write stays in the hash",
	"codec.is_known_field":    "a script asks for fields by name",
	"codec.log_slot":          "a script asks for fields by name",
}

var luaOnly = map[string]string{
	"head.is_known_state":        "in Go a state is an index",
	"head.is_known_mode":         "in Go a mode is an index",
	"tally.clear_tally":          "in Go a new tally is a literal",
	"tally.scan_tally":           "in Go matchText reads the whole layout",
	"rules.parse_recovery_rules": "in Go matchText reads the whole layout",
	"window.same_shape":          "in Go shapes compare",
	"window.remove_window":       "in Go an empty field is not written",
	"transition.remove_state":    "in Go an empty field is not written",
	"codec.unused_fields":        "in Go an empty field is not written",
	"clock.clock":                "in Go the time is an argument",
}

// renamed are the Lua functions whose counterpart in Go has another name in the same
// place: a script reads and writes a part of the record, Go all of it.
var renamed = map[string]string{
	"codec.newer_layout": "is_newer_layout", // a reply names the version, an error does not
	"codec.load_record":  "parse_record",
	"codec.save_record":  "fields",
}

// elsewhere are the Lua functions whose counterpart of the same name is in another Go
// file. Each function costs a script time at every run, so a script includes none that
// it does not call.
var elsewhere = map[string]string{
	"control.is_sound_rules":   "rules",
	"control.is_sound_initial": "rules",
	"record.bucket_ms":         "rules",
	"rules.within":             "record",
}

func TestMirror(t *testing.T) {
	needed := map[string]bool{}
	for _, file := range libraries(t) {
		luaNames := luaCounterparts(t, file, needed)
		goNames := []string{}
		if slices.Contains(mirrored, file) {
			goNames = goCounterparts(t, file, needed)
		}
		if diff := cmp.Diff(goNames, luaNames); diff != "" {
			t.Errorf("%s.go and %s.lua have other functions, or another order (-go +lua):\n%s", file, file, diff)
		}
	}
	for name, file := range elsewhere {
		_, function, _ := strings.Cut(name, ".")
		if !slices.Contains(goFunctions(t, "../engine/"+file+".go"), function) {
			t.Errorf("%s has no counterpart in %s.go", name, file)
		}
	}
	for _, exceptions := range []map[string]string{goOnly, luaOnly, renamed, elsewhere} {
		for name := range exceptions {
			if !needed[name] {
				t.Errorf("%s is an exception that nothing needs", name)
			}
		}
	}
}

// libraries are the files in lib, by name.
func libraries(t testing.TB) []string {
	t.Helper()
	paths, err := fs.Glob(scripts.Files, "lib/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		paths[i] = strings.TrimSuffix(strings.TrimPrefix(path, "lib/"), ".lua")
	}
	for _, file := range mirrored {
		if !slices.Contains(paths, file) {
			t.Errorf("there is no lib/%s.lua", file)
		}
	}
	return paths
}

// luaCounterparts are the functions of a Lua file that its Go file must have, by the
// names that they have there.
func luaCounterparts(t testing.TB, file string, needed map[string]bool) []string {
	t.Helper()
	names := without(luaFunctions(t, "lib/"+file+".lua"), file, luaOnly, needed)
	names = without(names, file, elsewhere, needed)
	for i, name := range names {
		if other, is := renamed[file+"."+name]; is {
			needed[file+"."+name] = true
			names[i] = other
		}
	}
	return names
}

// goCounterparts are the functions of a Go file that its Lua file must have.
func goCounterparts(t testing.TB, file string, needed map[string]bool) []string {
	t.Helper()
	names := without(goFunctions(t, "../engine/"+file+".go"), file, goOnly, needed)
	return slices.DeleteFunc(names, func(name string) bool {
		for other, goFile := range elsewhere {
			if goFile == file && strings.HasSuffix(other, "."+name) {
				return true
			}
		}
		return false
	})
}

// without drops the exceptions, and notes which were needed.
func without(names []string, file string, exceptions map[string]string, needed map[string]bool) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		_, is := exceptions[file+"."+name]
		if is {
			needed[file+"."+name] = true
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
	names := []string{}
	for _, m := range luaFunction.FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}
