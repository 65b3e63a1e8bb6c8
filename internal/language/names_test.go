package language

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// The code bases we learn from have unexported functions of 10 to 17 characters,
// 7 to 24 % of them one bare word.
const (
	maxBareShare  = 0.24
	minNameLength = 10.0
	// leastFunctions is how many functions a package has before its shares say anything.
	leastFunctions = 20
)

// typeRules are names of types that an engineer has to look up.
var typeRules = []string{"lane", "joint", "parcel", "life", "phase", "seam", "voucher", "world", "runner"}

// nameFigures are the numbers of a package's unexported functions.
type nameFigures struct {
	functions, characters, bare int
	shared                      int // methods whose name another receiver has, without an interface
}

func (n nameFigures) bareShare() float64  { return ratio(n.bare, n.functions) }
func (n nameFigures) meanLength() float64 { return ratio(n.characters, n.functions) }

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func (f *folder) functions() []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, file := range f.files {
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				all = append(all, fn)
			}
		}
	}
	return all
}

func (f *folder) nameFigures() nameFigures {
	var n nameFigures
	add := func(name string) {
		n.functions++
		n.characters += len(name)
		if isBareWord(name) {
			n.bare++
		}
	}
	receivers := f.receivers()
	for _, fn := range f.functions() {
		name := fn.Name.Name
		if fn.Name.IsExported() || name == "main" || name == "init" {
			continue
		}
		add(name)
		if len(receivers[name]) > 1 {
			n.shared++
		}
	}
	for _, name := range f.luaFunctions {
		add(name)
	}
	return n
}

func isBareWord(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsUpper(r) || r == '_' })
}

// receivers returns, for each unexported method that no interface of the package
// asks for, the types that have it.
func (f *folder) receivers() map[string][]string {
	all := map[string][]string{}
	asked := f.interfaceMethods()
	for _, fn := range f.functions() {
		name := fn.Name.Name
		if fn.Recv == nil || fn.Name.IsExported() || asked[name] {
			continue
		}
		all[name] = append(all[name], receiverType(fn))
	}
	return all
}

func (f *folder) interfaceMethods() map[string]bool {
	asked := map[string]bool{}
	for _, file := range f.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok {
				for _, m := range i.Methods.List {
					for _, name := range m.Names {
						asked[name.Name] = true
					}
				}
			}
			return true
		})
	}
	return asked
}

func receiverType(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// checkNames returns names that mean several things, or nothing.
func checkNames(f *folder) []finding {
	var found []finding
	receivers := f.receivers()
	for _, fn := range f.functions() {
		name := fn.Name.Name
		if types := receivers[name]; len(types) > 2 && fn.Recv != nil && types[0] == receiverType(fn) {
			found = append(found, f.finding(fn, name, fmt.Sprintf(
				"%s is a method of %s: name what each of them does", name, strings.Join(types, ", "))))
		}
	}
	for _, file := range f.files {
		for _, spec := range typesOf(file) {
			if slices.Contains(typeRules, strings.ToLower(spec.Name.Name)) {
				found = append(found, f.finding(spec, spec.Name.Name, "type "+spec.Name.Name+": use a noun that an engineer knows"))
			}
		}
	}
	found = append(found, f.checkDocs()...)
	n := f.nameFigures()
	if n.functions < leastFunctions {
		return found
	}
	if n.bareShare() > maxBareShare {
		found = append(found, finding{file: f.path, subject: "bare words", message: fmt.Sprintf(
			"%.0f %% of %d unexported functions are one bare word, want at most %.0f %%: %s",
			100*n.bareShare(), n.functions, 100*maxBareShare, strings.Join(f.bareNames(), " "))})
	}
	if n.meanLength() < minNameLength {
		found = append(found, finding{file: f.path, subject: "name length", message: fmt.Sprintf(
			"unexported functions have %.1f characters on average, want %.0f", n.meanLength(), minNameLength)})
	}
	return found
}

// checkDocs returns comments of functions and types that do not begin with the
// name, so a rename leaves no comment behind.
func (f *folder) checkDocs() []finding {
	var found []finding
	for _, fn := range f.functions() {
		if name := fn.Name.Name; fn.Doc != nil && name != "init" && !beginsWith(fn.Doc.Text(), name) {
			found = append(found, f.finding(fn, name, "the comment of "+name+" does not begin with its name"))
		}
	}
	for _, file := range f.files {
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				spec := s.(*ast.TypeSpec)
				doc := spec.Doc
				if !g.Lparen.IsValid() {
					doc = g.Doc
				}
				if doc != nil && !beginsWith(doc.Text(), spec.Name.Name) {
					found = append(found, f.finding(spec, spec.Name.Name, "the comment of "+spec.Name.Name+" does not begin with its name"))
				}
			}
		}
	}
	return found
}

// beginsWith reports whether a comment begins with the name, an article before it
// allowed.
func beginsWith(doc, name string) bool {
	first, rest, _ := strings.Cut(doc, " ")
	if slices.Contains([]string{"A", "An", "The"}, first) {
		first, _, _ = strings.Cut(rest, " ")
	}
	return strings.TrimRight(first, ":,.\n") == name
}

func (f *folder) bareNames() []string {
	var all []string
	for _, fn := range f.functions() {
		if name := fn.Name.Name; !fn.Name.IsExported() && isBareWord(name) && name != "main" && name != "init" {
			all = append(all, name)
		}
	}
	for _, name := range f.luaFunctions {
		if isBareWord(name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (f *folder) finding(n ast.Node, subject, message string) finding {
	p := f.fset.Position(n.Pos())
	return finding{file: p.Filename, line: p.Line, subject: subject, message: message}
}

func typesOf(file *ast.File) []*ast.TypeSpec {
	var all []*ast.TypeSpec
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.TypeSpec); ok {
			all = append(all, s)
		}
		return true
	})
	return all
}

// TestNames_find makes sure that the rules of names find what they are for.
func TestNames_find(t *testing.T) {
	shared := parseFolder(t, `
type a struct{}; type b struct{}; type c[T any] struct{}
func (a) end() {}
func (*b) end() {}
func (c[T]) end() {}`)
	if got := checkNames(shared); len(got) != 1 || got[0].subject != "end" {
		t.Errorf("found %v, want the method of three receivers", got)
	}
	asked := parseFolder(t, `
type a struct{}; type b struct{}; type c struct{}
func (a) end() {}
func (b) end() {}
func (c) end() {}
var _ interface{ end() }`)
	if got := checkNames(asked); len(got) != 0 {
		t.Errorf("found %v, though an interface asks for it", got)
	}
	if got := checkNames(parseFolder(t, "type lane struct{}")); len(got) != 1 {
		t.Errorf("found %v, want the type", got)
	}
	for source, want := range map[string]int{
		"// add adds.\nfunc add() {}":                    0,
		"// sum adds.\nfunc add() {}":                    1,
		"// A queue waits.\ntype queue struct{}":         0,
		"// waits.\ntype queue struct{}":                 1,
		"type (\n// pair is two.\ntuple struct{}\n)":     1,
		"// Types of records.\ntype (\npair struct{}\n)": 0,
	} {
		if got := checkNames(parseFolder(t, source)); len(got) != want {
			t.Errorf("%q: found %v, want %d", source, got, want)
		}
	}
	bare := "func goodName() {}\n"
	for i := range leastFunctions {
		bare += "func f" + strings.Repeat("x", i) + "() {}\n"
	}
	if got := checkNames(parseFolder(t, bare)); len(got) != 1 || got[0].subject != "bare words" {
		t.Errorf("found %v, want the share of bare words", got)
	}
	short := ""
	for i := range leastFunctions {
		short += "func a" + string(rune('A'+i)) + "() {}\n"
	}
	if got := checkNames(parseFolder(t, short)); len(got) != 1 || got[0].subject != "name length" {
		t.Errorf("found %v, want the length of names", got)
	}
}
