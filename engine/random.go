package engine

import "math/rand/v2"

// Random returns the randomness of one step, an integer from 0 below 2^20: what
// [Record.Step], [Record.Control] and the scripts take as rnd. It feeds jitter
// and the random part of an epoch. Safe for concurrent use.
func Random() int64 { return int64(rand.Uint32N(1 << 20)) }
