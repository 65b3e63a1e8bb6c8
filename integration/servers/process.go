package servers

import (
	"testing"

	"github.com/redbreaker/redbreaker/internal/redistest"
)

// startProcess starts a server as a process on loopback.
func startProcess(t testing.TB, args []string) machine {
	t.Helper()
	return redistest.Start(t, args...)
}

func startSentinelProcess(t testing.TB, config string) machine {
	t.Helper()
	return redistest.StartSentinel(t, config)
}
