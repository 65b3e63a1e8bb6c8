package redbreaker

import (
	"sync/atomic"
	"unsafe"
)

// SuccessCounter counts successes, for [Hooks]. The zero value counts from 0. All
// methods are safe for concurrent use. It takes 512 bytes: goroutines add to
// different cache lines, so that a counter does not undo what the in-memory engine
// gains by taking no lock.
type SuccessCounter struct{ stripes [counterStripes]counterStripe }

// counterStripes is a power of 2.
const counterStripes = 8

// counterStripe has a cache line of its own.
type counterStripe struct {
	n atomic.Int64
	_ [56]byte
}

// Add counts one success.
func (c *SuccessCounter) Add() {
	// Each goroutine has a stripe. The address of its stack differs from that of others and
	// costs nothing to read; the product mixes it (2^64 divided by the golden ratio).
	var onStack byte
	address := uint64(uintptr(unsafe.Pointer(&onStack)))
	c.stripes[((address>>11)*0x9e3779b97f4a7c15)>>32%counterStripes].n.Add(1)
}

// Load returns how many successes were counted.
func (c *SuccessCounter) Load() (n int64) {
	for i := range c.stripes {
		n += c.stripes[i].n.Load()
	}
	return n
}
