package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/enrol"
	"github.com/redbreaker/redbreaker/storage/internal/settings"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
	"github.com/redbreaker/redbreaker/storage/internal/watch"
)

// Redis keeps breakers in a Redis, Valkey or cluster of them. Make it with
// [NewRedis]. All methods are safe for concurrent use.
type Redis struct {
	transport *transport.Transport
	keys      cluster.Keys
	reporter  string
	observer  settings.StepObserver
	zeroRules engine.Rules // of the zero policy, for commands by name
	start     time.Time
	closed    atomic.Bool
	index     *enrol.Enroller
	scheduler *engine.Scheduler
	watcher   *watch.Watcher // nil without WithWatch
	client    redis.UniversalClient

	mu       sync.Mutex
	watchers map[*watch.Watcher]bool // of calls of Watch
}

var (
	_ engine.Storage = (*Redis)(nil)
	_ engine.Pinger  = (*Redis)(nil)

	_ engine.ManyInspector = (*Redis)(nil)
	_ engine.Lister        = (*Redis)(nil)
	_ engine.Watcher       = (*Redis)(nil)
	_ engine.Schedules     = (*Redis)(nil)
)

// NewRedis returns a storage over the client, which stays the caller's and is
// never closed. It does not touch the network: a service starts while Redis is
// down. The error names every fault of the arguments and matches
// engine.ErrInvalid.
//
// A client made with ContextTimeoutEnabled gives up on a reply together with the
// caller; without it, go-redis keeps a connection for its own read timeout.
func NewRedis(client redis.UniversalClient, opts ...Option) (*Redis, error) {
	o, err := newOptions(opts)
	keys, invalid := o.newKeys()
	err = errors.Join(err, invalid)
	if engine.IsNil(client) {
		err = errors.Join(engine.Invalid("the Redis client is nil, make one with redis.NewUniversalClient"), err)
	}
	if err != nil {
		return nil, err
	}
	zero, err := engine.Policy{}.Rules()
	if err != nil {
		return nil, err
	}
	t, err := transport.New(client, o.underlying, o.Timeout)
	if err != nil {
		return nil, err
	}
	r := &Redis{transport: t, keys: keys, reporter: o.Reporter, observer: o.Observer, zeroRules: zero, start: time.Now(), client: client, watchers: map[*watch.Watcher]bool{}}
	r.index = enrol.New(keys, t, r.start)
	r.scheduler = engine.NewScheduler(t.Spawn, t.Timeout())
	if o.watch {
		r.watcher = watch.New(client, t, keys, r.start)
	}
	return r, nil
}

// Kind returns redis.
func (r *Redis) Kind() string { return "redis" }

// Scheduler implements [engine.Schedules].
func (r *Redis) Scheduler() *engine.Scheduler { return r.scheduler }

// Close sends the outcomes that local views hold, for at most the timeout. Then it
// makes every further call fail with engine.ErrStopped, and waits for calls that
// their callers have already left, at most for the client's ReadTimeout (5 s by
// default) if the server hangs. It returns an error if the client still holds calls
// then. A second Close does nothing. The client stays open; close it after the storage.
func (r *Redis) Close() error {
	r.scheduler.Close()
	r.closed.Store(true)
	for w := range r.takeWatchers() {
		w.Close()
	}
	// Watchers come first, so that no event is delivered while the rest ends. The index may
	// still send what a command has entered, so the transport closes last.
	r.index.Close()
	return r.transport.Close()
}

// Bind returns a handle on the breaker of that name. It does no I/O. Operations
// on one handle that come while another is in flight share the next step, within
// the timeout of the first of them; sink gets events in the order of steps. The
// error matches engine.ErrInvalid, or is engine.ErrStopped.
func (r *Redis) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	if r.closed.Load() {
		return nil, engine.ErrStopped
	}
	key, err := r.keys.Key(name)
	rules, invalid := p.Rules()
	if err = errors.Join(err, invalid); err != nil {
		return nil, err
	}
	return newHandle(r, name, key, rules, sink), nil
}

// Control applies a command by name, with the policy that the record keeps, or
// the zero policy. The errors are engine.ErrConflict, engine.ErrForced,
// engine.ErrStopped, the context's, a *engine.StorageError, or match
// engine.ErrInvalid.
func (r *Redis) Control(ctx context.Context, name string, c engine.Command) (engine.Snapshot, error) {
	key, err := r.keys.Key(name)
	if err = errors.Join(err, c.Validate()); err != nil {
		return engine.Snapshot{}, err
	}
	reply, err := r.controlRecord(ctx, time.Now(), name, key, scripts.ControlArgs(&r.zeroRules, true, engine.Random(), c))
	s := reply.snapshot
	if err == nil {
		r.enterAfterCommand(key, &s)
	}
	return s, err
}

// enterAfterCommand lists a breaker after a command: nothing else may use it.
func (r *Redis) enterAfterCommand(key string, s *engine.Snapshot) {
	rules := r.zeroRules
	if s.Policy != nil {
		if own, err := s.Policy.Rules(); err == nil {
			rules = own
		}
	}
	// The record outlives the mode or the open period that the command began, and so must
	// its entry. A mode without an end has an entry without one.
	ttl := enrol.TTL(&rules) + 2*engine.CeilMillis(max(s.ModeFor, s.RetryAfter))
	if s.Mode != engine.ModeAuto && s.ModeFor == 0 {
		ttl = 0
	}
	r.index.EnterSurely(key, ttl)
}

// commandResult is the result of a command. A command that is in conflict, or
// refused in a forced mode, has one too.
type commandResult struct {
	snapshot    engine.Snapshot
	transitions []engine.Transition
	unpublished bool // the server refused to publish a transition
}

func (r *Redis) controlRecord(ctx context.Context, since time.Time, name, key string, args []any) (commandResult, error) {
	reply, err := r.runCall(ctx, since, &transport.Call{Op: "control", Name: name, Key: key, Script: scripts.Control, Args: args})
	if err != nil {
		return commandResult{}, err
	}
	c, err := scripts.DecodeControl(reply)
	if err != nil && !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrForced) {
		return commandResult{}, newReplyError("control", name, err)
	}
	return commandResult{c.Record.Snapshot(name, c.NowMS), c.Transitions, c.Unpublished}, err
}

// Inspect returns the record as it is and writes nothing.
func (r *Redis) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	key, err := r.keys.Key(name)
	if err != nil {
		return engine.Snapshot{}, err
	}
	reply, err := r.runCall(ctx, time.Now(), &transport.Call{Op: "inspect", Name: name, Key: key, Script: scripts.Inspect, Repeatable: true})
	if err != nil {
		return engine.Snapshot{}, err
	}
	return decodeSnapshot(name, reply)
}

func decodeSnapshot(name string, reply any) (engine.Snapshot, error) {
	record, now, err := scripts.DecodeInspect(reply)
	if err != nil {
		return engine.Snapshot{}, newReplyError("inspect", name, err)
	}
	return record.Snapshot(name, now), nil
}

// runCall sends a call past the guard: what an operator asks for is always tried.
func (r *Redis) runCall(ctx context.Context, since time.Time, c *transport.Call) (any, error) {
	if r.closed.Load() {
		return nil, engine.ErrStopped
	}
	return r.transport.Run(ctx, since, r.transport.Node(c.Key), c)
}

// newReplyError returns the error of a reply that cannot be used. A key of others and
// a clock out of range were refused before anything was written, so their classes say
// that the operation had no effect. Of any other reply, such as one that a proxy made
// up, nothing is known.
func newReplyError(op, name string, err error) error {
	class := engine.ClassUnknown
	switch {
	case errors.Is(err, engine.ErrForeignKey), errors.Is(err, engine.ErrNewerLayout):
		class = engine.ClassForeign
	case errors.Is(err, engine.ErrClock):
		class = engine.ClassRefused
	}
	return &engine.StorageError{Class: class, Op: op, Name: name, Err: err}
}
