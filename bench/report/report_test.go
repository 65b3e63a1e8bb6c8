package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The committed pages equal the generated ones.
func TestReport_matchesResults(t *testing.T) {
	const root = "../.."
	if list, err := filepath.Glob(root + "/bench/results/*.txt"); err != nil || len(list) == 0 {
		t.Skip("nothing has been measured yet")
	}
	files, err := generateFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the results say, go run . here writes it (-results +file):\n%s",
				name, cmp.Diff(string(want), string(got)))
		}
	}
}

// Without any results the page names every bound, and the charts are empty.
func TestReport_withoutResults(t *testing.T) {
	r := new(results)
	page, err := r.renderPage()
	if err != nil {
		t.Fatal(err)
	}
	bounds := 0
	for _, s := range sections {
		for _, b := range s.bounds {
			bounds++
			if !bytes.Contains(page, []byte(b.work+" | "+b.Limit())) {
				t.Errorf("the page lacks %s", b.id)
			}
		}
	}
	if got := bytes.Count(page, []byte("| **not measured** |")); got != bounds {
		t.Errorf("%d of %d bounds are not measured", got, bounds)
	}
	if _, err := r.drawCharts(); err != nil {
		t.Error(err)
	}
}

func TestBounds_idsAreDistinct(t *testing.T) {
	ids := map[string]bool{}
	for _, s := range sections {
		for _, b := range s.bounds {
			if ids[b.id] {
				t.Errorf("two bounds are called %s", b.id)
			}
			ids[b.id] = true
		}
	}
	for id := range parseReasons(reasonsText) {
		if !ids[id] {
			t.Errorf("reasons.txt knows of %s, which is no bound", id)
		}
	}
}

func TestHeadline_replacesMarkedSection(t *testing.T) {
	r := new(results)
	readme := []byte("# Title\n" + begin + "old\n" + end + "after\n")
	once, err := r.renderHeadline(readme)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := r.renderHeadline(once)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(once), string(twice)); diff != "" {
		t.Errorf("again it is another (-once +twice):\n%s", diff)
	}
	if !bytes.HasPrefix(once, []byte("# Title\n"+begin+"##")) || !bytes.HasSuffix(once, []byte(end+"after\n")) || bytes.Contains(once, []byte("old")) {
		t.Errorf("%s", once)
	}
	if _, err := r.renderHeadline([]byte("# Title\n")); err == nil {
		t.Error("a README without marks was written over")
	}
}
