package redbreaker

import (
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/redbreaker/redbreaker/engine"
)

// The stripes of a view count fast successes without a lock, as those of the
// in-memory engine do, see engine/memory_decision.go: counters, each on a cache line of
// its own, over which goroutines spread. They belong to the decision that gave the
// tickets. A goroutine that holds the view's lock first seals them: it swaps each
// counter for a value that counts nothing, and adds the sums to the pending outcomes. A
// success that comes later sees the seal and takes the lock. So a success is folded
// before the failure that follows it, and none is lost when the decision ends. Only the
// decision that goes on is unsealed; one that was replaced stays sealed, since a
// goroutine may still be about to count on it.

// viewStripe is one counter. The padding gives it a cache line of its own.
type viewStripe struct {
	n atomic.Int64
	_ [56]byte
}

const (
	// stripeSealed is so far below 0 that goroutines which add to a sealed stripe before
	// they notice cannot bring it to 0.
	stripeSealed = math.MinInt64 / 2
	// stripeBits is the exponent of the largest number of stripes.
	stripeBits = 6
	// clockEvery is after how many successes on a stripe one reads the clock. A clock read for
	// each would double the cost of a call; with none, a view could outlive its end by as
	// long as its timer is late. It is a power of 2.
	clockEvery = 64
)

// maxRoom is the room of a stripe that is not limited. All stripes together hold less than
// half of the longest run, and that much makes a flush due.
const maxRoom = engine.MaxSuccesses >> (stripeBits + 2)

// stripesWhenContended returns about four stripes for each goroutine that can run at
// once, so that two seldom meet again.
func stripesWhenContended() int {
	return min(1<<stripeBits, 1<<bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)))
}

// countSuccess counts a fast success. It returns false if that needs the lock: the
// stripe is sealed or full, or it is the only one and goroutines met on it.
func (d *viewDecision) countSuccess(v *view) bool {
	s := d.pickStripe()
	n := s.n.Load()
	if n < 0 || n >= d.room.Load() {
		return false
	}
	switch {
	case len(d.stripes) > 1:
		n = s.n.Add(1)
	case s.n.CompareAndSwap(n, n+1):
		n++
	default:
		d.contended.Store(true)
		return false
	}
	if n%clockEvery == 0 && d.isOver(v) {
		// Without the lock, whose holder may not be running.
		v.published.CompareAndSwap(d, nil)
	}
	return n > 0
}

// pickStripe returns the stripe of this goroutine, by the address of its stack.
func (d *viewDecision) pickStripe() *viewStripe {
	var onStack byte
	address := uint64(uintptr(unsafe.Pointer(&onStack)))
	index := ((address >> 11) * 0x9e3779b97f4a7c15) >> (64 - stripeBits)
	return &d.stripes[index&uint64(len(d.stripes)-1)]
}

// sealStripes seals the stripes and returns the successes that they counted.
func (d *viewDecision) sealStripes() (n int64) {
	for i := range d.stripes {
		if counted := d.stripes[i].n.Swap(stripeSealed); counted > 0 {
			n += counted
		}
	}
	return n
}

// unsealStripes makes the stripes count again, with room for so many successes in all.
func (d *viewDecision) unsealStripes(room int64) {
	d.room.Store(min(room/int64(len(d.stripes)), maxRoom))
	for i := range d.stripes {
		d.stripes[i].n.Store(0)
	}
}

// newSealedStripes returns stripes that count nothing yet. One that began at 0 would lose
// what it counts while unsealStripes opens it, which stores 0.
func newSealedStripes(n int) []viewStripe {
	stripes := make([]viewStripe, n)
	for i := range stripes {
		stripes[i].n.Store(stripeSealed)
	}
	return stripes
}

// withMoreStripes returns the decision with as many stripes as goroutines that meet
// need. The stripes of d stay sealed.
func (d *viewDecision) withMoreStripes() *viewDecision {
	next := &viewDecision{epoch: d.epoch, rejection: d.rejection, ramp: d.ramp, stripes: newSealedStripes(stripesWhenContended())}
	next.untilNS.Store(d.untilNS.Load())
	next.used.Store(d.used.Load())
	return next
}
