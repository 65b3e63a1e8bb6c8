package storage

import "github.com/redbreaker/redbreaker/engine"

// Waiting is how many operations wait for the next swap.
func Waiting(h engine.Handle) int {
	l := h.(*casHandle).lane
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// SetRandom replaces the storage's randomness, so that a test can run it beside
// the pure machine.
func (c *CAS) SetRandom(random func() int64) { c.random = random }

// Encode and Decode are the blob's codec.
var (
	Encode = encode
	Decode = decode
)
