//go:build !race

package engine

// Yield points let a test interleave goroutines at every access to memory that
// the in-memory engine shares without a lock. They exist in builds with the race
// detector only; here both functions are empty and the compiler removes them.

// yieldPoint marks a place between two accesses to shared memory.
func yieldPoint() {}

// sealValue returns the value that seals a stripe.
func sealValue() int64 { return sealed }
