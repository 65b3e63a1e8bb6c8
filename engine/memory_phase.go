package engine

import (
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A record in memory has a lock, and most calls never take it: they read one
// pointer to a [phase], which tells what is decided about them for as long as
// the record stays as it is. Verdicts are those of the machine, one at a time:
//
//   - Whoever holds the lock works alone, and leaves behind a phase that is true
//     of the record before it returns to its caller.
//   - An admission, a rejection, and a success that leaves nothing to write are
//     decided at the instant at which they load the phase.
//   - A success that counts is decided at the instant at which it adds one to a
//     stripe, or finds there that enough of them were added. Until then it may
//     have waited for any time; so a phase that is over keeps its stripes sealed
//     for ever, and a sealed stripe takes nothing.
//   - The holder of the lock begins by sealing all stripes and folding what they
//     held into the record. What was added before is in the sum; what comes later
//     meets the seal and waits for the lock. Without the seal, a success added
//     behind the fold would be told that it counted, and be lost if the circuit
//     then opens.
//
// So a failure is judged against every outcome whose report returned before its
// own began, and striping relaxes nothing: all that it leaves open is the order
// of successes among themselves, and they are equal.

// phase is what calls may decide about a record without its lock.
type phase struct {
	terms
	rejected *RejectedError // the answer to Acquire, with terms.answers; nil admits
	stripes  []stripe       // with terms.room
	crowded  atomic.Bool    // goroutines met on a stripe
}

// terms is what is immutable of a phase and follows from the record alone, not
// from the policy of a handle: handles of several policies may share a record.
type terms struct {
	// admits is the epoch whose tickets Acquire gives at any time, and whose
	// successes need no lock; 0: none.
	admits int64
	// answers is the epoch in which Acquire gets the same answer, without a
	// ticket, between from and until; 0: none.
	answers int64
	// window is the code of the record's window. A handle whose policy has
	// another window may change it by a success, so it takes the lock.
	window int64
	// timed makes successes hold between from and until only: the time in which
	// the window's current bucket is current.
	timed bool
	// width is the number of stripes.
	width int32
	// from and until are nanoseconds of the engine's clock.
	from, until int64
	// room is how many successes a stripe takes: after so many since the last
	// outcome of another kind, one more leaves nothing to write. 0: it does now.
	room int64
}

// terms returns what the record as it stands decides for calls.
func (r *Record) terms(width int32) terms {
	switch {
	case !r.exists || len(r.junk) > 0:
		return terms{}
	case r.mode == ModeForcedOpen, r.mode == ModeForcedClosed:
		return r.forcedTerms()
	case r.mode != ModeAuto:
		return terms{}
	case r.state == StateOpen:
		// A clock that went back behind from mends until, which takes the lock.
		return terms{answers: r.epoch, from: nanos(max(r.since, r.until-r.openFor)), until: nanos(r.until)}
	case r.state == StateClosed:
		return r.closedTerms(width)
	}
	return terms{}
}

func (r *Record) forcedTerms() terms {
	t := terms{answers: r.epoch, from: nanos(r.since), until: math.MaxInt64}
	if r.modeUntil > 0 {
		t.from, t.until = nanos(max(r.since, r.modeUntil-r.modeFor)), nanos(r.modeUntil)
	}
	return t
}

func (r *Record) closedTerms(width int32) terms {
	t := terms{admits: r.epoch, window: r.shape.code(), width: width}
	switch r.shape.Kind {
	case windowTime:
		t.timed, t.room = true, math.MaxInt64
		t.from = nanos(max(r.since, r.shapeSince, r.cell*r.shape.bucketMS()))
		t.until = nanos((r.cell + 1) * r.shape.bucketMS())
	case windowCount:
		if r.clean < r.shape.Size { // until the ring is full of successes
			t.room = r.shape.Size
		}
	default:
		if r.streak > 0 { // the next success ends the streak
			t.room = 1
		}
	}
	return t
}

// answer is what Acquire returns, with terms.answers: the one error of the phase.
func (p *phase) answer() (Ticket, error) {
	if p.rejected == nil {
		return Ticket{}, nil
	}
	return Ticket{}, p.rejected
}

// code tells shapes apart; 0 is none.
func (s WindowShape) code() int64 {
	switch s.Kind {
	case windowCount:
		return s.Size
	case windowTime:
		return -s.Size
	}
	return 0
}

// nanos is an instant of the record on the engine's clock.
func nanos(ms int64) int64 { return ms * int64(time.Millisecond) }

// count counts a fast success that was reported through a handle, at the time
// at if that was read. It reports false where that takes the lock.
func (p *phase) count(h *memoryHandle, at int64) bool {
	if p.timed {
		if at == 0 {
			at = h.Now()
		}
		if at < p.from || p.until <= at {
			return false
		}
	}
	pause()
	return p.room == 0 || p.add()
}

// stripe is a number of successes, on a cache line of its own.
type stripe struct {
	n atomic.Int64
	_ [56]byte
}

// sealed is what a stripe holds that takes nothing: so far below 0 that what is
// added to it all the same does not matter.
const sealed = math.MinInt64 / 2

// maxStripes bounds what sealing costs.
const maxStripes = 64

// wide is how many stripes goroutines deserve that met on one: enough that as
// many as run at once seldom meet; a power of 2.
func wide() int32 {
	return min(maxStripes, int32(1)<<bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)))
}

// add counts one success. It reports false where that takes the lock: the stripe
// is sealed, or goroutines met on it that deserve more than one.
func (p *phase) add() bool {
	s := p.stripe()
	n := s.n.Load()
	if n < 0 {
		return false
	}
	pause()
	if n >= p.room || s.n.CompareAndSwap(n, n+1) {
		return true
	}
	if len(p.stripes) == 1 {
		p.crowded.Store(true)
		return false
	}
	return s.n.Add(1) > 0
}

// stripe is the one that this goroutine uses. Goroutines are told apart by where
// their stacks lie, which costs less than any other number that they do not share.
func (p *phase) stripe() *stripe {
	var here byte
	hash := uint64(uintptr(unsafe.Pointer(&here))) >> 11 * 0x9e3779b97f4a7c15 >> 58
	return &p.stripes[hash&uint64(len(p.stripes)-1)]
}

// seal closes the stripes and returns what they held.
func (p *phase) seal() (n int64) {
	for i := range p.stripes {
		n += p.stripes[i].n.Swap(closing())
		pause()
	}
	return n
}

// unseal opens the stripes again, empty.
func (p *phase) unseal() {
	for i := range p.stripes {
		p.stripes[i].n.Store(0)
		pause()
	}
}

// memoryRecord is a record and those who hold it. With its name and its engine,
// which each handle knows, it would pass 512 bytes and take 576 of the heap.
type memoryRecord struct {
	phase atomic.Pointer[phase]
	// record begins with its head, which only transitions write: what every step
	// writes stays off the line that calls read.
	record  Record
	mu      sync.Mutex
	width   int32 // of the next phase
	handles int32 // guarded by Memory.mu
}

func newMemoryRecord() *memoryRecord {
	r := &memoryRecord{width: 1}
	r.phase.Store(&phase{})
	return r
}

// lock takes the lock and brings the record up to date. unlock follows.
func (r *memoryRecord) lock() {
	r.mu.Lock()
	p := r.phase.Load()
	if n := p.seal(); n > 0 {
		m := machine{Record: &r.record}
		m.countSuccesses(n) // all of one bucket, and ahead of what the holder has to say
	}
	if p.crowded.Load() {
		r.width = wide()
	}
}

// unlock lets calls go on by the record as it now stands, which is of that engine
// and name, and returns the phase.
func (r *memoryRecord) unlock(m *Memory, name string) *phase {
	defer r.mu.Unlock()
	var next terms
	if !m.closed.Load() {
		next = r.record.terms(r.width)
	}
	p := r.phase.Load()
	if p.terms == next {
		p.unseal()
		return p
	}
	pause()
	p = &phase{terms: next}
	if next.room > 0 {
		p.stripes = make([]stripe, next.width)
	}
	if next.answers > 0 && r.record.mode != ModeForcedClosed {
		p.rejected = r.rejection(name, next, m.nanos)
	}
	r.phase.Store(p)
	return p
}

// rejection is the error that all rejections of a phase share.
func (r *memoryRecord) rejection(name string, t terms, now func() int64) *RejectedError {
	e := RejectedError{Name: name, Reason: ReasonOpen, State: r.record.state, Mode: r.record.mode}
	if r.record.mode == ModeForcedOpen {
		e.Reason = ReasonForced
	}
	deadline := t.until
	if deadline == math.MaxInt64 {
		deadline = 0
	}
	return NewRejected(e, deadline, now)
}
