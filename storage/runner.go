package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
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

	background // calls whose callers may have left, and trials

	loaders nodes[scriptAt, *loader]
	senders nodes[string, *sender]
	// shares tells that calls may leave together: to the one server there is, or to
	// a node that the topology tells.
	shares bool

	topology *topology
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
		r.shares = true
	case *redis.ClusterClient:
		r.inline, read = c.Options().ContextTimeoutEnabled, c.Options().ReadTimeout
		r.shares = true
	}
	if read > 0 {
		r.patience = read
	}
	r.topology = newTopology(client, r.spawn)
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
// executed is known whatever error came back; and what nobody waits for any more
// is not written.
type attempt struct {
	state atomic.Int32
	among bool       // its command leaves with others
	cmd   *redis.Cmd // what is sent
}

// The states of an attempt.
const (
	waiting int32 = iota // nothing was written that the server has not answered
	claimed              // a command is about to be written among others
	sent                 // a command was written
	left                 // the caller has its answer: nothing more is written
)

// again lets the next command out, after the server answered that it did not
// execute the last one.
func (a *attempt) again() {
	a.among = false
	a.state.CompareAndSwap(sent, waiting)
}

// claim takes the attempt into a pipeline, unless its caller has left. From here
// on it is written, whether or not the caller leaves: a command that refused to
// be would keep all the others from the server.
func (a *attempt) claim() bool {
	a.among = true
	return a.state.CompareAndSwap(waiting, claimed)
}

// underway reports whether a command was written, or is about to be.
func (a *attempt) underway() bool {
	is := a.state.Load()
	return is == claimed || is == sent
}

// shipped tells that the pipeline is through. What it did not come to write was
// not sent.
func (a *attempt) shipped() { a.state.CompareAndSwap(claimed, waiting) }

// leave ends the attempt. It reports whether the last command can have been
// executed.
func (a *attempt) leave() bool {
	was := a.state.Swap(left)
	return was == sent || was == claimed
}

var errLeft = errors.New("redbreaker: nobody waits for this command any more, it was not sent")

// argument is a script's name or source, as one attempt sends it.
type argument struct {
	*attempt
	text string
}

// MarshalBinary is called when the command is written, again if a cluster sends
// it elsewhere.
func (a argument) MarshalBinary() ([]byte, error) {
	// go-redis keeps a redirection as the error of a command that it has sent on in
	// a pipeline, even if that reply is lost; but then nobody knows its fate.
	a.cmd.SetErr(nil)
	if a.state.CompareAndSwap(waiting, sent) || a.state.CompareAndSwap(claimed, sent) {
		return []byte(a.text), nil
	}
	if a.state.Load() == left && !a.among {
		return nil, errLeft
	}
	return []byte(a.text), nil
}

// String is the argument as a client's hooks print it.
func (a argument) String() string { return a.text }

// script runs a script on one key, within the bound from since or the caller's
// own. sent tells whether it can have been executed if there is an error.
func (r *runner) script(ctx context.Context, since time.Time, s *scripts.Script, key string, args []any) (reply any, sent bool, err error) {
	a := &attempt{}
	reply, err = r.bounded(ctx, since, func(ctx context.Context) (any, error) { return r.routed(ctx, a, s, key, args) })
	return reply, a.leave(), err
}

// bounded runs f and comes back when it does, when the bound from since is
// reached or when the caller's own deadline is. If the caller cancels before that, a client that
// keeps to deadlines by itself may still wait for the answer, up to the bound.
func (r *runner) bounded(ctx context.Context, since time.Time, f func(context.Context) (any, error)) (any, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, since.Add(r.timeout), r.overdue)
	defer cancel() // not before the answer is taken, or it would look overdue
	if r.inline {
		reply, err := f(ctx)
		return reply, because(ctx, err)
	}
	// go-redis would wait for its own, longer timeouts: the caller leaves.
	type answer struct {
		reply any
		err   error
	}
	done := make(chan answer, 1)
	if !r.spawn(func() {
		reply, err := f(ctx)
		done <- answer{reply, because(ctx, err)}
	}) {
		return nil, engine.ErrStopped
	}
	select {
	case a := <-done:
		return a.reply, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// because puts the bound before the error of a call that it ended.
func because(ctx context.Context, err error) error {
	if err == nil || over(ctx) == nil {
		return err
	}
	cause := context.Cause(ctx)
	if cause == nil {
		cause = errOverdue
	}
	return fmt.Errorf("%w (%w)", cause, err)
}

// errOverdue is what a call gets whose context is a moment late.
var errOverdue = fmt.Errorf("no answer within the time bound: %w", context.DeadlineExceeded)

// over is a context's Err that does not lag: go-redis sets a connection's
// deadline to the context's, and either timer may be the first.
func over(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// call sends EVALSHA; a server that does not know the script is given it, and
// asked once more. Where that does not help, because the user may not load
// scripts or somebody flushes them, the call itself brings the script along.
// NOSCRIPT means that nothing was executed.
func (r *runner) call(ctx context.Context, a *attempt, s *scripts.Script, key string, args []any) (any, error) {
	l := r.loader(s, key)
	known := l.loads.Load()
	reply, err := r.send(ctx, a, "evalsha", s.SHA, key, args)
	if err == nil || !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return reply, err
	}
	a.again()
	if r.load(ctx, l, known) == nil {
		reply, err = r.send(ctx, a, "evalsha", s.SHA, key, args)
		if !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return reply, err
		}
		a.again()
	}
	return r.send(ctx, a, "eval", s.Source, key, args)
}

func (r *runner) send(ctx context.Context, a *attempt, verb, script, key string, args []any) (any, error) {
	all := make([]any, 0, 4+len(args))
	all = append(append(all, verb, argument{a, script}, 1, key), args...)
	cmd := command{redis.NewCmd(ctx, all...)}
	a.cmd = cmd.Cmd
	if s := r.sender(key); s != nil && verb == "evalsha" {
		return s.process(ctx, a, cmd)
	}
	_ = r.client.Process(ctx, cmd)
	return cmd.Result()
}

// info asks the server about itself.
func (r *runner) info(ctx context.Context) (string, error) {
	text, err := r.bounded(ctx, time.Now(), func(ctx context.Context) (any, error) { return r.client.Info(ctx, "server").Result() })
	if err != nil {
		return "", err
	}
	return text.(string), nil
}

// loader gives one script to one server, once however many find it missing.
type loader struct {
	script *scripts.Script
	server redis.Scripter
	loads  atomic.Int64 // that have ended

	mu   sync.Mutex
	done chan struct{} // closed when the load under way ends; nil while there is none
	err  error         // of the last load
}

// load returns when the script was loaded since there were known loads: by
// somebody else meanwhile, by one who is at it, or else by this caller.
func (l *loader) load(ctx context.Context, known int64) error {
	l.mu.Lock()
	if l.loads.Load() != known {
		defer l.mu.Unlock()
		return l.err
	}
	done := l.done
	if done == nil {
		l.done = make(chan struct{})
		l.mu.Unlock()
		return l.ended(l.server.ScriptLoad(ctx, l.script.Source).Err())
	}
	l.mu.Unlock()
	select {
	case <-done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended tells all who wait how the load ended.
func (l *loader) ended(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	l.loads.Add(1)
	close(l.done)
	l.done = nil
	return err
}

// stop lets no further call begin. It returns when none is under way any more, or
// the client should have given up on it.
func (r *runner) stop() error {
	if !r.background.stop(r.patience) {
		return fmt.Errorf("redbreaker: close: the client still holds calls after %v, its timeouts are longer", r.patience)
	}
	return nil
}
