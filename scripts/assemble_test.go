package scripts_test

import (
	"crypto/sha1"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/scripts"
)

func tree(files map[string]string) fstest.MapFS {
	all := fstest.MapFS{}
	for path, text := range files {
		all[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

// TestAssemble: an include takes the place of its line, each file once, though
// files include each other in a circle.
func TestAssemble(t *testing.T) {
	s, err := scripts.Assemble(tree(map[string]string{
		"main.lua":  "-- top\n-- @include lib/a.lua\n  -- @include lib/b.lua\nreturn a\n",
		"lib/a.lua": "local a\n-- @include lib/b.lua\n",
		"lib/b.lua": "local b\n-- @include lib/a.lua\n-- @include main.lua",
	}), "main")
	if err != nil {
		t.Fatal(err)
	}
	want := &scripts.Script{Name: "main", Source: "-- top\nlocal a\nlocal b\nreturn a\n"}
	want.SHA = fmt.Sprintf("%x", sha1.Sum([]byte(want.Source)))
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAssemble_missing(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no script":  {},
		"no include": {"main.lua": "-- @include lib/gone.lua\n"},
	} {
		s, err := scripts.Assemble(tree(files), "main")
		if s != nil || !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "redbreaker: script: ") {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// TestAssemble_constants: $NAME becomes Go's number; a name that Go does not know
// is an error, and a $ that ends a pattern stays.
func TestAssemble_constants(t *testing.T) {
	s, err := scripts.Assemble(tree(map[string]string{"main.lua": "return n < $MAX_EPOCH and text:find('A$') and 3 * $SCALE\n"}), "main")
	if err != nil {
		t.Fatal(err)
	}
	if want := "return n < 4503599627370496 and text:find('A$') and 3 * 10000\n"; s.Source != want {
		t.Errorf("got %q, want %q", s.Source, want)
	}
	if s, err := scripts.Assemble(tree(map[string]string{"main.lua": "return $MAX_EPOCHS\n"}), "main"); err == nil {
		t.Errorf("an unknown constant became %q", s.Source)
	}
}

// TestAssemble_includesAll: a file of lib that no script includes is dead.
func TestAssemble_includesAll(t *testing.T) {
	all := ""
	for _, name := range scriptNames {
		all += annotated(t, name)
	}
	files, err := fs.Glob(scripts.Files, "lib/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if !strings.Contains(all, "--["+file+":") {
			t.Errorf("no script includes %s", file)
		}
	}
	for _, name := range scriptNames {
		if strings.Contains(byName(t, name).Source, "@include") {
			t.Errorf("%s: a line that includes nothing", name)
		}
	}
}

var update = flag.Bool("update", false, "write testdata/sha1.txt again")

// TestGolden pins the scripts: a server runs them for other releases, too.
func TestGolden(t *testing.T) {
	const file = "testdata/sha1.txt"
	var b strings.Builder
	for _, name := range scriptNames {
		b.WriteString(byName(t, name).SHA + "  " + name + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf(`a script has changed (-before +now):
%s
If you meant it: neighbouring releases run on the same records, so a record that
the new script writes must read well to the old one, and the other way round
(only fields may be added; anything else needs a new layout version). Then
change its Go twin in engine the same way, run all tests, and take the new sums
with

	go test ./scripts -run TestGolden -update
`, diff)
	}
}
