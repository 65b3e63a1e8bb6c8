package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// StartSentinel starts a private sentinel with this configuration, which it
// goes on writing to. Its methods are those of a server.
func StartSentinel(t testing.TB, config string) *Server {
	t.Helper()
	dir := t.TempDir()
	file, start := filepath.Join(dir, "sentinel.conf"), filepath.Join(dir, "start")
	// Its file comes first on a sentinel's command line.
	script := fmt.Sprintf("#!/bin/sh\nexec %q %q --sentinel \"$@\"\n", mustFindProgram(t), file)
	for path, text := range map[string]string{file: config, start: script} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p, err := startProcess(start, dir)
	if err != nil {
		t.Fatalf("redistest: start a sentinel: %v", err)
	}
	return newServer(t, p)
}
