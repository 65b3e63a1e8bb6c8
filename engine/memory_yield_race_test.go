//go:build race

package engine

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// shakeSchedule makes goroutines yield at random yield points and reports that it
// does.
func shakeSchedule(t testing.TB) bool {
	yield.goroutine = func() {
		if rand.Uint32N(4) == 0 {
			runtime.Gosched()
		}
	}
	t.Cleanup(func() { yield.goroutine = nil })
	return true
}

// leaveOutSeal leaves stripes unsealed for the rest of the test.
func leaveOutSeal(t testing.TB) {
	yield.noSeal = true
	t.Cleanup(func() { yield.noSeal = false })
}
