//go:build !race

package engine

// The seam is where a test takes hold of the in-memory engine's schedule. It
// stands in builds with the race detector; here it is nothing and costs nothing.

// pause stands between two accesses to what goroutines share.
func pause() {}

// closing is what a stripe is closed with.
func closing() int64 { return sealed }
