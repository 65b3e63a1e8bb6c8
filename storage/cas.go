package storage

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// CAS keeps breakers in any [Store] that can compare and swap: it runs the
// machine of package engine on what it loads, and swaps in what comes out. So it
// has every feature that Redis has, at the price of two round trips a step. Make
// it with [NewCAS]. All methods are safe for concurrent use.
//
// What goroutines of one process do to one breaker at the same time shares one
// swap; a lone call waits for nothing. A race that is lost to another process is
// run again, until the bound of [WithTimeout]. A step that changes nothing, such
// as a rejection or an admission while closed, swaps nothing.
type CAS struct {
	store    Store
	clock    Clock // nil: the client's own
	timeout  time.Duration
	overdue  error // what a call gets that reached the bound
	reporter string
	zero     engine.Rules // of the zero policy, for commands by name
	random   func() int64
	start    time.Time
	guard    *guard
	background
	closed atomic.Bool
}

var (
	_ engine.Storage = (*CAS)(nil)
	_ engine.Pinger  = (*CAS)(nil)
)

// NewCAS returns a storage over the store, which stays the caller's and is never
// closed. It does not touch the store. If the store is a [Clock], times are the
// store's, else the client's own. The options are [WithTimeout] and
// [WithReporter]; names of breakers are the store's as they are, so fleets keep
// apart by a table or bucket of their own. The error names every fault of the
// arguments and matches engine.ErrInvalid.
func NewCAS(store Store, opts ...Option) (*CAS, error) {
	s, err := newSettings(opts)
	faults := []error{err}
	fault := func(format string) { faults = append(faults, fmt.Errorf(format+": %w", engine.ErrInvalid)) }
	if v := reflect.ValueOf(store); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		fault("redbreaker: the store is nil, check the error of what made it")
	}
	if s.namespace != nil {
		fault("redbreaker: WithNamespace names keys in Redis, give a custom store a table or bucket of its own")
	}
	if s.tag != nil {
		fault("redbreaker: WithColocation is about the slots of a Redis cluster, a custom store has none")
	}
	zero, _ := engine.Policy{}.Rules()
	c := &CAS{
		store:    store,
		timeout:  s.timeout,
		overdue:  overdue(s.timeout),
		reporter: s.reporter,
		zero:     zero,
		random:   random,
		start:    time.Now(),
	}
	c.clock, _ = store.(Clock)
	c.guard, err = newGuard(c.spawn)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	return c, nil
}

func overdue(timeout time.Duration) error {
	return fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded)
}

// Kind returns cas.
func (c *CAS) Kind() string { return "cas" }

// Close makes every further call fail with engine.ErrStopped, and waits for
// calls that their callers have already left, at most a little longer than the
// bound. The store stays open.
func (c *CAS) Close() error {
	c.closed.Store(true)
	patience := 2*c.timeout + time.Second
	if !c.stop(patience) {
		return fmt.Errorf("redbreaker: close: the store still holds calls after %v, it does not heed their contexts", patience)
	}
	return nil
}

// Bind returns a handle on the breaker of that name. It does no I/O. The error
// matches engine.ErrInvalid, or is engine.ErrStopped.
func (c *CAS) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	if c.closed.Load() {
		return nil, engine.ErrStopped
	}
	rules, invalid := p.Rules()
	if err := errors.Join(engine.CheckName(name), invalid); err != nil {
		return nil, err
	}
	return newCASHandle(c, name, rules, sink), nil
}

// Control applies a command by name, with the policy that the record keeps, or
// the zero policy. The errors are engine.ErrConflict, engine.ErrForced,
// engine.ErrStopped, the context's, a *engine.StorageError, or match
// engine.ErrInvalid.
func (c *CAS) Control(ctx context.Context, name string, cmd engine.Command) (engine.Snapshot, error) {
	if err := errors.Join(engine.CheckName(name), cmd.Validate()); err != nil {
		return engine.Snapshot{}, err
	}
	own := func(r *engine.Record) *engine.Rules {
		if rules, ok := r.Rules(); ok {
			return &rules
		}
		return &c.zero
	}
	return c.lane(name).control(ctx, cmd, own, nil)
}

// Inspect reads a record as it stands and writes nothing.
func (c *CAS) Inspect(ctx context.Context, name string) (s engine.Snapshot, err error) {
	if err := engine.CheckName(name); err != nil {
		return engine.Snapshot{}, err
	}
	err = c.lane(name).do(ctx, &op{
		what:  "inspect",
		apply: func(r *engine.Record, now int64) { s = r.Snapshot(name, now) },
	})
	if err != nil {
		return engine.Snapshot{}, err
	}
	return s, nil
}

// pinged is the name that Ping looks for; it need not be there.
const pinged = "redbreaker:ping"

// Ping tells whether the store answers, and its clock. It writes nothing. It
// returns nil, engine.ErrStopped, the context's error, or a *engine.StorageError.
func (c *CAS) Ping(ctx context.Context) error {
	err := c.lane(pinged).do(ctx, &op{what: "ping", apply: func(*engine.Record, int64) {}})
	var e *engine.StorageError
	if errors.As(err, &e) {
		e.Name = ""
	}
	return err
}

func (c *CAS) lane(name string) *lane { return &lane{cas: c, name: name} }
