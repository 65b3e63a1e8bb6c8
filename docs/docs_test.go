// Package docs tests that what the Markdown pages point to exists, and that the
// Go code in them compiles.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// pages are the Markdown files of the repository, by their paths from its root.
func pages(t testing.TB) map[string]string {
	t.Helper()
	return readAll(t, ".md")
}

// readAll returns the files of the repository with the extension.
func readAll(t testing.TB, extension string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if filepath.Ext(name) != extension {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")
)

func TestPages_links(t *testing.T) {
	all := pages(t)
	for page, text := range all {
		if strings.Contains(text, "\n<<<<<<< ") || strings.Contains(text, "\n>>>>>>> ") {
			t.Errorf("%s has the marks of a merge conflict", page)
		}
		for _, l := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if strings.HasPrefix(l[1], "https://") {
				continue
			}
			target := page
			if l[1] != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), l[1]))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", page, l[1], err)
			} else if l[2] != "" && !slices.Contains(anchors(all[target]), l[2]) {
				t.Errorf("%s links to %s, which has no heading %s", page, target, l[2])
			}
		}
	}
}

// anchors are the fragments of a page's headings, as GitHub makes them.
func anchors(page string) []string {
	var all []string
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		a := strings.ToLower(h[1])
		a = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(a, "")
		all = append(all, "#"+strings.ReplaceAll(a, " ", "-"))
	}
	return all
}

// TestPages_code finds each block of Go code of a page in a file that compiles:
// an example, a test or the library itself. Indentation and comments do not matter.
func TestPages_code(t *testing.T) {
	var sources strings.Builder
	for _, source := range readAll(t, ".go") {
		sources.WriteString(withoutIndent(source))
	}
	for page, text := range pages(t) {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] == "go" && !strings.Contains(sources.String(), withoutIndent(block[2])) {
				t.Errorf("%s: no file that compiles contains this code:\n%s", page, block[2])
			}
		}
	}
}

// withoutIndent drops indentation, empty lines and lines that are comments.
func withoutIndent(code string) string {
	var lines strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines.WriteString(line + "\n")
		}
	}
	return lines.String()
}

var goReference = regexp.MustCompile(`https://pkg\.go\.dev/github\.com/redbreaker/redbreaker([/\w]*)#([\w.]+)`)

// TestPages_identifiers finds what links to pkg.go.dev name in the package.
func TestPages_identifiers(t *testing.T) {
	sources := readAll(t, ".go")
	for page, text := range pages(t) {
		for _, l := range goReference.FindAllStringSubmatch(text, -1) {
			if !isDeclared(sources, strings.TrimPrefix(l[1], "/"), l[2]) {
				t.Errorf("%s links to %s, which does not exist", page, l[0])
			}
		}
	}
}

// isDeclared reports whether a package declares an exported identifier, such as
// New or Breaker.Do.
func isDeclared(sources map[string]string, pkg, name string) bool {
	declared := regexp.MustCompile(`(?m)^(func|type|var|const|\t)\s*` + regexp.QuoteMeta(name) + `\b`)
	if of, method, ok := strings.Cut(name, "."); ok {
		declared = regexp.MustCompile(`(?m)^func \(\w* ?\*?` + of + `\) ` + method + `\b`)
	}
	for file, source := range sources {
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), ".")
		if dir == pkg && !strings.HasSuffix(file, "_test.go") && declared.MatchString(source) {
			return true
		}
	}
	return false
}

// TestPages_makeTargets finds each make target that a page names.
func TestPages_makeTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+": ### ") {
				t.Errorf("%s names make %s, which is no target", page, m[1])
			}
		}
	}
}

func TestPages_helpersFind(t *testing.T) {
	if got := anchors("# The `x`, and y\n```\n# no\n```\n"); !slices.Equal(got, []string{"#the-x-and-y"}) {
		t.Errorf("anchors %q", got)
	}
	sources := map[string]string{"a/b.go": "func (b *Breaker) Do() {}\nfunc New() {}\n"}
	for name, want := range map[string]bool{"Breaker.Do": true, "New": true, "Do": false, "Breaker.New": false} {
		if isDeclared(sources, "a", name) != want {
			t.Errorf("isDeclared(%s) is not %v", name, want)
		}
	}
	if isDeclared(sources, "b", "New") {
		t.Error("found New in another package")
	}
}
