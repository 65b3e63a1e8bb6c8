package scripts_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/redis/go-redis/v9"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/internal/scenario"
	"github.com/redbreaker/redbreaker/scripts"
)

// scriptNames are the scripts of this package.
var scriptNames = []string{"step", "control", "inspect", "ping", "since", "enrol"}

// host runs the scripts in a Lua state of its own, whose redis.call talks to a
// miniredis. It notes each statement that runs, and raises where a script relies
// on what differs between servers: a number where text is due, or text where a
// number is.
type host struct {
	t       testing.TB
	rdb     *redis.Client
	sources map[string]*source
	headers map[string]header
	fail    map[string]string // commands that are refused, and the error's text

	now  int64    // what TIME answers, in ms
	ran  []string // the commands of the last run
	hits map[string]bool
}

// source is one script, instrumented.
type source struct {
	proto *lua.FunctionProto
	sites []string // of its statements: lib/log.lua:12, or lib/log.lua:12 (2) for the second on a line
}

func newHost(t testing.TB) *host {
	t.Helper()
	_, rdb := redistest.Mini(t)
	h := &host{t: t, rdb: rdb, sources: map[string]*source{}, headers: map[string]header{}, hits: map[string]bool{}}
	for _, name := range scriptNames {
		h.sources[name], h.headers[name] = instrument(t, name), headerOf(t, name)
	}
	return h
}

// twin is the host as a twin of the pure machine.
func (h *host) twin(key string) *scenario.Lua {
	return &scenario.Lua{Name: "host", Redis: h.rdb, Key: key, Exact: true, Run: func(script string, now int64, args []any) (any, error) {
		h.now = now
		return h.run(script, key, args...)
	}}
}

// lineMark ends each line of an assembled script that is to be instrumented, so
// that a statement knows the file and line it came from.
var lineMark = regexp.MustCompile(` --\[([^\]]+)\]$`)

// annotated is a script whose every line ends with its file and line.
func annotated(t testing.TB, name string) string {
	t.Helper()
	files := scenario.Files(scripts.Files)
	for path, file := range files {
		var out strings.Builder
		n := 0
		for line := range strings.Lines(string(file.Data)) {
			n++
			if line = strings.TrimSuffix(line, "\n"); !strings.Contains(line, "-- @include ") {
				line += fmt.Sprintf(" --[%s:%d]", path, n)
			}
			out.WriteString(line + "\n")
		}
		files[path] = &fstest.MapFile{Data: []byte(out.String())}
	}
	s, err := scripts.Assemble(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return s.Source
}

// instrument parses a script and puts a call of hit before each statement.
func instrument(t testing.TB, name string) *source {
	t.Helper()
	return instrumentText(t, name, annotated(t, name))
}

func instrumentText(t testing.TB, name, text string) *source {
	t.Helper()
	chunk, err := parse.Parse(strings.NewReader(text), name)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{}
	lines, seen := strings.Split(text, "\n"), map[string]int{}
	w := walker{
		block: func(stmts []ast.Stmt) []ast.Stmt {
			var out []ast.Stmt
			for _, stmt := range stmts {
				site := "?"
				if m := lineMark.FindStringSubmatch(lines[stmt.Line()-1]); m != nil {
					site = m[1]
				}
				seen[site]++
				if seen[site] > 1 {
					site += fmt.Sprintf(" (%d)", seen[site])
				}
				hit := &ast.FuncCallStmt{Expr: &ast.FuncCallExpr{Func: &ast.IdentExpr{Value: "hit"}, Args: digits(len(s.sites))}}
				hit.SetLine(stmt.Line())
				hit.Expr.SetLine(stmt.Line())
				s.sites = append(s.sites, site)
				out = append(out, hit, stmt)
			}
			return out
		},
		expr: func(e ast.Expr) ast.Expr {
			concat, ok := e.(*ast.StringConcatOpExpr)
			if !ok {
				return e
			}
			call := &ast.FuncCallExpr{Func: &ast.IdentExpr{Value: "concat"}, Args: []ast.Expr{concat.Lhs, concat.Rhs}}
			call.SetLine(e.Line())
			return call
		},
	}
	if s.proto, err = lua.Compile(w.stmts(chunk), name); err != nil {
		t.Fatal(err)
	}
	return s
}

// digits are the three digits of a number below 4096. gopher-lua misreads
// some functions of more than 256 constants, and a number a statement is many.
func digits(n int) []ast.Expr {
	var list []ast.Expr
	for _, digit := range []int{n >> 8, n >> 4 & 15, n & 15} {
		list = append(list, &ast.NumberExpr{Value: strconv.Itoa(digit)})
	}
	return list
}

// run runs a script and returns its reply as go-redis would.
func (h *host) run(script, key string, args ...any) (any, error) {
	s := h.sources[script]
	l := lua.NewState()
	defer l.Close()
	h.ran = nil

	redisModule := l.NewTable()
	for name, raises := range map[string]bool{"call": true, "pcall": false} {
		l.SetField(redisModule, name, l.NewFunction(func(l *lua.LState) int { return h.call(l, raises) }))
	}
	keys, argv := l.NewTable(), l.NewTable()
	keys.Append(lua.LString(key))
	for _, a := range args {
		argv.Append(lua.LString(fmt.Sprint(a)))
	}
	for name, value := range map[string]lua.LValue{
		"redis": redisModule, "KEYS": keys, "ARGV": argv,
		"hit": l.NewFunction(func(l *lua.LState) int {
			h.hits[s.sites[l.CheckInt(1)<<8|l.CheckInt(2)<<4|l.CheckInt(3)]] = true
			return 0
		}),
		"concat": l.NewFunction(func(l *lua.LState) int { l.Push(text(l, l.Get(1)) + text(l, l.Get(2))); return 1 }),
	} {
		l.SetGlobal(name, value)
	}
	guardFormat(l)
	guardTableConcat(l)

	l.Push(l.NewFunctionFromProto(s.proto))
	if err := l.PCall(0, 1, nil); err != nil {
		return nil, err
	}
	if head, known := h.headers[script]; known {
		h.checkRan(script, head)
	}
	return reply(l.Get(-1))
}

// text raises unless v is a string: tostring and .. show numbers differently.
func text(l *lua.LState, v lua.LValue) lua.LString {
	s, ok := v.(lua.LString)
	if !ok {
		l.RaiseError("a %s where text is due: %v", v.Type(), v)
	}
	return s
}

var verb = regexp.MustCompile(`%[^a-z]*[a-z]`)

// guardFormat lets string.format take integers for %d and text for %s only.
func guardFormat(l *lua.LState) {
	module := l.GetGlobal("string").(*lua.LTable)
	format := l.GetField(module, "format").(*lua.LFunction)
	l.SetField(module, "format", l.NewFunction(func(l *lua.LState) int {
		for i, v := range verb.FindAllString(l.CheckString(1), -1) {
			arg := l.Get(i + 2)
			if v == "%s" {
				text(l, arg)
				continue
			}
			n, ok := arg.(lua.LNumber)
			if !ok || float64(n) != math.Trunc(float64(n)) || math.Abs(float64(n)) > 1<<53 {
				l.RaiseError("%s of %v, which is no integer below 2^53", v, arg)
			}
		}
		return format.GFunction(l)
	}))
}

// guardTableConcat lets table.concat take text only.
func guardTableConcat(l *lua.LState) {
	module := l.GetGlobal("table").(*lua.LTable)
	concat := l.GetField(module, "concat").(*lua.LFunction)
	l.SetField(module, "concat", l.NewFunction(func(l *lua.LState) int {
		l.CheckTable(1).ForEach(func(_, v lua.LValue) { text(l, v) })
		return concat.GFunction(l)
	}))
}

// call is redis.call, or redis.pcall if it does not raise.
func (h *host) call(l *lua.LState, raises bool) int {
	var args []any
	for i := 1; i <= l.GetTop(); i++ {
		args = append(args, string(text(l, l.Get(i))))
	}
	name := args[0].(string)
	h.ran = append(h.ran, name)
	v, err := h.do(name, args)
	if err != nil && !errors.Is(err, redis.Nil) {
		if raises {
			l.RaiseError("%v", err)
		}
		failed := l.NewTable()
		failed.RawSetString("err", lua.LString(err.Error()))
		l.Push(failed)
		return 1
	}
	l.Push(value(l, name, v))
	return 1
}

func (h *host) do(name string, args []any) (any, error) {
	if why, refused := h.fail[name]; refused {
		return nil, errors.New(why)
	}
	if name == "TIME" {
		return []any{strconv.FormatInt(h.now/1000, 10), strconv.FormatInt(h.now%1000*1000+999, 10)}, nil
	}
	return h.rdb.Do(context.Background(), args...).Result()
}

// value is a reply as a script sees it.
func value(l *lua.LState, command string, v any) lua.LValue {
	switch v := v.(type) {
	case nil:
		return lua.LFalse
	case int64:
		return lua.LNumber(v)
	case float64: // a score, which scripts get as text
		return lua.LString(strconv.FormatFloat(v, 'f', -1, 64))
	case string:
		if command == "TYPE" { // the one command of ours that answers with a status
			status := l.NewTable()
			status.RawSetString("ok", lua.LString(v))
			return status
		}
		return lua.LString(v)
	case []any:
		list := l.NewTable()
		for i, item := range v {
			list.RawSetInt(i+1, value(l, "", item))
		}
		return list
	case map[any]any:
		list := l.NewTable()
		for field, item := range v {
			list.Append(value(l, "", field))
			list.Append(value(l, "", item))
		}
		return list
	}
	panic(fmt.Sprintf("%s answered with a %T", command, v))
}

// reply returns a script's result as go-redis shows it.
func reply(v lua.LValue) (any, error) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), nil
	case lua.LNumber:
		return int64(v), nil
	case *lua.LTable:
		if text, ok := v.RawGetString("err").(lua.LString); ok {
			return nil, errors.New(string(text))
		}
		var list []any
		for i := 1; i <= v.Len(); i++ {
			item, err := reply(v.RawGetInt(i))
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	}
	return nil, redis.Nil
}
