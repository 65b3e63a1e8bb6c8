// Package transport is the road to Redis servers: it sends scripts, each at most
// once and each within the timeout, whatever the client's settings are.
//
// A call passes these stations. Transport.Node finds the server that holds the
// key; its guard is asked by the storage. Transport.Run bounds the call by the
// timeout (timeout.go), follows redirects of a cluster (redirect.go), sends the
// script by its hash and loads it where it is missing (script_loader.go), and
// joins calls to the same server into pipelines (pipeline.go). The attempt
// (attempt.go) records whether the server can have executed the call, from which
// the class of its error follows (class.go). The cluster's map of slots is kept up
// to date in cluster.go.
package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
	"github.com/redbreaker/redbreaker/storage/internal/taskgroup"
	"github.com/redbreaker/redbreaker/storage/internal/timeout"
)

// Transport sends scripts to a Redis server or cluster. All methods are safe for
// concurrent use.
type Transport struct {
	client     redis.UniversalClient
	timeout    time.Duration
	timeoutErr error
	// honorsDeadlines: the client ends a call at its context's deadline.
	honorsDeadlines bool
	// closeLimit is how long the client may hold on to a call whose caller left.
	closeLimit time.Duration

	tasks   taskgroup.Group // calls whose callers may have left, trials, the cluster's upkeep
	cluster *clusterMap     // nil for a single server

	// single is the only server, and a cluster as long as its map is not known.
	single *Node
	nodes  nodes
}

// Call is a script call on one key.
type Call struct {
	Op, Name string // of the operation and the breaker, in errors
	Key      string
	Script   *scripts.Script
	Args     []any
}

// New returns a transport over the client, which it never closes. It does no I/O.
func New(client redis.UniversalClient, limit time.Duration) (*Transport, error) {
	t := &Transport{
		client:     client,
		timeout:    limit,
		timeoutErr: timeout.Error(limit),
		closeLimit: 5 * time.Second,
	}
	var readTimeout time.Duration
	switch c := client.(type) {
	case *redis.Client:
		t.honorsDeadlines, readTimeout = c.Options().ContextTimeoutEnabled, c.Options().ReadTimeout
	case *redis.ClusterClient:
		t.honorsDeadlines, readTimeout = c.Options().ContextTimeoutEnabled, c.Options().ReadTimeout
	}
	if readTimeout > 0 {
		t.closeLimit = readTimeout
	}
	t.cluster = newClusterMap(client, t.tasks.Spawn)
	g, err := guard.New(t.tasks.Spawn, judge)
	if err != nil {
		return nil, err
	}
	t.single = &Node{guard: g, server: client}
	if _, ok := client.(*redis.Client); ok {
		t.single.pipeline = &pipeline{transport: t}
	}
	return t, nil
}

// Timeout is the longest that a call takes.
func (t *Transport) Timeout() time.Duration { return t.timeout }

// HonorsDeadlines reports whether the client ends a call at its context's
// deadline, so that a call can run in its caller's goroutine.
func (t *Transport) HonorsDeadlines() bool { return t.honorsDeadlines }

// Spawn runs f in a goroutine that Close waits for. It returns false, and does
// nothing, after Close.
func (t *Transport) Spawn(f func()) bool { return t.tasks.Spawn(f) }

// Node returns the server that holds the key, as far as the client knows. It does
// no I/O. A caller resolves it once, and uses it for the guard and for Run: if
// slots move meanwhile, a call must not ask one server's guard and then go to
// another.
func (t *Transport) Node(key string) *Node {
	master := t.cluster.master(key)
	if master == nil {
		return t.single
	}
	return t.nodes.get(master, func() *Node {
		g, err := guard.New(t.tasks.Spawn, judge)
		if err != nil { // not for a policy that was valid before
			g = t.single.guard
		}
		return &Node{guard: g, server: master, pipeline: &pipeline{transport: t}}
	})
}

// Run sends a call to the node within the timeout, which counts from since. The
// errors are engine.ErrStopped after Close, the context's, or a
// *engine.StorageError. A null reply is nil.
func (t *Transport) Run(ctx context.Context, since time.Time, node *Node, c *Call) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := &attempt{}
	reply, err := t.limit(ctx, since, func(ctx context.Context) (any, error) { return t.callRedirected(ctx, a, node, c) })
	executable := a.leave()
	if err == nil || errors.Is(err, redis.Nil) {
		t.cluster.recordSuccess()
		return reply, nil
	}
	if callerErr := timeout.Ended(ctx); callerErr != nil {
		return nil, callerErr
	}
	return nil, t.newError(err, executable, c)
}

// newError classifies the error of a call.
func (t *Transport) newError(err error, executable bool, c *Call) error {
	if errors.Is(err, engine.ErrStopped) {
		return engine.ErrStopped
	}
	t.cluster.recordFailure(err)
	if !executable && errors.Is(err, context.DeadlineExceeded) {
		// go-redis dials several times and gives its last error only after that.
		err = fmt.Errorf("no connection to the server, a client with DialerRetries 1 returns the dial error: %w", err)
	}
	return &engine.StorageError{Class: classify(err, executable), Op: c.Op, Name: c.Name, Err: err}
}

// callScript sends EVALSHA. A server that does not know the script is given it and
// asked once more. If that does not help, because the user may not load scripts or
// they are flushed again and again, the call itself brings the script along.
// NOSCRIPT means that nothing was executed.
func (t *Transport) callScript(ctx context.Context, a *attempt, node *Node, c *Call) (any, error) {
	l := node.loaderOf(c.Script)
	known := l.loads.Load()
	reply, err := t.send(ctx, a, node, "evalsha", c)
	if err == nil || !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return reply, err
	}
	a.retry()
	if t.load(ctx, l, known) == nil {
		reply, err = t.send(ctx, a, node, "evalsha", c)
		if !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return reply, err
		}
		a.retry()
	}
	return t.send(ctx, a, node, "eval", c)
}

// load loads a script that was found missing, then gives it to the other nodes of
// a cluster.
func (t *Transport) load(ctx context.Context, l *scriptLoader, known int64) error {
	err := l.load(ctx, known)
	if err == nil {
		t.cluster.spreadScript(l.script)
	}
	return err
}

func (t *Transport) send(ctx context.Context, a *attempt, node *Node, verb string, c *Call) (any, error) {
	cmd := newCommand(ctx, a, verb, c)
	if node.pipeline != nil && verb == "evalsha" {
		return node.pipeline.send(ctx, a, cmd)
	}
	_ = t.client.Process(ctx, cmd)
	return cmd.Result()
}

// newCommand returns the command of a call, with the attempt as its first
// argument.
func newCommand(ctx context.Context, a *attempt, verb string, c *Call) command {
	script := c.Script.SHA
	if verb == "eval" {
		script = c.Script.Source
	}
	args := make([]any, 0, 4+len(c.Args))
	args = append(append(args, verb, scriptArg{a, script}, 1, c.Key), c.Args...)
	cmd := command{redis.NewCmd(ctx, args...)}
	a.cmd = cmd.Cmd
	return cmd
}

// Info returns what the server says about itself.
func (t *Transport) Info(ctx context.Context) (string, error) {
	text, err := t.limit(ctx, time.Now(), func(ctx context.Context) (any, error) { return t.client.Info(ctx, "server").Result() })
	if err != nil {
		return "", err
	}
	return text.(string), nil
}

// Close lets no further call begin. It returns when none runs any more, or when
// the client should have given up on it.
func (t *Transport) Close() error {
	t.cluster.stop()
	if !t.tasks.Stop(t.closeLimit) {
		return fmt.Errorf("redbreaker: close: the client still holds calls after %v, shorten its timeouts", t.closeLimit)
	}
	return nil
}
