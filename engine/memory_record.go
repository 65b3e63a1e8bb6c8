package engine

import (
	"math"
	"sync"
	"sync/atomic"
)

// memoryRecord is a record in memory with its published decision. With its name
// and its engine, which each handle has, it would exceed 512 bytes and take 576
// of the heap.
type memoryRecord struct {
	published atomic.Pointer[decision]
	// record begins with its head, which only transitions write: the fields that
	// every step writes lie on another cache line than published.
	record      Record
	mu          sync.Mutex
	stripeCount int32 // of the next decision
	handles     int32 // guarded by Memory.mu
}

func newMemoryRecord() *memoryRecord {
	r := &memoryRecord{stripeCount: 1}
	r.published.Store(&decision{})
	return r
}

// lockAndFold takes the mutex, seals the stripes and folds what they counted into
// the record. publishAndUnlock follows.
func (r *memoryRecord) lockAndFold() {
	r.mu.Lock()
	d := r.published.Load()
	if n := d.sealStripesLocked(); n > 0 {
		m := machine{Record: &r.record}
		m.countSuccesses(n) // all of one bucket, and before whatever the caller does
	}
	if d.contended.Load() {
		r.stripeCount = contendedStripes()
	}
}

// publishAndUnlock publishes the decision that follows from the record, releases
// the mutex, and returns the decision. The record belongs to m under that name.
func (r *memoryRecord) publishAndUnlock(m *Memory, name string) *decision {
	defer r.mu.Unlock()
	return r.publishLocked(m, name, nil)
}

// publishLocked publishes the decision that follows from the record. If it is the
// one that is published already, its stripes count again: most steps change
// nothing that a decision contains, and so allocate nothing.
// opened is the transition of the caller's step if it opened the circuit, else nil.
func (r *memoryRecord) publishLocked(m *Memory, name string, opened *Transition) *decision {
	var next verdict
	if !m.closed.Load() {
		next = r.record.verdict(r.stripeCount)
	}
	d := r.published.Load()
	if d.verdict == next {
		d.unsealStripesLocked()
		return d
	}
	yieldPoint()
	d = &decision{verdict: next}
	if next.stripeLimit > 0 {
		d.stripes = make([]stripe, next.stripeCount)
	}
	if next.answersEpoch > 0 && r.record.mode != ModeForcedClosed {
		d.rejection = r.newRejectionLocked(name, next, m.nowNS, opened)
	} else if r.record.state == StateHalfOpen {
		d.rejection = r.published.Load().rejection
	}
	r.published.Store(d)
	return d
}

// newRejectionLocked returns the error that all rejections of a decision share.
func (r *memoryRecord) newRejectionLocked(name string, v verdict, nowNS func() int64, opened *Transition) *RejectedError {
	if opened == nil {
		opened = r.findOpenedLocked(name)
	}
	e := RejectedError{Name: name, Reason: ReasonOpen, State: r.record.state, Mode: r.record.mode, Opened: opened}
	if r.record.mode == ModeForcedOpen {
		e.Reason = ReasonForced
	}
	endNS := v.untilNS
	if endNS == math.MaxInt64 {
		endNS = 0
	}
	return NewRejected(e, endNS, nowNS)
}

// findOpenedLocked returns the transition that opened the circuit, for a decision
// that another step than that transition's publishes; nil if it is not open.
func (r *memoryRecord) findOpenedLocked(name string) *Transition {
	if r.record.state != StateOpen {
		return nil
	}
	if before := r.published.Load().rejection; before != nil && before.Opened != nil && before.Opened.Epoch == r.record.epoch {
		return before.Opened
	}
	log := r.record.readLog()
	if len(log) == 0 {
		return nil
	}
	opened := log[len(log)-1] // a step that changes nothing else than the mode begins no open period
	opened.Name = name
	return &opened
}
