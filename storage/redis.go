package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// Redis keeps breakers in a Redis, Valkey or cluster of them. Make it with
// [NewRedis]. All methods are safe for concurrent use.
type Redis struct {
	run      *runner
	guards   *guards
	keys     cluster.Keys
	reporter string
	zero     engine.Rules // of the zero policy, for commands by name
	start    time.Time
	closed   atomic.Bool
}

var (
	_ engine.Storage = (*Redis)(nil)
	_ engine.Pinger  = (*Redis)(nil)

	_ engine.ManyInspector = (*Redis)(nil)
)

// NewRedis returns a storage over the client, which stays the caller's and is
// never closed. It does not touch the network: a service starts while Redis is
// down. The error names every fault of the arguments and matches
// engine.ErrInvalid.
//
// A client made with ContextTimeoutEnabled lets a lone call run in its caller's
// goroutine.
func NewRedis(client redis.UniversalClient, opts ...Option) (*Redis, error) {
	s, err := newSettings(opts)
	keys, invalid := s.keys()
	err = errors.Join(err, invalid)
	if client == nil || reflect.ValueOf(client).Kind() == reflect.Pointer && reflect.ValueOf(client).IsNil() {
		err = errors.Join(fmt.Errorf("redbreaker: the Redis client is nil, make one with redis.NewUniversalClient: %w", engine.ErrInvalid), err)
	}
	if err != nil {
		return nil, err
	}
	zero, err := engine.Policy{}.Rules()
	if err != nil {
		return nil, err
	}
	run := newRunner(client, s.timeout)
	guards, err := newGuards(run.topology, run.spawn)
	if err != nil {
		return nil, err
	}
	return &Redis{
		run:      run,
		guards:   guards,
		keys:     keys,
		reporter: s.reporter,
		zero:     zero,
		start:    time.Now(),
	}, nil
}

// Kind returns redis.
func (r *Redis) Kind() string { return "redis" }

// Close makes every further call fail with engine.ErrStopped, and waits for
// calls that their callers have already left, at most for the client's own read
// timeout. The client stays open.
func (r *Redis) Close() error {
	if !r.closed.Swap(true) {
		r.run.topology.stop()
	}
	return r.run.stop()
}

// Bind returns a handle on the breaker of that name. It does no I/O. Operations
// on one handle that come while another is under way share the next step, within
// the time bound of the first of them; sink gets events in the order of steps.
// The error matches engine.ErrInvalid, or is engine.ErrStopped.
func (r *Redis) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	if r.closed.Load() {
		return nil, engine.ErrStopped
	}
	key, err := r.keys.Key(name)
	rules, invalid := p.Rules()
	if err = errors.Join(err, invalid); err != nil {
		return nil, err
	}
	return newRedisHandle(r, name, key, rules, sink), nil
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
	s, _, err := r.control(ctx, time.Now(), name, key, scripts.ControlArgs(&r.zero, true, random(), c))
	return s, err
}

func (r *Redis) control(ctx context.Context, since time.Time, name, key string, args []any) (engine.Snapshot, []engine.Transition, error) {
	reply, err := r.do(ctx, since, "control", name, key, scripts.Control, args)
	if err != nil {
		return engine.Snapshot{}, nil, err
	}
	record, now, moves, err := scripts.DecodeControl(reply)
	if err != nil && !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrForced) {
		return engine.Snapshot{}, nil, refused("control", name, err)
	}
	return record.Snapshot(name, now), moves, err
}

// Inspect reads a record as it stands and writes nothing.
func (r *Redis) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	key, err := r.keys.Key(name)
	if err != nil {
		return engine.Snapshot{}, err
	}
	reply, err := r.do(ctx, time.Now(), "inspect", name, key, scripts.Inspect, nil)
	if err != nil {
		return engine.Snapshot{}, err
	}
	record, now, err := scripts.DecodeInspect(reply)
	if err != nil {
		return engine.Snapshot{}, refused("inspect", name, err)
	}
	return record.Snapshot(name, now), nil
}

// do runs a script within the time bound, counted from since. The caller's own end
// is the context's error; anything else is a *engine.StorageError.
func (r *Redis) do(ctx context.Context, since time.Time, op, name, key string, s *scripts.Script, args []any) (any, error) {
	if r.closed.Load() {
		return nil, engine.ErrStopped
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reply, sent, err := r.run.script(ctx, since, s, key, args)
	if err == nil || errors.Is(err, redis.Nil) { // a reply that is null: whoever reads it says what is wrong
		r.run.topology.answered()
		return reply, nil
	}
	if own := over(ctx); own != nil {
		return nil, own
	}
	if errors.Is(err, engine.ErrStopped) {
		return nil, engine.ErrStopped
	}
	r.run.topology.failed(err)
	return nil, &engine.StorageError{Class: classify(err, sent), Op: op, Name: name, Err: err}
}

// refused is the error of a reply that says no.
func refused(op, name string, err error) error {
	class := engine.ClassUnknown
	if errors.Is(err, engine.ErrForeignKey) || errors.Is(err, engine.ErrNewerLayout) {
		class = engine.ClassForeign
	}
	return &engine.StorageError{Class: class, Op: op, Name: name, Err: err}
}

// random is a step's randomness: an integer below 2^20.
func random() int64 { return int64(rand.Uint32N(1 << 20)) }
