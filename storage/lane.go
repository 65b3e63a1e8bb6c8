package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// gather is the most operations that share a swap.
const gather = 1000

// After a lost race the next attempt waits for a random part of shortest, then
// of twice as much, up to longest or an eighth of the bound: the winner may have
// more to do.
const (
	shortest = time.Millisecond
	longest  = 32 * time.Millisecond
)

// lane takes one process's operations on one breaker to the store, one swap at a
// time. What comes meanwhile is gathered for the next: the machine runs on it in
// the order of arrival, so each has a reply of its own, and all of them stand or
// fall with the swap. A lane that has nothing to do owns no goroutine.
type lane struct {
	cas  *CAS
	name string

	mu      sync.Mutex
	driven  bool // a goroutine takes what waits to the store
	waiting []*op
}

// op is one operation on its way.
type op struct {
	what string // what errors call it
	// apply runs it on the record, again on another record if the race was lost.
	apply func(r *engine.Record, now int64)
	// stands is told that what apply did last holds; nil if nobody needs to know.
	stands func()
	// orphaned is told so too, after stands, if the caller has left; may be nil.
	orphaned func()

	done chan struct{}
	err  error // set before done is closed

	// Guarded by the lane's mutex.
	committed bool // it is part of a swap that may be under way
	lost      int  // races
	left      bool // by its caller
}

// errContended is about a race that was lost until the bound. It says nothing
// against the storage.
var errContended = errors.New("others always were faster to change the record")

// do takes an operation to the store. The errors are engine.ErrStopped, the
// context's, or a *engine.StorageError; with the last two the operation may
// still come to stand if it was under way.
func (l *lane) do(ctx context.Context, o *op) error {
	if l.cas.closed.Load() {
		return engine.ErrStopped
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, l.cas.timeout, l.cas.overdue)
	defer cancel()
	o.done = make(chan struct{})
	if !l.join(o) {
		return engine.ErrStopped
	}
	select {
	case <-o.done:
		return o.err
	case <-bounded.Done():
	}
	err := l.leave(o)
	if own := ctx.Err(); own != nil && err != nil {
		return own
	}
	return err
}

// join adds an operation to what waits, and sees that it is driven.
func (l *lane) join(o *op) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.driven && !l.cas.spawn(l.drive) {
		return false
	}
	l.driven = true
	l.waiting = append(l.waiting, o)
	return true
}

// leave gives an operation up, unless it has just ended. Whether it can have
// been executed is known here, whatever the store does later.
func (l *lane) leave(o *op) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-o.done:
		return o.err
	default:
	}
	o.left = true
	if i := slices.Index(l.waiting, o); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	e := &engine.StorageError{Class: engine.ClassNotExecuted, Op: o.what, Name: l.name, Err: l.cas.overdue}
	switch {
	case o.committed:
		e.Class = engine.ClassUnknown
	case o.lost > 0:
		e.Err = fmt.Errorf("%w (%d times): %w", errContended, o.lost, l.cas.overdue)
	}
	return e
}

// drive takes what waits to the store until nothing does.
func (l *lane) drive() {
	lost := 0
	for ops := l.take(); len(ops) > 0; ops = l.take() {
		if l.attempt(ops) {
			lost = 0
			continue
		}
		time.Sleep(rand.N(min(shortest<<min(lost, 8), longest, l.cas.timeout/8+1)))
		lost++
	}
}

// take is what shares the next swap; nothing ends the drive.
func (l *lane) take() []*op {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), gather)
	ops := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	l.driven = n > 0
	return ops
}

// attempt runs operations on the record and swaps it. It returns false if the
// race was lost.
func (l *lane) attempt(ops []*op) bool {
	ctx, cancel := context.WithTimeoutCause(context.Background(), l.cas.timeout, l.cas.overdue)
	defer cancel()
	r, version, now, err := l.cas.load(ctx, l.name)
	if err != nil {
		l.fail(ops, err)
		return true
	}
	ops = l.commit(ops)
	before := r.Fields()
	for _, o := range ops {
		o.apply(&r, now)
	}
	after := r.Fields()
	if slices.Equal(before, after) {
		l.stand(ops)
		return true
	}
	swapped, err := l.cas.swap(ctx, l.name, version, encode(after), ttl(&r, now))
	switch {
	case err != nil:
		l.fail(ops, err)
	case swapped:
		l.stand(ops)
	default:
		l.again(ops)
	}
	return err != nil || swapped
}

// ttl is how long the record is to be kept; 0: without an end.
func ttl(r *engine.Record, now int64) time.Duration {
	if r.Expires() == 0 {
		return 0
	}
	left := min(r.Expires()-now, int64(math.MaxInt64/time.Millisecond))
	return time.Duration(left) * time.Millisecond
}

// commit is those that have not been left. From here on they may be executed.
func (l *lane) commit(ops []*op) []*op {
	l.mu.Lock()
	defer l.mu.Unlock()
	ops = slices.DeleteFunc(ops, func(o *op) bool { return o.left })
	for _, o := range ops {
		o.committed = true
	}
	return ops
}

// again puts operations that lost the race in front of what waits.
func (l *lane) again(ops []*op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ops = slices.DeleteFunc(ops, func(o *op) bool { return o.left })
	for _, o := range ops {
		o.committed = false
		o.lost++
	}
	l.waiting = append(ops, l.waiting...)
}

// fail ends operations with an error of the store.
func (l *lane) fail(ops []*op, e *engine.StorageError) {
	for _, o := range ops {
		o.err = &engine.StorageError{Class: e.Class, Op: o.what, Name: l.name, Err: e.Err}
		l.end(o)
	}
}

// stand ends operations that hold, in the order in which they came.
func (l *lane) stand(ops []*op) {
	for _, o := range ops {
		if o.stands != nil {
			o.stands()
		}
		if l.end(o) && o.orphaned != nil {
			o.orphaned()
		}
	}
}

// end lets the caller go. It reports whether the caller has left before.
func (l *lane) end(o *op) (left bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(o.done)
	return o.left
}

// control runs a command as an operation; told, which may be nil, hears what it did.
func (l *lane) control(ctx context.Context, c engine.Command, rules func(*engine.Record) *engine.Rules,
	told func(engine.Snapshot, []engine.Transition)) (engine.Snapshot, error) {
	var s engine.Snapshot
	var moves []engine.Transition
	var verdict error
	o := &op{what: "control", apply: func(r *engine.Record, now int64) {
		moves, verdict = r.Control(rules(r), now, l.cas.random(), c)
		s = r.Snapshot(l.name, now)
	}}
	if told != nil {
		o.stands = func() { told(s, moves) }
	}
	if err := l.do(ctx, o); err != nil {
		return engine.Snapshot{}, err
	}
	return s, verdict
}
