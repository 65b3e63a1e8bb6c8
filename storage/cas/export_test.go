package cas

import "github.com/redbreaker/redbreaker/engine"

// Waiting is how many operations wait for the next swap.
func Waiting(h engine.Handle) int {
	q := h.(*breaker).queue
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// SetRandom replaces the storage's randomness, so that a test can run it beside
// the pure machine.
func (s *Storage) SetRandom(random func() int64) { s.random = random }

// Encode and Decode are the blob's codec.
var (
	Encode = encodeFields
	Decode = decodeBlob
)
