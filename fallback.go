package redbreaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Fallback says what happens to calls while the storage does not answer.
type Fallback uint8

// The fallbacks. PyBreaker's fallback_circuit_state is the first for closed,
// the second for open.
const (
	FallbackAllow Fallback = iota + 1 // calls pass and are not counted
	FallbackDeny                      // calls are rejected with ReasonUnavailable
)

// fallback is a Handle around a storage's. It decides where the storage does
// not, so that no error of a storage reaches a call, and tells when that begins
// and ends. It sees to admissions and reports; Control never falls back.
type fallback struct {
	engine.Handle
	name string
	deny bool
	sink func(Event)

	// failing holds one bit for each operation whose last attempt failed: a
	// read-only server admits and takes no results, and must not seem to
	// recover with each admission. Changed under mu.
	failing atomic.Uint32
	mu      sync.Mutex
	since   int64 // when failing became nonzero
}

const (
	acquires uint32 = 1 << iota
	reports
)

// Acquire admits or denies where the storage failed. An admission of its own is
// the zero Ticket: it is not counted, now or later.
func (f *fallback) Acquire(ctx context.Context) (Ticket, error) {
	t, err := f.Handle.Acquire(ctx)
	if err == nil {
		f.answered(acquires)
		return t, nil
	}
	if _, rejected := err.(*RejectedError); rejected {
		f.answered(acquires)
		return Ticket{}, err
	}
	failure, err := f.judge(ctx, "acquire", err)
	if err != nil {
		return Ticket{}, err
	}
	f.failed(acquires, failure)
	if !f.deny {
		return Ticket{}, nil
	}
	s := f.Handle.Status()
	return Ticket{}, engine.NewRejected(RejectedError{
		Name: f.name, Reason: ReasonUnavailable, State: s.State, Mode: s.Mode, Err: failure,
	}, 0, nil)
}

// Report tells of an outage that begins or ends with it.
func (f *fallback) Report(ctx context.Context, t Ticket, o Outcome, at int64, d *engine.Detail) (stale bool, err error) {
	stale, err = f.Handle.Report(ctx, t, o, at, d)
	if err == nil {
		f.answered(reports)
		return stale, nil
	}
	// The caller's context does not bound a report, so its end excuses nothing.
	failure, err := f.judge(context.Background(), "report", err)
	if err != nil {
		return false, err
	}
	f.failed(reports, failure)
	return false, failure
}

// Status adds whether the fallback decides.
func (f *fallback) Status() Status {
	s := f.Handle.Status()
	s.Degraded = f.failing.Load() != 0
	return s
}

// judge tells an error that is the storage's from those that are the caller's
// to have.
func (f *fallback) judge(ctx context.Context, op string, err error) (*StorageError, error) {
	if errors.Is(err, ErrStopped) {
		return nil, ErrStopped
	}
	var failure *StorageError
	if errors.As(err, &failure) {
		return failure, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return &StorageError{Class: ClassUnknown, Op: op, Name: f.name, Err: err}, nil
}

// failed notes that op failed, and tells of it if all was well.
func (f *fallback) failed(op uint32, err *StorageError) {
	if f.failing.Load()&op != 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing.Or(op) == 0 {
		f.since = f.Now()
		f.sink(Event{Kind: EventDegraded, Name: f.name, Err: err})
	}
}

// answered notes that op works, and tells of it if nothing else fails.
func (f *fallback) answered(op uint32) {
	if f.failing.Load()&op == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing.And(^op) == op {
		f.sink(Event{Kind: EventRestored, Name: f.name, Outage: time.Duration(f.Now() - f.since)})
	}
}
