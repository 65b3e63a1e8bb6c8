// Package cas keeps breakers in any [Store] that can compare and swap, such as a
// SQL database, etcd or Consul. It links no Redis client.
//
// A step loads the record, runs the machine of package engine on it, and swaps in
// the result if no other process changed the record meanwhile. So breakers decide
// and count as over Redis. A step that changes the record costs two round trips.
// Only package storage has namespaces and pushes transitions to other processes.
//
// Concurrent operations of one process on one breaker share a swap.
package cas

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
	"github.com/redbreaker/redbreaker/storage/internal/settings"
	"github.com/redbreaker/redbreaker/storage/internal/taskgroup"
	"github.com/redbreaker/redbreaker/storage/internal/timeout"
)

// Storage keeps breakers in a [Store]. Make it with [New]. All methods are safe
// for concurrent use.
//
// A lone call waits for nothing. A race that is lost to another process is run
// again, until the timeout. A step that changes nothing, such as a rejection or
// an admission while closed, swaps nothing.
type Storage struct {
	store      Store
	clock      Clock // nil: the client's own
	timeout    time.Duration
	timeoutErr error
	reporter   string
	observer   settings.StepObserver
	zeroRules  engine.Rules // of the zero policy, for commands by name
	random     func() int64
	start      time.Time
	guard      *guard.Guard
	tasks      taskgroup.Group
	scheduler  *engine.Scheduler
	closed     atomic.Bool
}

var (
	_ engine.Storage = (*Storage)(nil)
	_ engine.Pinger  = (*Storage)(nil)

	_ engine.Schedules = (*Storage)(nil)
)

// New returns a storage over the store, which stays the caller's and is never
// closed. It does not touch the store. If the store is a [Clock], times are the
// store's, else the client's own. Names of breakers are the store's as they are,
// so fleets keep apart by a table or bucket of their own. The error names every
// fault of the arguments and matches engine.ErrInvalid.
func New(store Store, opts ...Option) (*Storage, error) {
	o := options{settings.Default()}
	err := errors.Join(settings.Apply(&o, opts), o.Validate())
	if engine.IsNil(store) {
		err = errors.Join(err, engine.Invalid("the store is nil, check the error of what made it"))
	}
	zero, _ := engine.Policy{}.Rules()
	s := &Storage{
		store:      store,
		timeout:    o.Timeout,
		timeoutErr: timeout.Error(o.Timeout),
		reporter:   o.Reporter,
		observer:   o.Observer,
		zeroRules:  zero,
		random:     engine.Random,
		start:      time.Now(),
	}
	s.clock, _ = store.(Clock)
	s.scheduler = engine.NewScheduler(s.tasks.Spawn, s.timeout)
	var invalid error
	s.guard, invalid = guard.New(s.tasks.Spawn, judgeError)
	if err := errors.Join(err, invalid); err != nil {
		return nil, err
	}
	return s, nil
}

// judgeError counts a lost race as an answer: it says nothing against the store.
func judgeError(err error) engine.Outcome {
	if errors.Is(err, errContended) {
		return engine.Success
	}
	return guard.JudgeStorage(err)
}

// Kind returns cas.
func (s *Storage) Kind() string { return "cas" }

// Scheduler implements [engine.Schedules].
func (s *Storage) Scheduler() *engine.Scheduler { return s.scheduler }

// Close sends the outcomes that local views hold, for at most the timeout. Then it makes
// every further call fail with engine.ErrStopped, and waits for
// calls that their callers have already left, at most a little longer than the
// timeout. The store stays open.
func (s *Storage) Close() error {
	s.scheduler.Close()
	s.closed.Store(true)
	limit := 2*s.timeout + time.Second
	if !s.tasks.Stop(limit) {
		return fmt.Errorf("redbreaker: close: the store still holds calls after %v, let it return when their contexts end", limit)
	}
	return nil
}

// Bind returns a handle on the breaker of that name. It does no I/O. The error
// matches engine.ErrInvalid, or is engine.ErrStopped.
func (s *Storage) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	if s.closed.Load() {
		return nil, engine.ErrStopped
	}
	rules, invalid := p.Rules()
	if err := errors.Join(engine.CheckName(name), invalid); err != nil {
		return nil, err
	}
	return newHandle(s, name, rules, sink), nil
}

// Control applies a command by name, with the policy that the record keeps, or
// the zero policy. The errors are engine.ErrConflict, engine.ErrForced,
// engine.ErrStopped, the context's, a *engine.StorageError, or match
// engine.ErrInvalid.
func (s *Storage) Control(ctx context.Context, name string, c engine.Command) (engine.Snapshot, error) {
	if err := errors.Join(engine.CheckName(name), c.Validate()); err != nil {
		return engine.Snapshot{}, err
	}
	recorded := func(r *engine.Record) *engine.Rules {
		if rules, ok := r.Rules(); ok {
			return &rules
		}
		return &s.zeroRules
	}
	return s.newSwapQueue(name).runControl(ctx, c, recorded, nil)
}

// Inspect returns the record as it is and writes nothing.
func (s *Storage) Inspect(ctx context.Context, name string) (snapshot engine.Snapshot, err error) {
	if err := engine.CheckName(name); err != nil {
		return engine.Snapshot{}, err
	}
	err = s.newSwapQueue(name).runOperation(ctx, &operation{
		op:    "inspect",
		apply: func(r *engine.Record, now int64) { snapshot = r.Snapshot(name, now) },
	})
	if err != nil {
		return engine.Snapshot{}, err
	}
	return snapshot, nil
}

// pingName is the record that Ping loads; it need not exist.
const pingName = "redbreaker:ping"

// Ping asks the store and its clock. It writes nothing. It returns nil,
// engine.ErrStopped, the context's error, or a *engine.StorageError.
func (s *Storage) Ping(ctx context.Context) error {
	err := s.newSwapQueue(pingName).runOperation(ctx, &operation{op: "ping", apply: func(*engine.Record, int64) {}})
	var e *engine.StorageError
	if errors.As(err, &e) {
		e.Name = ""
	}
	return err
}
