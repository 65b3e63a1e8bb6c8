//go:build race

package engine

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// shake makes goroutines give way to each other between any two accesses to
// what they share, and reports that it does.
func shake(t testing.TB) bool {
	seam.pause = func() {
		if rand.Uint32N(4) == 0 {
			runtime.Gosched()
		}
	}
	t.Cleanup(func() { seam.pause = nil })
	return true
}

// unseal leaves out the seal.
func unseal(t testing.TB) {
	seam.unsound = true
	t.Cleanup(func() { seam.unsound = false })
}
