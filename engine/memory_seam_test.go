//go:build !race

package engine

import "testing"

// shake does nothing here: see memory_seam.go.
func shake(testing.TB) bool { return false }

func unseal(t testing.TB) {
	t.Skip("skipped: only a build with the race detector can leave out the seal")
}
