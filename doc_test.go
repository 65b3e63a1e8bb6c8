package redbreaker_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker"
)

// Aliases show no fields on pkg.go.dev, so the table must show them all.
func TestDoc_namesEveryPolicyField(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var check func(prefix string, of reflect.Type)
	check = func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			if name := prefix + f.Name; f.Type.Kind() == reflect.Struct {
				check(name+".", f.Type)
			} else if !strings.Contains(string(doc), "\n//\t"+name+" ") {
				t.Errorf("doc.go has no row for %s", name)
			}
		}
	}
	check("", reflect.TypeFor[redbreaker.Policy]())
}

// Who imports this package must get no client of any storage with it.
func TestImports_standardLibraryAndEngineOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if strings.Contains(path, ".") && path != "github.com/redbreaker/redbreaker/engine" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}
