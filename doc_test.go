package redbreaker_test

import (
	"go/ast"
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

// go doc shows no methods of an alias, so the comment of each alias must name them.
func TestDoc_aliasesNameTheirMethods(t *testing.T) {
	types := map[string]reflect.Type{
		"Policy":        reflect.TypeFor[*redbreaker.Policy](),
		"Window":        reflect.TypeFor[*redbreaker.Window](),
		"Backoff":       reflect.TypeFor[*redbreaker.Backoff](),
		"HalfOpen":      reflect.TypeFor[*redbreaker.HalfOpen](),
		"Ramp":          reflect.TypeFor[*redbreaker.Ramp](),
		"Initial":       reflect.TypeFor[*redbreaker.Initial](),
		"State":         reflect.TypeFor[*redbreaker.State](),
		"Mode":          reflect.TypeFor[*redbreaker.Mode](),
		"Outcome":       reflect.TypeFor[*redbreaker.Outcome](),
		"Status":        reflect.TypeFor[*redbreaker.Status](),
		"Snapshot":      reflect.TypeFor[*redbreaker.Snapshot](),
		"ProbeRound":    reflect.TypeFor[*redbreaker.ProbeRound](),
		"Transition":    reflect.TypeFor[*redbreaker.Transition](),
		"Tallies":       reflect.TypeFor[*redbreaker.Tallies](),
		"Cause":         reflect.TypeFor[*redbreaker.Cause](),
		"Command":       reflect.TypeFor[*redbreaker.Command](),
		"Action":        reflect.TypeFor[*redbreaker.Action](),
		"Event":         reflect.TypeFor[*redbreaker.Event](),
		"EventKind":     reflect.TypeFor[*redbreaker.EventKind](),
		"RejectedError": reflect.TypeFor[*redbreaker.RejectedError](),
		"Reason":        reflect.TypeFor[*redbreaker.Reason](),
		"StorageError":  reflect.TypeFor[*redbreaker.StorageError](),
		"Class":         reflect.TypeFor[*redbreaker.Class](),
		"Ticket":        reflect.TypeFor[*redbreaker.Ticket](),
	}
	// Every type has these or could have them; a reader does not look for them.
	common := map[string]bool{
		"String": true, "MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true,
		"MarshalYAML": true, "UnmarshalYAML": true,
	}
	file, err := parser.ParseFile(token.NewFileSet(), "alias.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name == "Storage" { // users implement it, and read package engine for it
			return true
		}
		of := types[spec.Name.Name]
		if of == nil {
			t.Errorf("this test does not know the type %s", spec.Name.Name)
			return true
		}
		for i := range of.NumMethod() {
			if m := of.Method(i).Name; !common[m] && !strings.Contains(spec.Doc.Text(), ") "+m+"(") {
				t.Errorf("the comment of %s does not name its method %s", spec.Name.Name, m)
			}
		}
		return true
	})
}

// A program that imports this package must not link the client of a storage.
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
