package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var (
	tableRow   = regexp.MustCompile(`(?m)^\| (.*) \|$`)
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	testName   = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	identifier = regexp.MustCompile(`^\w+$`)
)

// TestArchitecture_behaviors finds each identifier of the index in its file.
func TestArchitecture_behaviors(t *testing.T) {
	_, index, found := strings.Cut(pages(t)["docs/architecture.md"], "## Behaviors")
	index, _, ended := strings.Cut(index, "\n## ")
	if !found || !ended {
		t.Fatal("the page has no index of behaviors")
	}
	sources := readAll(t, ".go")
	rows := 0
	for _, row := range tableRow.FindAllStringSubmatch(index, -1) {
		cells := strings.Split(row[1], " | ")
		file := codeSpan.FindStringSubmatch(cells[1])
		if len(cells) != 3 || file == nil {
			continue // the table's head
		}
		rows++
		source, ok := sources[file[1]]
		if !ok {
			t.Errorf("%s: no file %s", cells[0], file[1])
		}
		for _, name := range codeSpan.FindAllStringSubmatch(cells[2], -1) {
			declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type )` + regexp.QuoteMeta(name[1]) + `\b`)
			if !identifier.MatchString(name[1]) || !declared.MatchString(source) {
				t.Errorf("%s: %s does not declare %s", cells[0], file[1], name[1])
			}
		}
	}
	if rows != 30 {
		t.Errorf("the index has %d behaviors, want 30", rows)
	}
}

// TestArchitecture_tests finds each test that the page names, and each fault of
// the fault suite in the page.
func TestArchitecture_tests(t *testing.T) {
	page := pages(t)["docs/architecture.md"]
	sources := readAll(t, ".go")
	var all strings.Builder
	for _, source := range sources {
		all.WriteString(source)
	}
	for _, name := range testName.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(all.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("no test is called %s", name[1])
		}
	}
	for i := 1; i <= 11; i++ {
		if !strings.Contains(page, fmt.Sprintf("| P%d ", i)) {
			t.Errorf("no test is named for P%d", i)
		}
	}
	for i := 1; i <= 56; i++ {
		if !strings.Contains(page, fmt.Sprintf("| F%d ", i)) {
			t.Errorf("no test is named for F%d", i)
		}
	}
	for file, source := range sources {
		if !strings.HasPrefix(file, "internal/faults/") {
			continue
		}
		for _, fault := range regexp.MustCompile(`"(F\d+)"`).FindAllStringSubmatch(source, -1) {
			if !strings.Contains(page, "| "+fault[1]+" ") {
				t.Errorf("%s names %s, which the page does not", file, fault[1])
			}
		}
	}
}
