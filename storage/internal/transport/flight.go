package transport

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// Flight is a call on its way to the server and back. Its caller waits in Await;
// everything else runs in goroutines of the transport, one at a time:
//
//	dispatchCommand  sends the command of the current stage, by itself (sendAlone) or
//	                 in the next pipeline of the node
//	proceed          looks at the reply: it ends the flight (finishFlight), or starts
//	                 the next stage after the script was loaded or the redirect was
//	                 followed
//
// Two sides share a flight. The transport's side owns stage, loads, cmd, reply and
// err; its goroutines follow one another by Spawn or by the lock of the pipeline, so
// these need no lock of their own. The caller's side reads reply and err only after
// finished is set. All that both sides touch at the same time is atomic: the state of
// the attempt and inDoubt, which decide whether a command may have been executed, and
// slot, which both give back.
//
// The caller may leave the flight at any time, and the client may hold on to the
// command for much longer. So nothing of the caller waits for the client, and nothing
// that the client still uses is used again.
type Flight struct {
	attempt
	transport *Transport
	ctx       *clientContext
	call      *Call
	node      *Node
	stage     stage
	deadline  time.Time // when it leaves; not for a trial
	trial     bool
	// loads is how often the script was loaded on the node when the command was
	// made, see scriptLoader.load.
	loads int64
	// resends is how often the command may still be sent again because its connection
	// was lost, see mayResend; 0 before the first time.
	resends int
	// inDoubt: one of the commands whose connection was lost may have been executed.
	inDoubt atomic.Bool
	// redirect is the last answer that another node serves the key.
	redirect atomic.Pointer[string]
	// slot is the pipeline in which the flight has a round trip of its own.
	slot atomic.Pointer[pipeline]

	signal   chan struct{} // has a value after the flight has ended or its time is over
	finished atomic.Bool   // reply and err are set
	reply    any
	err      error

	// The deadlines of the transport own these.
	wakesAt      time.Time
	linked       bool
	before, next *Flight
}

// stage is how the script is named in the next command.
type stage int

const (
	byHash stage = iota
	byHashAfterLoad
	bySource // where loading did not help
)

// newFlight returns a flight. The caller's values reach the client's hooks.
func (t *Transport) newFlight(ctx context.Context, since time.Time, node *Node, c *Call) *Flight {
	f := &Flight{transport: t, call: c, node: node, deadline: since.Add(t.timeout), signal: make(chan struct{}, 1)}
	f.since = since
	f.ctx = t.newContext(ctx, f)
	f.prepareCommand()
	return f
}

// prepareCommand makes the command of the current stage.
func (f *Flight) prepareCommand() {
	verb, script := "evalsha", f.call.Script.SHA
	if f.stage == bySource {
		verb, script = "eval", f.call.Script.Source
	}
	// Read before the command is sent: a load that ends after this and before NOSCRIPT
	// arrives is the one that the call needs, and must not be repeated.
	f.loads = f.node.loaderOf(f.call.Script).loads.Load()
	f.cmd = newCommand(f.ctx, &f.attempt, verb, script, f.call).Cmd
}

// newCommand returns the command of a call, with the attempt as its first
// argument.
func newCommand(ctx context.Context, a *attempt, verb, script string, c *Call) command {
	args := make([]any, 0, 4+len(c.Args))
	args = append(append(args, verb, scriptArg{a, script}, 1, c.Key), c.Args...)
	return command{redis.NewCmd(ctx, args...)}
}

// leavesAt returns when the caller leaves. A trial has no caller: its connection
// may take the client's dial timeout, but once its command is written, it waits
// for the reply as long as a call would.
func (f *Flight) leavesAt() time.Time {
	switch {
	case !f.trial:
		return f.deadline
	case f.state.Load() == sent:
		return f.since.Add(time.Duration(f.sentAfter.Load()) + f.transport.timeout)
	}
	return f.since.Add(f.transport.connectLimit)
}

// replyDeadline implements deadliner. The reply has the whole timeout, also of a command
// that was written late, because its connection had to be made first. The caller does
// not wait for so long, but the connection is there for the next call. With the caller's
// deadline it would be closed, and each call would have to make another one.
func (f *Flight) replyDeadline() (time.Time, bool) {
	if f.state.Load() != sent {
		return time.Time{}, false
	}
	return time.Now().Add(f.transport.timeout), true
}

// start sends the first command. It returns false if the storage is closed.
func (f *Flight) start() bool {
	// Before the command is handed to another goroutine, so that the caller has nothing left
	// to do but to wait for it.
	f.transport.deadlines.add(f, f.since.Add(f.transport.timeout))
	if p := f.node.pipeline; p != nil && p.enqueueCall(f) {
		return true // no goroutine is needed to wait for the pipeline
	}
	if f.transport.tasks.Spawn(f.sendAlone) {
		return true
	}
	f.abandon()
	return false
}

// abandon gives back what a flight holds that nothing waits for.
func (f *Flight) abandon() {
	f.transport.deadlines.remove(f)
	f.releaseSlot()
}

// waitForEnd returns true at the end of the flight, or when its time is over. It returns
// false if the context ends before that.
func (f *Flight) waitForEnd(ctx context.Context) bool {
	for {
		select {
		case <-f.signal:
		case <-ctx.Done():
			return false
		}
		if f.finished.Load() {
			f.transport.deadlines.remove(f)
			return true
		}
		at := f.leavesAt()
		if time.Until(at) <= 0 {
			return true
		}
		f.transport.deadlines.add(f, at) // a trial
	}
}

// wake ends a wait of the caller. One signal is enough for two reasons to wake: the
// caller looks at both.
func (f *Flight) wake() {
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

// sendAlone sends the command by itself.
func (f *Flight) sendAlone() {
	// Deferred, because the user's code may end the goroutine.
	defer func() {
		f.releaseSlot()
		f.proceed()
	}()
	if f.hasLeft() { // it may have left before it had the slot
		f.cmd.SetErr(callerLeftError{})
	} else {
		f.processCommand()
	}
}

// processCommand runs the client. A panic becomes an error: it must not end the
// process, and has no caller here that could recover it.
func (f *Flight) processCommand() {
	ended := errGoroutineEnded
	defer func() {
		if ended != nil {
			f.cmd.SetErr(ended)
		}
	}()
	defer recoverPanic(&ended)
	_ = f.transport.client.Process(f.ctx, command{f.cmd})
	ended = nil
}

// dispatchCommand sends the command of the current stage.
func (f *Flight) dispatchCommand() {
	if f.hasLeft() {
		f.finishFlight(nil, callerLeftError{})
		return
	}
	f.prepareCommand()
	// A source is large: it would hold up the commands of a pipeline.
	if p := f.node.pipeline; p != nil && f.stage != bySource && p.enqueueCall(f) {
		return
	}
	f.sendAlone()
}

// releaseSlot gives the flight's round trip to another one. It is called when the
// client returns and when the caller leaves, since the client may hold on to the
// call for longer.
func (f *Flight) releaseSlot() {
	// Swap makes the second of the two do nothing: a slot that is given back twice would let
	// more round trips go than maxInFlight.
	if p := f.slot.Swap(nil); p != nil {
		p.releaseSlot()
	}
}

// proceed looks at the reply. NOSCRIPT and a redirect mean that nothing was
// executed. A server that does not know the script is given it and asked once
// more; if that does not help, because the user may not load scripts or they are
// flushed again and again, the command brings the script along.
func (f *Flight) proceed() {
	reply, err := f.cmd.Result()
	switch {
	case err == nil:
	case redis.HasErrorPrefix(err, "NOSCRIPT") && f.stage != bySource:
		f.retry()
		f.nextCommand(f.loadScript)
		return
	case f.transport.cluster != nil && meaningOf(err).staleMap:
		f.retry()
		answer := err.Error()
		f.redirect.Store(&answer)
		f.nextCommand(f.followRedirect)
		return
	case f.mayResend(err):
		f.retry()
		f.nextCommand(f.dispatchCommand)
		return
	}
	f.finishFlight(reply, err)
}

// mayResend reports whether the command is to be sent again, because it met a
// connection that was dead already: balancers forget idle connections, and reset
// them at the next packet. A command that may have been executed is sent again only
// if that does no harm.
//
// All idle connections of the pool may be dead. Each time the client drops one, so as
// many tries as it has connections lead to a new one. A server that resets new ones
// too is not asked more often.
func (f *Flight) mayResend(err error) bool {
	if f.state.Load() != sent || !isConnectionLost(err) {
		return false
	}
	// Of a pipeline, whole commands may have been written before the write failed.
	unsent := f.batch == nil && isWriteFailed(err)
	if !unsent && !f.call.Repeatable {
		return false
	}
	if f.resends == 0 {
		f.resends = int(f.node.server.PoolStats().TotalConns) + 2
	}
	f.resends--
	if f.resends == 0 {
		return false
	}
	if !unsent {
		f.inDoubt.Store(true)
	}
	return true
}

// nextCommand runs what follows in a goroutine, since it waits.
func (f *Flight) nextCommand(step func()) {
	if !f.transport.tasks.Spawn(step) {
		f.finishFlight(nil, engine.ErrStopped)
	}
}

// loadScript loads the script and sends the command again.
func (f *Flight) loadScript() {
	f.stage++
	if err := f.transport.loadScript(f.node.loaderOf(f.call.Script), f.loads); err != nil {
		f.stage = bySource
	}
	f.dispatchCommand()
}

// finishFlight ends the flight.
func (f *Flight) finishFlight(reply any, err error) {
	f.reply, f.err = reply, err
	f.finished.Store(true)
	f.wake()
}

// Start sends a call to the node. The timeout counts from since. Await must be
// called until it returns ok; the only error is engine.ErrStopped.
func (t *Transport) Start(ctx context.Context, since time.Time, node *Node, c *Call) (*Flight, error) {
	f := t.newFlight(ctx, since, node, c)
	if !f.start() {
		return nil, engine.ErrStopped
	}
	return f, nil
}

// Await waits for the reply. A null reply is nil. The errors are engine.ErrStopped
// after Close, the context's, or a *engine.StorageError.
//
// If ok is false, the context has ended but the command is in flight: its reply may
// be a lease, so the caller must see that Await is called again, by a goroutine
// that does not leave. A command that is not in flight yet is not sent any more.
func (f *Flight) Await(ctx context.Context) (reply any, ok bool, err error) {
	if !f.waitForEnd(ctx) {
		if !f.leaveUnsent() {
			return nil, false, ctx.Err()
		}
		f.abandon()
		return nil, true, ctx.Err()
	}
	reply, err = f.settleAttempt()
	return reply, true, err
}

// settleAttempt ends the attempt and returns its reply or its classified error.
func (f *Flight) settleAttempt() (any, error) {
	t := f.transport
	end := f.leavesAt()
	// leave comes first: it fixes whether the command may have been executed. A reply that
	// came until then, a lease perhaps, counts.
	executable := f.leave() || f.inDoubt.Load()
	f.releaseSlot()
	err := t.timeoutErr
	if f.finished.Load() {
		if f.err == nil || errors.Is(f.err, redis.Nil) {
			t.cluster.recordSuccess()
			return f.reply, nil
		}
		err = t.withTimeout(end, f.err)
	} else if answer := f.redirect.Load(); answer != nil {
		err = redirectedError{err, *answer}
	}
	return nil, t.newError(err, executable, f.call)
}

// Run starts a call and waits for it, at most until the context ends.
func (t *Transport) Run(ctx context.Context, since time.Time, node *Node, c *Call) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := t.Start(ctx, since, node, c)
	if err != nil {
		return nil, err
	}
	reply, ok, err := f.Await(ctx)
	if !ok {
		// The caller of Run wants no lease, so no goroutine has to wait for the reply.
		f.leave()
		f.abandon()
		return nil, err
	}
	return reply, err
}

// RunTrial sends a call that no caller waits for. It may take as long as the
// client may dial, so that a trial reaches a server that is far away. Its reply
// must come within the timeout of a call: otherwise calls would not have it
// either.
func (t *Transport) RunTrial(node *Node, c *Call) (any, error) {
	f := t.newFlight(context.Background(), time.Now(), node, c)
	f.trial = true
	if !f.start() {
		return nil, engine.ErrStopped
	}
	reply, _, err := f.Await(context.Background())
	return reply, err
}

// newError classifies the error of a call.
func (t *Transport) newError(err error, executable bool, c *Call) error {
	if errors.Is(err, engine.ErrStopped) {
		return engine.ErrStopped
	}
	t.cluster.recordFailure(err)
	var redirected redirectedError
	if !executable && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &redirected) {
		err = t.withConnectAdvice(err)
	}
	return &engine.StorageError{Class: classifyError(err, executable), Op: c.Op, Name: c.Name, Err: t.withClientAdvice(err)}
}
