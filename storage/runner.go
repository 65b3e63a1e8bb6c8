package storage

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
)

// runner sends scripts: each at most once, each within the time bound.
type runner struct {
	client  redis.UniversalClient
	timeout time.Duration
	overdue error // what a call gets that reached the bound
	// inline tells that the client keeps to a context's deadline by itself.
	inline bool
	// patience is how long the client may hold on to a call that was left.
	patience time.Duration

	mu    sync.Mutex
	left  int           // calls under way whose callers may have left
	idle  chan struct{} // closed when left falls to 0; nil while nobody waits
	loads sync.Map      // SHA to *load
}

func newRunner(client redis.UniversalClient, timeout time.Duration) *runner {
	r := &runner{
		client:   client,
		timeout:  timeout,
		overdue:  fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded),
		patience: 5 * time.Second,
	}
	var read time.Duration
	switch c := client.(type) {
	case *redis.Client:
		r.inline, read = c.Options().ContextTimeoutEnabled, c.Options().ReadTimeout
	case *redis.ClusterClient:
		r.inline, read = c.Options().ContextTimeoutEnabled, c.Options().ReadTimeout
	}
	if read > 0 {
		r.patience = read
	}
	return r
}

// command is a script call that go-redis must not send twice: the first may have
// had its effect though its reply was lost.
type command struct{ *redis.Cmd }

// NoRetry tells go-redis to send the command once.
func (c command) NoRetry() bool { return true }

// Clone keeps the command what it is where go-redis copies it.
func (c command) Clone() redis.Cmder {
	return command{c.Cmd.Clone().(*redis.Cmd)}
}

// attempt is one operation's way to the server. It is the first argument of each
// of its commands: go-redis asks for an argument's bytes when it writes the
// command to a connection, and not before, so whether an operation can have been
// executed is known whatever error came back.
type attempt struct {
	sent atomic.Bool
}

// argument is a script's name or source, as one attempt sends it.
type argument struct {
	*attempt
	text string
}

// MarshalBinary is called when the command is written.
func (a argument) MarshalBinary() ([]byte, error) {
	a.sent.Store(true)
	return []byte(a.text), nil
}

// String is the argument as a client's hooks print it.
func (a argument) String() string { return a.text }

// script runs a script on one key, within the bound or the caller's own. sent
// tells whether it can have been executed if there is an error.
func (r *runner) script(ctx context.Context, s *scripts.Script, key string, args []any) (reply any, sent bool, err error) {
	a := &attempt{}
	reply, err = r.bounded(ctx, func(ctx context.Context) (any, error) { return r.call(ctx, a, s, key, args) })
	return reply, a.sent.Load(), err
}

// bounded runs f and comes back when it does, when the bound is reached or when
// the caller's own context ends.
func (r *runner) bounded(ctx context.Context, f func(context.Context) (any, error)) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, r.overdue)
	if r.inline {
		defer cancel()
		reply, err := f(ctx)
		return reply, because(ctx, err)
	}
	// go-redis would wait for its own, longer timeouts: the caller leaves.
	type answer struct {
		reply any
		err   error
	}
	done := make(chan answer, 1)
	r.spawn(func() {
		defer cancel()
		reply, err := f(ctx)
		done <- answer{reply, because(ctx, err)}
	})
	select {
	case a := <-done:
		return a.reply, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// because puts the bound before the error of a call that it ended.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

// call sends EVALSHA; a server that does not know the script is given it, and
// asked once more. Where that does not help, because the user may not load
// scripts or somebody flushes them, the call itself brings the script along.
// NOSCRIPT means that nothing was executed.
func (r *runner) call(ctx context.Context, a *attempt, s *scripts.Script, key string, args []any) (any, error) {
	reply, err := r.send(ctx, a, "evalsha", s.SHA, key, args)
	if !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return reply, err
	}
	if r.load(ctx, s) == nil {
		reply, err = r.send(ctx, a, "evalsha", s.SHA, key, args)
		if !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return reply, err
		}
	}
	return r.send(ctx, a, "eval", s.Source, key, args)
}

func (r *runner) send(ctx context.Context, a *attempt, verb, script, key string, args []any) (any, error) {
	a.sent.Store(false)
	all := make([]any, 0, 4+len(args))
	all = append(append(all, verb, argument{a, script}, 1, key), args...)
	cmd := command{redis.NewCmd(ctx, all...)}
	_ = r.client.Process(ctx, cmd)
	return cmd.Result()
}

// info asks the server about itself.
func (r *runner) info(ctx context.Context) (string, error) {
	text, err := r.bounded(ctx, func(ctx context.Context) (any, error) { return r.client.Info(ctx, "server").Result() })
	if err != nil {
		return "", err
	}
	return text.(string), nil
}

// load is one loading of a script, shared by all who found it missing.
type load struct {
	done chan struct{}
	err  error
}

// load gives a script to the server, once however many ask.
func (r *runner) load(ctx context.Context, s *scripts.Script) error {
	mine := &load{done: make(chan struct{})}
	other, under := r.loads.LoadOrStore(s.SHA, mine)
	if under {
		l := other.(*load)
		select {
		case <-l.done:
			return l.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	mine.err = r.client.ScriptLoad(ctx, s.Source).Err()
	r.loads.Delete(s.SHA)
	close(mine.done)
	return mine.err
}

// spawn runs f beside the caller; wait knows of it.
func (r *runner) spawn(f func()) {
	r.begin()
	go func() {
		defer r.end()
		f()
	}()
}

func (r *runner) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left++
}

func (r *runner) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left--
	if r.left == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// wait returns when no call is under way any more, or the client should have
// given up on it.
func (r *runner) wait() error {
	r.mu.Lock()
	if r.left == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-time.After(r.patience):
		return fmt.Errorf("redbreaker: close: the client still holds calls after %v, its timeouts are longer", r.patience)
	}
}
