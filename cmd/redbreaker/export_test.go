package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cluster"
)

// executeWith runs a command line with a standard input.
func executeWith(input string, args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(input))
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

// An import of an export, into another namespace, gives the same records: fields, damage and
// unknown ones too, time to live, and names.
func TestImport_isLossless(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		names := []string{"payments", "GET /orders", "a\x1b[2J\xff", strings.Repeat("x", 600)}
		for _, name := range names {
			s.must(t, "trip", name, "--create", "--for", "1h")
		}
		s.must(t, "shadow", "payments", "--until-released")
		damaged := s.namespace + ":{GET%20/orders}"
		if err := s.rdb.HSet(ctx, damaged, "w3", "\xfe junk", "later", "field", "\xff", "name").Err(); err != nil {
			t.Fatal(err)
		}
		lines := s.must(t, "export")
		if n := strings.Count(lines, "\n"); n != len(names) {
			t.Fatalf("%d lines, want %d:\n%s", n, len(names), lines)
		}
		other := server{s.addr, s.namespace + "-other", s.rdb}
		out, err := executeWith(lines, "import", "--redis", s.addr, "-n", other.namespace)
		if want := fmt.Sprintf("import: 4 breakers were imported into namespace %q of redis at %s, 0 of them replaced\n", other.namespace, s.addr); err != nil || out != want {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, name := range names {
			compareRecords(t, s, other, name)
		}
		again := other.must(t, "export")
		if diff := cmp.Diff(withoutTTL(lines), withoutTTL(again)); diff != "" {
			t.Errorf("export of the import (-want +got):\n%s", diff)
		}
		if got := len(namesIn(other.must(t, "ls"))); got != len(names) {
			t.Errorf("%d breakers are listed, want %d", got, len(names))
		}
	})
}

// compareRecords compares two records field by field.
func compareRecords(t *testing.T, a, b server, name string) {
	t.Helper()
	keyA, _ := newTestSession(t, a.addr, a.namespace).keys.Key(name)
	keyB, _ := newTestSession(t, b.addr, b.namespace).keys.Key(name)
	if diff := cmp.Diff(a.rdb.HGetAll(ctx, keyA).Val(), b.rdb.HGetAll(ctx, keyB).Val()); diff != "" {
		t.Errorf("%.40q (-want +got):\n%s", name, diff)
	}
	x, y := a.rdb.PTTL(ctx, keyA).Val(), b.rdb.PTTL(ctx, keyB).Val()
	if (x < 0) != (y < 0) || x > 0 && (y > x+time.Second || y < x-time.Hour) {
		t.Errorf("%.40q lives for %v, want %v", name, y, x)
	}
}

// withoutTTL removes the times to live, which shrink.
func withoutTTL(lines string) string {
	var kept []string
	for line := range strings.Lines(lines) {
		before, after, found := strings.Cut(line, `"ttl_ms":`)
		if found {
			_, after, _ = strings.Cut(after, ",")
		}
		kept = append(kept, before+after)
	}
	return strings.Join(kept, "")
}

// What exists is not replaced unless --overwrite says so, and then exactly.
func TestImport_existing(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "one", "--create", "--for", "1h")
		s.must(t, "trip", "two", "--create", "--for", "1h")
		lines := s.must(t, "export")
		s.must(t, "reset", "two")
		before := s.inspect(t, "two")
		if err := s.rdb.Del(ctx, s.namespace+":{one}").Err(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "breakers.jsonl")
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.run("import", file)
		if want := `1 breaker of that name exists: "two"; nothing was imported, use --overwrite to replace them`; err == nil || err.Error() != want || exitCode(err) != exitRefused {
			t.Errorf("got %v, exit code %d", err, exitCode(err))
		}
		if got := s.inspect(t, "two").Epoch; got != before.Epoch || s.inspect(t, "one").Exists {
			t.Error("a refused import changed something")
		}
		out := s.must(t, "import", file, "--overwrite")
		if !strings.Contains(out, "2 breakers were imported") || !strings.Contains(out, "1 of them replaced") {
			t.Errorf("prints %s", out)
		}
		for _, name := range []string{"one", "two"} {
			if got := s.inspect(t, name); got.State != redbreaker.StateOpen {
				t.Errorf("%s is %v", name, got.State)
			}
		}
	})
}

// A key with other data is never replaced.
func TestImport_foreignKeys(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep", "--create")
		lines := s.must(t, "export")
		key := s.namespace + ":{dep}"
		for name, write := range map[string]func() error{
			"string": func() error { return s.rdb.Set(ctx, key, "theirs", 0).Err() },
			"hash":   func() error { return s.rdb.HSet(ctx, key, "their", "field").Err() },
		} {
			if err := errors.Join(s.rdb.Del(ctx, key).Err(), write()); err != nil {
				t.Fatal(err)
			}
			_, err := executeWith(lines, "import", "--overwrite", "--redis", s.addr, "-n", s.namespace)
			if !errors.Is(err, redbreaker.ErrForeignKey) || exitCode(err) != exitFailure {
				t.Errorf("%s: %v", name, err)
			}
			if s.rdb.HExists(ctx, key, "head").Val() {
				t.Errorf("the %s was replaced", name)
			}
		}
	})
}

// A line that export did not write is named, and nothing is imported.
func TestImport_badLines(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep", "--create")
		good := strings.TrimSpace(s.must(t, "export"))
		for bad, want := range map[string]string{
			`{"member":`:                        "line 2: no line that export wrote: unexpected EOF",
			`{"member":"a","fields":{},"x":1}`:  `line 2: no line that export wrote: json: unknown field "x"`,
			`{"member":"#ping","fields":{}}`:    `line 2: the member "#ping" is no encoded name`,
			`{"member":"a","name":"b"}`:         `line 2: the name "b" and the member "a" are not the same breaker`,
			`{"member":"a","ttl_ms":-1}`:        "line 2: ttl_ms is -1, use 0 to 9223372036854",
			`{"member":"a"}`:                    "line 2: the record has no fields",
			`{"member":"a","fields":{"x":"y"}}`: `line 2: the record of "a": ` + redbreaker.ErrForeignKey.Error(),
		} {
			_, err := executeWith(strings.Replace(good, "dep", "copy", 2)+"\n"+bad+"\n", "import", "--redis", s.addr, "-n", s.namespace)
			if err == nil || err.Error() != want || exitCode(err) != exitUsage {
				t.Errorf("%s: got\n%v, exit code %d; want\n%s", bad, err, exitCode(err), want)
			}
		}
		if s.inspect(t, "copy").Exists {
			t.Error("a part was imported")
		}
	})
}

// Of two lines of one breaker the second would replace the first, or fail when others were
// already written. Both are named, and nothing is imported.
func TestImport_twoLinesOfOneBreaker(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for _, name := range []string{"dep", "other"} {
			s.must(t, "trip", name, "--create")
		}
		lines := s.must(t, "export", "dep", "other")
		dep, _, _ := strings.Cut(lines, "\n")
		want := `line 4: the breaker "dep" is in line 1 too, remove one of both lines`
		for _, repeated := range []string{dep, strings.Replace(dep, `"name":"dep",`, "", 1)} {
			_, err := executeWith(lines+"\n"+repeated+"\n", "import", "--redis", s.addr, "-n", s.namespace+"-new")
			if err == nil || err.Error() != want || exitCode(err) != exitUsage {
				t.Errorf("got\n%v, exit code %d; want\n%s", err, exitCode(err), want)
			}
		}
		if fresh := (server{s.addr, s.namespace + "-new", s.rdb}); fresh.inspect(t, "other").Exists {
			t.Error("a part was imported")
		}
	})
}

// A time to live that no time.Duration expresses would delete the record that was just
// written, what follows a breaker on its line would be lost, and no process would use the
// record of a member that is encoded in another way.
func TestParseArchived_refusesLosses(t *testing.T) {
	keys, err := cluster.New("shop")
	if err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]string{
		`{"member":"a","ttl_ms":9223372036855,"fields":{"x":"y"}}`: "ttl_ms is 9223372036855, use 0 to 9223372036854",
		`{"member":"a"}{"member":"b"}`:                             "no line that export wrote: more than one value",
		`{"member":"a"}}`:                                          "no line that export wrote: more than one value",
		`{"member":"%61","fields":{"x":"y"}}`:                      `the member "%61" is no encoded name`,
	} {
		if _, err := parseArchived([]byte(bad), keys); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", bad, err, want)
		}
	}
}

// A name without a breaker fails an export, as it fails other commands: a file that lacks it
// would pass for a copy. The others are written.
func TestExport_names(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for _, name := range []string{"one", "two", "three"} {
			s.must(t, "reset", name, "--create")
		}
		lines := strings.Split(strings.TrimSpace(s.must(t, "export", "two", "one")), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"name":"one","member":"one","ttl_ms":`) || !strings.HasPrefix(lines[1], `{"name":"two"`) {
			t.Errorf("prints %q", lines)
		}
		out, err := s.run("export", "absent", "one")
		if exitCode(err) != exitAbsent || !strings.Contains(err.Error(), `there is no breaker "absent"`) || !strings.HasPrefix(out, `{"name":"one"`) {
			t.Errorf("a name without a breaker: %v, exit code %d; prints %q", err, exitCode(err), out)
		}
	})
}

func TestAskQuestion(t *testing.T) {
	for answer, want := range map[string]error{"y\n": nil, "YES\n": nil, "\n": errDeclined, "no\n": errDeclined, "": errDeclined, "yesterday\n": errDeclined} {
		var out bytes.Buffer
		if err := askQuestion(ctx, strings.NewReader(answer), &out, "trip \x1b[2J"); !errors.Is(err, want) || out.String() != "trip ?[2J? [y/N] " {
			t.Errorf("%q: %v, asked %q", answer, err, out.String())
		}
	}
	if exitCode(errDeclined) != exitRefused {
		t.Error("a command that was not confirmed has another exit code")
	}
}
