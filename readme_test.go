package redbreaker_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme_quickStartIsTheExample keeps the quick start equal to the program in
// examples/quickstart, which is built and run by the tests there.
func TestReadme_quickStartIsTheExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("examples/quickstart/main.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	_, code, found := strings.Cut(string(program), "\npackage main\n")
	if !found || len(blocks) != 1 || blocks[0][1] != "package main\n"+code {
		t.Errorf("the README has %d blocks of Go code, want one that equals examples/quickstart/main.go", len(blocks))
	}
}
