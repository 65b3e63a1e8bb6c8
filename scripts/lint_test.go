package scripts_test

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// The scripts must run alike on every server. What depends on values (a number
// where text is due) the host of TestLines refuses while it runs every
// statement; what the text alone shows is refused here.

// knownGlobals is all that a script may use: it excludes what some servers lack
// (cmsgpack, struct, bit, cjson), what they show differently (tostring,
// tonumber) and what they forbid (a global of one's own).
var knownGlobals = []string{"redis", "KEYS", "ARGV", "string", "table", "math", "ipairs", "pairs", "setmetatable", "type", "unpack"}

func TestLint_globals(t *testing.T) {
	for _, name := range scriptNames {
		set, used := globals(t, byName(t, name).Source)
		if len(set) > 0 {
			t.Errorf("%s sets the globals %q", name, set)
		}
		for _, global := range used {
			if !slices.Contains(knownGlobals, global) {
				t.Errorf("%s uses the global %s", name, global)
			}
		}
	}
}

// TestLint_globals_finds makes sure that the lint sees what it is for.
func TestLint_globals_finds(t *testing.T) {
	set, used := globals(t, "local function f() leaked = 1 end\nreturn tostring(f)")
	if !slices.Contains(set, "leaked") || !slices.Contains(used, "tostring") {
		t.Errorf("found %q set and %q used", set, used)
	}
}

// globals returns what a script sets and uses beyond its locals, by its bytecode.
func globals(t testing.TB, source string) (set, used []string) {
	t.Helper()
	chunk, err := parse.Parse(strings.NewReader(source), "script")
	if err != nil {
		t.Fatal(err)
	}
	top, err := lua.Compile(chunk, "script")
	if err != nil {
		t.Fatal(err)
	}
	for protos := []*lua.FunctionProto{top}; len(protos) > 0; protos = protos[1:] {
		p := protos[0]
		protos = append(protos, p.FunctionPrototypes...)
		for _, instruction := range p.Code {
			// gopher-lua keeps the operation in the upper 6 bits, the constant in the lower 18.
			switch constant := instruction & (1<<18 - 1); int(instruction >> 26) {
			case lua.OP_SETGLOBAL:
				set = append(set, p.Constants[constant].String())
			case lua.OP_GETGLOBAL:
				used = append(used, p.Constants[constant].String())
			}
		}
	}
	return set, used
}

// commands are the commands that a script calls, by its text, in order.
func commands(t testing.TB, name string) []string {
	t.Helper()
	chunk, err := parse.Parse(strings.NewReader(byName(t, name).Source), name)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	walker{expr: func(e ast.Expr) ast.Expr {
		if command, _ := commandOf(e); command != "" {
			list = append(list, command)
		}
		return e
	}}.stmts(chunk)
	return list
}

// commandOf returns what an expression calls, if it is redis.call('NAME', ...)
// or redis.pcall: in ping.lua that is in a function of its own, try.
func commandOf(e ast.Expr) (string, []ast.Expr) {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok {
		return "", nil
	}
	switch f := call.Func.(type) {
	case *ast.AttrGetExpr:
		object, isName := f.Object.(*ast.IdentExpr)
		if !isName || object.Value != "redis" {
			return "", nil
		}
	case *ast.IdentExpr:
		if f.Value != "try" {
			return "", nil
		}
	default:
		return "", nil
	}
	switch first := call.Args[0].(type) {
	case *ast.StringExpr:
		return first.Value, call.Args[1:]
	case *ast.IdentExpr: // within try
		return "", nil
	}
	return "?", nil
}

func TestLint_oneKey(t *testing.T) {
	for _, name := range scriptNames {
		source := byName(t, name).Source
		if other := regexp.MustCompile(`KEYS\b(\[[^1]|[^\[])`).FindString(source); other != "" {
			t.Errorf("%s: %q: KEYS[1] is the only key, so that a breaker is in one slot", name, other)
		}
		chunk, err := parse.Parse(strings.NewReader(source), name)
		if err != nil {
			t.Fatal(err)
		}
		walker{expr: func(e ast.Expr) ast.Expr {
			command, args := commandOf(e)
			switch command {
			case "", "TIME", "PUBLISH": // these take no key
			case "?":
				t.Errorf("%s:%d: a command whose name is not in the text", name, e.Line())
			default:
				key, ok := args[0].(*ast.AttrGetExpr)
				if !ok || key.Object.(*ast.IdentExpr).Value != "KEYS" {
					t.Errorf("%s:%d: %s of something else than KEYS[1]", name, e.Line(), command)
				}
			}
			return e
		}}.stmts(chunk)
	}
}

// TestLint_text checks what the scripts' text must not have.
func TestLint_text(t *testing.T) {
	passedOn := regexp.MustCompile(`for _, text in ipairs\(redis\.call\('HGETALL', KEYS\[1\]\)\) do reply\[#reply \+ 1\] = text end`)
	for _, name := range scriptNames {
		source := byName(t, name).Source
		if strings.HasPrefix(source, "#!") {
			t.Errorf("%s begins with a shebang, which old servers and miniredis refuse", name)
		}
		if n := strings.Count(source, "redis.call('TIME')"); n > 1 {
			t.Errorf("%s has %d places that call TIME: it moves during a script on some servers", name, n)
		}
		if uses, known := strings.Count(source, "redis.call('HGETALL'"), len(passedOn.FindAllString(source, -1)); uses != known {
			t.Errorf("%s: the order of HGETALL differs between servers: it may only be passed on whole", name)
		}
		chunk, err := parse.Parse(strings.NewReader(source), name)
		if err != nil {
			t.Fatal(err)
		}
		walker{expr: func(e ast.Expr) ast.Expr {
			for _, v := range formatVerbs(e) {
				if !slices.Contains([]string{"%d", "%02d", "%s"}, v) {
					t.Errorf("%s:%d: %s is shown differently on some servers, use %%d or %%s", name, e.Line(), v)
				}
			}
			return e
		}}.stmts(chunk)
	}
}

// formatVerbs returns the verbs of a string.format.
func formatVerbs(e ast.Expr) []string {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok {
		return nil
	}
	f, ok := call.Func.(*ast.AttrGetExpr)
	if !ok {
		return nil
	}
	if key, ok := f.Key.(*ast.StringExpr); !ok || key.Value != "format" {
		return nil
	}
	layout := ""
	walker{expr: func(e ast.Expr) ast.Expr {
		if s, ok := e.(*ast.StringExpr); ok {
			layout += s.Value
		}
		return e
	}}.one(call.Args[0])
	return verb.FindAllString(layout, -1)
}

// TestLint_numbers keeps numbers that Go knows by a name out of the sources, where
// they would have two sources.
func TestLint_numbers(t *testing.T) {
	files, err := fs.Glob(scripts.Files, "lib/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scriptNames {
		files = append(files, name+".lua")
	}
	used := map[string]bool{}
	for _, file := range files {
		text, err := fs.ReadFile(scripts.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\$[A-Z][A-Z_]*`).FindAllString(string(text), -1) {
			used[name[1:]] = true
		}
		chunk, err := parse.Parse(strings.NewReader(regexp.MustCompile(`\$[A-Z][A-Z_]*`).ReplaceAllString(string(text), "0")), file)
		if err != nil {
			continue // a part of a loop or of a function is no chunk: its assembled script is checked
		}
		walker{expr: func(e ast.Expr) ast.Expr {
			if n, ok := e.(*ast.NumberExpr); ok && file != "lib/clock.lua" && len(n.Value) > 2 {
				t.Errorf("%s:%d: %s has no name, see engine.ScriptConstants", file, e.Line(), n.Value)
			}
			return e
		}}.stmts(chunk)
	}
	for name := range engine.ScriptConstants() {
		if !used[name] {
			t.Errorf("no script uses the constant %s", name)
		}
	}
}

// TestLint_lines keeps each file of lib short enough to be read at once.
func TestLint_lines(t *testing.T) {
	files, err := fs.Glob(scripts.Files, "lib/fast*.lua")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(scripts.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > 45 {
			t.Errorf("%s has %d lines, at most 45", file, n)
		}
	}
}

// TestHost_refuses makes sure that the host sees what it is for.
func TestHost_refuses(t *testing.T) {
	h := newHost(t)
	for script, want := range map[string]string{
		`return 1 .. ''`:                       "text is due",
		`return 'a' .. 1.5`:                    "text is due",
		`return table.concat({ 1, 2 })`:        "text is due",
		`return string.format('%s', 1)`:        "text is due",
		`return string.format('%d', 1.5)`:      "no integer",
		`return string.format('%d', 2 ^ 60)`:   "no integer",
		`return string.format('%d', '12')`:     "no integer",
		`redis.call('SET', KEYS[1], 1)`:        "text is due",
		`redis.pcall('SET', KEYS[1], 0.1)`:     "text is due",
		`redis.call('HSET', KEYS[1], 'field')`: "wrong number of arguments",
	} {
		h.sources["bad"] = instrumentText(t, "bad", script)
		if got, err := h.run("bad", "bad:{a}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want an error about %q", script, got, err, want)
		}
	}
}

// TestLint_constants keeps each function of a script, and the main chunk, within
// 256 constants: beyond them gopher-lua, and so miniredis, misreads some statements.
func TestLint_constants(t *testing.T) {
	for _, name := range scriptNames {
		chunk, err := parse.Parse(strings.NewReader(byName(t, name).Source), name)
		if err != nil {
			t.Fatal(err)
		}
		top, err := lua.Compile(chunk, name)
		if err != nil {
			t.Fatal(err)
		}
		for protos := []*lua.FunctionProto{top}; len(protos) > 0; protos = protos[1:] {
			p := protos[0]
			protos = append(protos, p.FunctionPrototypes...)
			if n := len(p.Constants); n > 256 {
				t.Errorf("%s:%d: a function of %d constants, at most 256", name, p.LineDefined, n)
			}
		}
	}
}
