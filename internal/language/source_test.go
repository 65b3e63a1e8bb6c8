package language

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// folder is one directory of the repository with its readable sources.
type folder struct {
	path     string // relative to the root, "." for it
	fset     *token.FileSet
	files    []*ast.File // without tests
	passages []passage
	commentLines,
	codeLines int // of the files that are not tests
	luaFunctions []string
}

// passage is a comment, a string or a paragraph.
type passage struct {
	file string
	line int
	text string
}

// finding is one violation.
type finding struct {
	file    string
	line    int
	subject string // the word or name; exceptions match it
	message string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.file, f.line, f.message) }

// skipped are directories without text of our own.
var skipped = []string{".git", "results", "charts", "node_modules"}

// readFolders reads the sources of the whole repository, nested modules too.
func readFolders(t testing.TB) []*folder {
	t.Helper()
	byPath := map[string]*folder{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(skipped, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		f := byPath[dir]
		if f == nil {
			f = &folder{path: dir, fset: token.NewFileSet()}
			byPath[dir] = f
		}
		return f.read(name, filepath.ToSlash(rel))
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []*folder
	for _, f := range byPath {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *folder) int { return strings.Compare(a.path, b.path) })
	return all
}

func (f *folder) read(name, rel string) error {
	kind := path.Ext(rel)
	if !slices.Contains([]string{".go", ".lua", ".md", ".tmpl", ".txt", ".yml", ".sh"}, kind) &&
		!slices.Contains([]string{"Makefile", ".ci/run"}, rel) {
		return nil
	}
	source, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	switch kind {
	case ".go":
		return f.readGo(rel, source)
	case ".lua":
		f.readLua(rel, string(source))
	case ".md", ".tmpl":
		f.passages = append(f.passages, passage{file: rel, line: 1, text: withoutCode(string(source))})
	default: // scenarios, workflows, shell scripts: their comments
		f.passages = append(f.passages, hashComments(rel, string(source))...)
	}
	return nil
}

func (f *folder) readGo(rel string, source []byte) error {
	file, err := parser.ParseFile(f.fset, rel, source, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, group := range file.Comments {
		f.passages = append(f.passages, passage{file: rel, line: f.line(group.Pos()), text: commentText(group)})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if _, isImport := n.(*ast.ImportSpec); isImport {
			return false
		}
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			f.passages = append(f.passages, passage{file: rel, line: f.line(s.Pos()), text: s.Value})
		}
		return true
	})
	if !strings.HasSuffix(rel, "_test.go") {
		f.files = append(f.files, file)
		f.countGo(file, source)
	}
	return nil
}

func (f *folder) line(p token.Pos) int { return f.fset.Position(p).Line }

// commentText returns a comment without its markers, line by line.
func commentText(group *ast.CommentGroup) string {
	var lines []string
	for _, c := range group.List {
		text := c.Text
		if strings.HasPrefix(text, "//go:") {
			text = ""
		}
		text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(text, "//"), "/*"), "*/")
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}

// countGo counts lines that hold code, and lines that hold nothing but a comment.
func (f *folder) countGo(file *ast.File, source []byte) {
	tokens := map[int]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n.(type) {
		case nil, *ast.CommentGroup, *ast.Comment:
			return false
		}
		tokens[f.line(n.Pos())], tokens[f.line(n.End()-1)] = true, true
		return true
	})
	comments := map[int]bool{}
	for _, group := range file.Comments {
		for line := f.line(group.Pos()); line <= f.line(group.End()-1); line++ {
			comments[line] = !tokens[line]
		}
	}
	for i, text := range strings.Split(string(source), "\n") {
		switch {
		case strings.TrimSpace(text) == "":
		case comments[i+1]:
			f.commentLines++
		default:
			f.codeLines++
		}
	}
}

var (
	luaFunction = regexp.MustCompile(`(?m)^\s*(?:local )?function (?:\w+\.)?(\w+)`)
	luaQuoted   = regexp.MustCompile(`'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"`)
)

// readLua reads a script. Its comments follow -- or lie between --[[ and ]].
func (f *folder) readLua(rel, source string) {
	for _, m := range luaFunction.FindAllStringSubmatch(source, -1) {
		f.luaFunctions = append(f.luaFunctions, m[1])
	}
	var block []string
	begin, isBlock := 0, false
	flush := func() {
		if len(block) > 0 {
			f.passages = append(f.passages, passage{file: rel, line: begin, text: strings.Join(block, "\n")})
		}
		block = nil
	}
	for i, line := range strings.Split(source, "\n") {
		code, comment, found := line, "", false
		if isBlock {
			code, comment, found = "", line, true
		} else if at := strings.Index(luaQuoted.ReplaceAllStringFunc(line, blank), "--"); at >= 0 {
			code, comment, found = line[:at], line[at+2:], true
			isBlock = strings.HasPrefix(comment, "[[")
		}
		if isBlock && strings.Contains(comment, "]]") {
			isBlock = false
		}
		isDirective := strings.HasPrefix(strings.TrimSpace(comment), "@")
		switch {
		case strings.TrimSpace(code) != "" || isDirective:
			f.codeLines++
		case strings.TrimSpace(comment) != "":
			f.commentLines++
		}
		if !found || isDirective {
			flush()
			continue
		}
		if len(block) == 0 {
			begin = i + 1
		}
		block = append(block, comment)
	}
	flush()
}

func blank(s string) string { return strings.Repeat("_", len(s)) }

var (
	fenced = regexp.MustCompile("(?ms)^\\s*```.*?^\\s*```")
	inline = regexp.MustCompile("`[^`\n]*`")
	link   = regexp.MustCompile(`\]\([^)\n]*\)`)
	letter = regexp.MustCompile(`[^\n]`)
)

// withoutCode blanks the code and the addresses of a Markdown page, and keeps its
// lines.
func withoutCode(page string) string {
	for _, code := range []*regexp.Regexp{fenced, inline, link} {
		page = code.ReplaceAllStringFunc(page, func(s string) string { return letter.ReplaceAllString(s, "_") })
	}
	return page
}

func hashComments(rel, source string) []passage {
	var all []passage
	for i, line := range strings.Split(source, "\n") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			all = append(all, passage{file: rel, line: i + 1, text: text})
		}
	}
	return all
}

// parseFolder makes a folder of one Go file, for the tests of the rules.
func parseFolder(t testing.TB, source string) *folder {
	t.Helper()
	f := &folder{path: "p", fset: token.NewFileSet()}
	if err := f.readGo("p.go", []byte("package p\n"+source)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSource_countsComments(t *testing.T) {
	f := parseFolder(t, "\n// One line.\nvar a = 1 // beside code\n\n/* two\nlines */\nvar b = `x\n// no comment\n`\n")
	if f.commentLines != 3 || f.codeLines != 5 {
		t.Errorf("%d comment lines and %d of code, want 3 and 5", f.commentLines, f.codeLines)
	}
	f = &folder{}
	f.readLua("a.lua", "--[[ one\ntwo\n]]\nlocal a = '--' -- beside code\n-- @include b\n-- three\nlocal function one_two() end\n")
	if f.commentLines != 4 || f.codeLines != 3 || len(f.passages) != 2 || f.luaFunctions[0] != "one_two" {
		t.Errorf("%+v", f)
	}
}

func TestSource_withoutCode(t *testing.T) {
	page := "told\n```go\ntold\n```\n`told` [a](told.md)\n"
	if got := findWords(compileRules(wordRules), passage{text: withoutCode(page), line: 1}); len(got) != 1 || got[0].line != 1 {
		t.Errorf("found %v, want line 1 alone", got)
	}
}
