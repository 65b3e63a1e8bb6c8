package storage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// guardPolicy says when a storage is left alone. A slip is forgiven, a dead
// server is found out in three calls; then it is asked at most every 100 ms,
// later every 5 s, each process at times of its own.
var guardPolicy = engine.Policy{
	ConsecutiveFailures: 3,
	OpenFor:             200 * time.Millisecond,
	Backoff:             engine.Backoff{Multiplier: 2, Max: guardMax, Jitter: 0.5},
	HalfOpen:            engine.HalfOpen{Lease: 2 * maxTimeout},
}

// guardMax is the longest that a guard goes without asking.
const guardMax = 5 * time.Second

// guard keeps callers from a storage that does not answer: it is the in-memory
// engine, used on ourselves. One guards a server for all breakers that it holds.
type guard struct {
	handle engine.Handle
	// why is what those get who are turned away: what the storage last said.
	why atomic.Pointer[error]
	// spawn runs a trial beside the caller, so that nobody waits for it.
	spawn func(func()) bool
}

func newGuard(spawn func(func()) bool) (*guard, error) {
	h, err := engine.NewMemory().Bind("storage", guardPolicy, nil)
	if err != nil {
		return nil, err
	}
	g := &guard{handle: h, spawn: spawn}
	g.why.Store(&errLeftAlone)
	return g, nil
}

// enter lets an operation through to the storage, to end with leave, or fails at
// once. When it is time to ask the storage again, trial does so: a step that
// carries nothing, since the lost reply of an admission would hold a probe.
func (g *guard) enter(trial func() error) (engine.Ticket, error) {
	t, err := g.handle.Acquire(context.Background())
	if err != nil {
		return engine.Ticket{}, *g.why.Load()
	}
	if t.Lease == 0 {
		return t, nil
	}
	g.spawn(func() { g.leave(t, trial()) })
	return engine.Ticket{}, *g.why.Load()
}

// leave counts how an operation ended.
func (g *guard) leave(t engine.Ticket, err error) {
	o := judge(err)
	if o == engine.Failure {
		why := fmt.Errorf("%w, it last said: %w", errLeftAlone, errors.Unwrap(err))
		g.why.Store(&why)
	}
	_, _ = g.handle.Report(context.Background(), t, o, 0, nil) // memory does not fail
}

// judge says what an operation's end tells of the storage as a whole.
func judge(err error) engine.Outcome {
	if err == nil {
		return engine.Success
	}
	var e *engine.StorageError
	var same sameSlip
	switch {
	case errors.As(err, &same) && !errors.Is(err, context.DeadlineExceeded):
		return engine.Ignored // it is counted once
	case !errors.As(err, &e): // the caller's own end, or the storage's Close
		return engine.Ignored
	case e.Class == engine.ClassForeign, errors.Is(err, errContended): // it answered, and about one record
		return engine.Success
	case ofOneSlot(e.Err):
		return engine.Ignored
	}
	return engine.Failure
}

var errLeftAlone = errors.New("the storage does not answer and is left alone for a while")
