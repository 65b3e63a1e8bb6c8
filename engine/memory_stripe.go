package engine

import (
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// stripe counts successes. The padding gives it a cache line of its own.
type stripe struct {
	n atomic.Int64
	_ [56]byte
}

// sealed is the value of a stripe that counts nothing. It is so far below 0 that
// goroutines which add to a sealed stripe before they notice cannot bring it to 0.
const sealed = math.MinInt64 / 2

// maxStripes bounds the cost of sealing. It is a power of 2, and stripeBits is its
// exponent.
const (
	stripeBits = 6
	maxStripes = 1 << stripeBits
)

// contendedStripes returns the number of stripes of a record on which goroutines
// met: about four for each goroutine that can run at once, so that two seldom
// meet again. It is a power of 2.
func contendedStripes() int32 {
	return min(maxStripes, int32(1)<<bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)))
}

// countSuccess counts a fast success, reported through h at the time atNS, or 0 if
// the time was not read. It returns false if the success needs the mutex.
func (d *decision) countSuccess(h *memoryHandle, atNS int64) bool {
	if d.timed {
		if atNS == 0 {
			atNS = h.Now()
		}
		if atNS < d.fromNS || d.untilNS <= atNS {
			return false
		}
	}
	yieldPoint()
	return d.stripeLimit == 0 || d.addToStripe()
}

// addToStripe adds one success. It returns false if that needs the mutex: the
// stripe is sealed, or it is the only one and goroutines met on it.
func (d *decision) addToStripe() bool {
	s := d.pickStripe()
	n := s.n.Load()
	if n < 0 {
		return false
	}
	yieldPoint()
	if n >= d.stripeLimit || s.n.CompareAndSwap(n, n+1) {
		return true
	}
	if len(d.stripes) == 1 {
		d.contended.Store(true)
		return false
	}
	return s.n.Add(1) > 0
}

// pickStripe returns the stripe of this goroutine. The address of the goroutine's
// stack differs between goroutines; no other number that does is as cheap to read. The product mixes the address (2^64 divided by the golden ratio),
// and its stripeBits highest bits are the index.
func (d *decision) pickStripe() *stripe {
	var onStack byte
	address := uint64(uintptr(unsafe.Pointer(&onStack)))
	index := ((address >> 11) * 0x9e3779b97f4a7c15) >> (64 - stripeBits)
	return &d.stripes[index&uint64(len(d.stripes)-1)]
}

// sealStripesLocked seals the stripes and returns the successes that they counted.
// The caller holds the record's mutex.
func (d *decision) sealStripesLocked() (n int64) {
	for i := range d.stripes {
		n += d.stripes[i].n.Swap(sealValue())
		yieldPoint()
	}
	return n
}

// unsealStripesLocked sets the stripes to 0, so that they count again. The caller
// holds the record's mutex.
func (d *decision) unsealStripesLocked() {
	for i := range d.stripes {
		d.stripes[i].n.Store(0)
		yieldPoint()
	}
}
