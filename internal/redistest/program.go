package redistest

import (
	"os"
	"os/exec"
	"testing"
)

// mustFindProgram returns the path of the server to start, and skips the test without one.
func mustFindProgram(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		skipTest(t, "no sh on PATH to start a server with")
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	skipTest(t, "neither redis-server nor valkey-server on PATH (install one; most tests also take the address of a server in "+envAddr+")")
	return ""
}

// skipTest skips the test, or fails it where a real server is required.
func skipTest(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(envRequire) == "1" {
		t.Fatalf("redistest: %s is set: %s", envRequire, reason)
	}
	t.Skipf("redistest: skipped: %s", reason)
}
