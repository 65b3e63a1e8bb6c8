//go:build !race

package engine

import "testing"

// shakeSchedule does nothing without the race detector: see memory_yield.go.
func shakeSchedule(testing.TB) bool { return false }

func leaveOutSeal(t testing.TB) {
	t.Skip("skipped: only a build with the race detector can leave out the seal")
}
