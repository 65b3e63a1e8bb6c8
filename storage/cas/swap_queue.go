package cas

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
	"github.com/redbreaker/redbreaker/storage/internal/handle"
)

// maxShared is the most operations that share a swap.
const maxShared = 1000

// After a lost race the driver waits for a random part of minBackoff, doubled
// with each further loss, up to maxBackoff or an eighth of the timeout: the
// process that won may have more to do.
const (
	minBackoff = time.Millisecond
	maxBackoff = 32 * time.Millisecond
)

// swapQueue takes one process's operations on one breaker to the store, one swap
// at a time.
//
// Operations that come while a swap is in flight wait for the next one. The
// machine runs on all of them in the order of their arrival, so each has a reply
// of its own, and they are committed by one swap or by none. A goroutine, the
// driver, lives while there is something to do: a queue that is idle owns none.
//
// Its life cycle resembles that of the group commit and the node pipeline of the
// Redis storage, but they share no code. All three collect operations while a round
// trip is in flight, and differ in everything else: a swap runs again after a lost
// race, a shared step must fit one batch, and a pipeline holds calls of different
// breakers and may have two round trips in flight. A common queue would need a
// callback for each difference, which a lone call would pay for.
type swapQueue struct {
	storage *Storage
	name    string

	mu      sync.Mutex
	driven  bool // the driver runs
	waiting []*operation
}

func (s *Storage) newSwapQueue(name string) *swapQueue { return &swapQueue{storage: s, name: name} }

// operation is one caller's work on a record.
type operation struct {
	op string // its name in errors
	// apply runs it on the record. It is called again, on another record, after a
	// lost race.
	apply func(r *engine.Record, now int64)
	// onCommit is called once the last apply holds, with the clock of handles just before
	// the record was read; may be nil.
	onCommit func(asked int64)
	// onAbandon is called after onCommit if the caller has left; may be nil.
	onAbandon func()

	done chan struct{}
	err  error // set before done is closed

	// Guarded by the queue's mutex.
	inFlight bool // it is part of a swap that may be executed
	lost     int  // races
	left     bool // its caller has
}

// errContended ends an operation that lost its races until the timeout. It says
// nothing against the store.
var errContended = errors.New("lost every compare-and-swap race")

// runOperation takes an operation to the store. The errors are engine.ErrStopped, the
// context's, or a *engine.StorageError. With the last two the operation may
// still be committed later if it was in flight.
func (q *swapQueue) runOperation(ctx context.Context, o *operation) error {
	if q.storage.closed.Load() {
		return engine.ErrStopped
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, q.storage.timeout, q.storage.timeoutErr)
	defer cancel()
	o.done = make(chan struct{})
	if !q.enqueueOp(o) {
		return engine.ErrStopped
	}
	select {
	case <-o.done:
		return o.err
	case <-limited.Done():
	}
	err := q.abandonOp(o)
	// Both ends may have come at once; the one of the caller is its own doing, and no fault
	// of the store.
	if callerErr := ctx.Err(); callerErr != nil && err != nil {
		return callerErr
	}
	return err
}

// enqueueOp adds an operation and starts the driver if there is none. It returns
// false if the storage is closed.
func (q *swapQueue) enqueueOp(o *operation) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	// The driver begins with takeBatch, which waits for this lock, so it finds the operation
	// though that is added after the driver was started.
	if !q.driven && !q.storage.tasks.Spawn(q.driveQueue) {
		return false
	}
	q.driven = true
	q.waiting = append(q.waiting, o)
	return true
}

// abandonOp gives an operation up, unless it has just ended, and returns its
// error. Whether it can be committed is known here, whatever the store does
// later.
func (q *swapQueue) abandonOp(o *operation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-o.done:
		return o.err
	default:
	}
	o.left = true
	if i := slices.Index(q.waiting, o); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	e := &engine.StorageError{Class: engine.ClassNotExecuted, Op: o.op, Name: q.name, Err: q.storage.timeoutErr}
	switch {
	case o.inFlight:
		e.Class = engine.ClassUnknown
	case o.lost > 0:
		e.Err = fmt.Errorf("%w (%d times): %w", errContended, o.lost, q.storage.timeoutErr)
	}
	return e
}

// driveQueue swaps until nothing waits.
func (q *swapQueue) driveQueue() {
	lost := 0
	for ops := q.takeBatch(); len(ops) > 0; ops = q.takeBatch() {
		if q.tryBatch(ops) {
			lost = 0
			continue
		}
		time.Sleep(rand.N(min(minBackoff<<min(lost, 8), maxBackoff, q.storage.timeout/8+1)))
		lost++
	}
}

// takeBatch returns the operations of the next swap; an empty batch stops the
// driver.
func (q *swapQueue) takeBatch() []*operation {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxShared)
	ops := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	// In the hold of the lock that found nothing: the next enqueueOp starts another driver.
	q.driven = n > 0
	return ops
}

// tryBatch runs operations on the record and swaps it. It returns false if the
// race was lost and they wait again.
func (q *swapQueue) tryBatch(ops []*operation) bool {
	began, n := time.Now(), int64(len(ops))
	ended, err := q.swapBatch(ops)
	q.storage.observer.ReportStep(q.storage.Kind(), began, n, err)
	return ended
}

// swapBatch is tryBatch, with the error of the attempt.
func (q *swapQueue) swapBatch(ops []*operation) (ended bool, fault error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), q.storage.timeout, q.storage.timeoutErr)
	defer cancel()
	asked := handle.ReadClock(q.storage.start)
	r, version, now, err := q.storage.loadRecord(ctx, q.name)
	if err != nil {
		q.failOperations(ops, err)
		return true, err
	}
	// As late as possible: a caller that leaves while the record is read knows for certain
	// that its operation was not executed.
	ops = q.markInFlight(ops)
	before := r.Fields()
	for _, o := range ops {
		o.apply(&r, now)
	}
	after := r.Fields()
	// Most admissions of a closed circuit change nothing. They need no swap: the read alone
	// was their moment.
	if slices.Equal(before, after) {
		q.commitOps(ops, asked)
		return true, nil
	}
	swapped, err := q.storage.swapRecord(ctx, q.name, version, encodeFields(after), timeToLive(&r, now))
	switch {
	case err != nil:
		q.failOperations(ops, err)
		return true, err
	case swapped:
		q.commitOps(ops, asked)
		return true, nil
	}
	q.requeueOperations(ops)
	return false, &engine.StorageError{Class: engine.ClassNotExecuted, Op: "swap", Name: q.name, Err: errContended}
}

// timeToLive returns how long the record must be kept; 0 means without end.
func timeToLive(r *engine.Record, now int64) time.Duration {
	if r.Expires() == 0 {
		return 0
	}
	ms := min(r.Expires()-now, int64(math.MaxInt64/time.Millisecond))
	return time.Duration(ms) * time.Millisecond
}

// markInFlight returns the operations whose callers have not left. From here on
// they may be executed.
func (q *swapQueue) markInFlight(ops []*operation) []*operation {
	q.mu.Lock()
	defer q.mu.Unlock()
	ops = slices.DeleteFunc(ops, func(o *operation) bool { return o.left })
	for _, o := range ops {
		o.inFlight = true
	}
	return ops
}

// requeueOperations puts operations that lost the race in front of those that wait, since
// they came first.
func (q *swapQueue) requeueOperations(ops []*operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ops = slices.DeleteFunc(ops, func(o *operation) bool { return o.left })
	for _, o := range ops {
		o.inFlight = false
		o.lost++
	}
	q.waiting = append(ops, q.waiting...)
}

// failOperations ends operations with an error of the store.
func (q *swapQueue) failOperations(ops []*operation, e *engine.StorageError) {
	for _, o := range ops {
		o.err = &engine.StorageError{Class: e.Class, Op: o.op, Name: q.name, Err: e.Err}
		q.finishOp(o)
	}
}

// commitOps ends operations that hold, in the order of their arrival.
func (q *swapQueue) commitOps(ops []*operation, asked int64) {
	for _, o := range ops {
		if o.onCommit != nil {
			o.onCommit(asked)
		}
		if left := q.finishOp(o); left && o.onAbandon != nil {
			o.onAbandon()
		}
	}
}

// finishOp releases the caller. It reports whether the caller has left before.
func (q *swapQueue) finishOp(o *operation) (left bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(o.done)
	return o.left
}

// runControl runs a command as an operation. rulesOf returns the rules that it
// applies by; onCommit, which may be nil, gets its effect.
func (q *swapQueue) runControl(ctx context.Context, c engine.Command, rulesOf func(*engine.Record) *engine.Rules,
	onCommit func(engine.Snapshot, []engine.Transition)) (engine.Snapshot, error) {
	var s engine.Snapshot
	var transitions []engine.Transition
	var verdict error
	o := &operation{op: "control", apply: func(r *engine.Record, now int64) {
		transitions, verdict = r.Control(rulesOf(r), now, q.storage.random(), c)
		s = r.Snapshot(q.name, now)
	}}
	if onCommit != nil {
		o.onCommit = func(int64) { onCommit(s, transitions) }
	}
	if err := q.runOperation(ctx, o); err != nil {
		return engine.Snapshot{}, err
	}
	return s, verdict
}
