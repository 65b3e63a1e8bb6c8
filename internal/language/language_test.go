package language

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var look = flag.String("look", "", "check these folders only, separated by commas; folder/... is a folder with all below it")

// TestLanguage holds every folder to the rules, or those that -look names.
func TestLanguage(t *testing.T) {
	all := readFolders(t)
	rules := compileRules(wordRules)
	used := make([]bool, len(exceptions))
	checked := 0
	for _, f := range all {
		if !isChecked(f.path) {
			continue
		}
		checked++
		for _, found := range withoutExceptions(f.path, checkFolder(f, rules), used) {
			t.Error(found)
		}
	}
	for _, room := range rooms {
		if isChecked(room.path) {
			for _, found := range withoutExceptions(room.path, checkShare(all, room.path, room.except), used) {
				t.Error(found)
			}
		}
	}
	if *look != "" {
		if checked == 0 {
			t.Errorf("no folder matches -look=%s", *look)
		}
		return
	}
	for i, e := range exceptions {
		if !used[i] && isChecked(e.folder) {
			t.Errorf("%s of %s is an exception that nothing needs", e.subject, e.folder)
		}
	}
}

func checkFolder(f *folder, rules []matcher) []finding {
	var found []finding
	for _, p := range f.passages {
		found = append(found, findWords(rules, p)...)
	}
	found = append(found, checkNames(f)...)
	return append(found, checkLocked(f)...)
}

func isChecked(path string) bool {
	if *look == "" {
		return true
	}
	for _, pattern := range strings.Split(*look, ",") {
		pattern = strings.TrimPrefix(strings.TrimSuffix(pattern, "/"), "./")
		if tree, ok := strings.CutSuffix(pattern, "/..."); ok && (isWithin(path, tree) || tree == "") {
			return true
		}
		if pattern == path || pattern == "..." {
			return true
		}
	}
	return false
}

// withoutExceptions drops what is right as it is, and marks the exceptions used.
func withoutExceptions(path string, found []finding, used []bool) []finding {
	return slices.DeleteFunc(found, func(f finding) bool {
		for i, e := range exceptions {
			if e.folder == path && (e.subject == "*" || strings.EqualFold(e.subject, f.subject)) {
				used[i] = true
				return true
			}
		}
		return false
	})
}

// TestFigures prints, with -v, the figures by which this project's language is
// compared with others.
func TestFigures(t *testing.T) {
	t.Log("per 1000 comment lines: told or tells, X is what, stands; of unexported functions: their number, mean length, share of one bare word, share whose name another receiver has")
	t.Logf("%-28s %8s %6s %6s %7s %9s %7s %6s %7s", "folder", "comments", "told", "what", "stands", "functions", "length", "bare", "shared")
	for _, f := range readFolders(t) {
		if n := f.nameFigures(); n.functions > 0 && (*look == "" || isChecked(f.path)) {
			t.Logf("%-28s %6.1f %% %6.1f %6.1f %7.1f %9d %7.1f %4.0f %% %5.0f %%", f.path,
				100*ratio(f.commentLines, f.commentLines+f.codeLines),
				f.perThousand("told|tells"), f.perThousand("(is|are|was) what"), f.perThousand("stands"),
				n.functions, n.meanLength(), 100*n.bareShare(), 100*ratio(n.shared, n.functions))
		}
	}
}

// perThousand returns how often a phrase comes in 1000 lines of comments, tests included.
func (f *folder) perThousand(phrase string) float64 {
	uses, lines := 0, 0
	find := compilePhrase(phrase)
	for _, p := range f.passages {
		if strings.HasPrefix(p.text, `"`) || strings.HasPrefix(p.text, "`") {
			continue
		}
		uses += len(find.FindAllString(p.text, -1))
		lines += strings.Count(p.text, "\n") + 1
	}
	return 1000 * ratio(uses, lines)
}
