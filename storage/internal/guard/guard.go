// Package guard is the breaker around a storage: it keeps callers from a server
// that does not answer.
package guard

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/settings"
)

// policy forgives one slip or two: a dead server is found out in three calls.
// Then it is asked at most every 100 ms, later every 5 s, by each process at
// random times of its own, so that a server which comes back is not asked by a
// whole fleet at once.
var policy = engine.Policy{
	ConsecutiveFailures: 3,
	OpenFor:             200 * time.Millisecond,
	Backoff:             engine.Backoff{Multiplier: 2, Max: MaxPause, Jitter: 0.5},
	HalfOpen:            engine.HalfOpen{Lease: 2 * settings.MaxTimeout},
}

// MaxPause is the longest that a guard goes without a trial while calls come.
const MaxPause = 5 * time.Second

// Guard is a circuit breaker in this process, made of the in-memory engine. One
// guards a server for all breakers that the server holds. All methods are safe
// for concurrent use.
type Guard struct {
	handle engine.Handle
	judge  Judge
	// failures counts the failures that were counted, see Permission.
	failures atomic.Int64
	// lastErr is the error of callers while the guard rejects; it wraps the storage's
	// last error.
	lastErr atomic.Pointer[error]
	// spawn runs a trial beside the caller, so that no caller waits for it.
	spawn func(func()) bool
}

// Judge returns what the end of an operation says about the storage as a whole:
// engine.Success, engine.Failure, or engine.Ignored if it says nothing.
type Judge func(err error) engine.Outcome

// JudgeStorage judges errors that any storage may return. Only a
// *engine.StorageError says something about the storage: other errors are the
// caller's end or the storage's Close. A record that belongs to others
// concerns one breaker, and the storage did answer.
func JudgeStorage(err error) engine.Outcome {
	var e *engine.StorageError
	switch {
	case err == nil:
		return engine.Success
	case !errors.As(err, &e):
		return engine.Ignored
	case e.Class == engine.ClassForeign:
		return engine.Success
	}
	return engine.Failure
}

// New returns a guard whose trials run by spawn, which returns false if the
// storage is closed.
func New(spawn func(func()) bool, judge Judge) (*Guard, error) {
	h, err := engine.NewMemory().Bind("storage", policy, nil)
	if err != nil {
		return nil, err
	}
	g := &Guard{handle: h, judge: judge, spawn: spawn}
	g.lastErr.Store(&errBackingOff)
	return g, nil
}

// Permission is the guard's leave for one operation. It must be released once, or
// not at all if the operation was not sent.
//
// Operations that were in flight at the same time and failed are one observation:
// a pause of the server or of this process, or a connection that broke, makes all
// of them fail at once. So a failure counts only if no other one was counted since
// the operation began. A dead server is still found out in three, one after
// another.
type Permission struct {
	guard    *Guard
	ticket   engine.Ticket
	failures int64 // of the guard, when the operation began
}

// Release returns the permission and counts how the operation ended.
func (p Permission) Release(err error) { p.guard.count(p, err) }

// Permit lets an operation through to the storage or fails at once, with an
// error that wraps what the storage answered last. When it is time to ask the
// storage again, trial does so in a goroutine of its own: it must be a step that
// carries nothing, since an admission whose reply is lost would hold a probe.
func (g *Guard) Permit(trial func() error) (Permission, error) {
	failures := g.failures.Load()
	t, err := g.handle.Acquire(context.Background())
	if err != nil {
		return Permission{}, *g.lastErr.Load()
	}
	p := Permission{g, t, failures}
	if t.Lease == 0 {
		return p, nil
	}
	if !g.spawn(func() { g.count(p, trial()) }) {
		return Permission{}, engine.ErrStopped
	}
	return Permission{}, *g.lastErr.Load()
}

func (g *Guard) count(p Permission, err error) {
	o := g.judge(err)
	if o == engine.Failure && p.ticket.Lease == 0 && !g.failures.CompareAndSwap(p.failures, p.failures+1) {
		o = engine.Ignored
	}
	if o == engine.Failure {
		last := fmt.Errorf("%w; last error: %w", errBackingOff, errors.Unwrap(err))
		g.lastErr.Store(&last)
	}
	_, _ = g.handle.Report(context.Background(), p.ticket, o, 0, nil) // the in-memory engine never fails
}

var errBackingOff = errors.New("storage unavailable, backing off")
