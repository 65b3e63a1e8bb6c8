package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// The timeout holds whatever the client does. A client's code may block for
// longer than any context allows: its hooks, its dialer, its credentials
// provider, and go-redis itself with some settings. So it never runs in the
// goroutine of a caller. The caller waits with a timer of its own, and leaves the
// client behind if that fires.
//
// The client does not get the caller's deadline either, but a clientContext: one
// that has no deadline until the command is written to a connection. Before that,
// go-redis takes a connection from its pool or makes one, which takes several
// round trips. If the deadline of one call ended that, a server further away than
// a fraction of the timeout could never be reached: each call would begin a
// connection, and close it half made. A connection that is made without a deadline
// is there for a later call. What bounds it is the client's own dial and read
// timeout.

// clientContext is the context of a command as the client sees it.
type clientContext struct {
	values   context.Context // the caller's, for its values
	closing  context.Context // ends when the storage is closed and callers have left
	deadline deadliner
}

// deadliner knows until when the reply of a command is waited for. It returns
// false while the command is not written.
type deadliner interface {
	replyDeadline() (time.Time, bool)
}

// Deadline returns the deadline of the reply. go-redis asks for it when it begins
// to read.
func (c *clientContext) Deadline() (time.Time, bool) { return c.deadline.replyDeadline() }

// Done is closed when the storage is closed.
func (c *clientContext) Done() <-chan struct{} { return c.closing.Done() }

// Err returns an error after the storage was closed.
func (c *clientContext) Err() error { return c.closing.Err() }

// Value returns the caller's value.
func (c *clientContext) Value(key any) any { return c.values.Value(key) }

// withoutDeadline is the deadliner of commands that are not worth one: those that
// no caller waits for, or that are not scripts.
type withoutDeadline struct{}

func (withoutDeadline) replyDeadline() (time.Time, bool) { return time.Time{}, false }

// waitOrLeave runs f in a goroutine and returns when it does, at the deadline or
// when the context ends. Then f goes on alone. If it panics, that is the error.
func (t *Transport) waitOrLeave(ctx context.Context, deadline time.Time, f func(context.Context)) error {
	done := make(chan struct{})
	ended := errGoroutineEnded
	if !t.tasks.Spawn(func() {
		defer close(done)
		defer recoverPanic(&ended)
		f(t.newContext(ctx, withoutDeadline{}))
		ended = nil
	}) {
		return engine.ErrStopped
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-done:
		return ended
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return t.timeoutErr
	}
}

// errGoroutineEnded is the error of a client in which the user's code calls
// runtime.Goexit, as a test does that fails in a hook.
var errGoroutineEnded = errors.New("the Redis client ended its goroutine")

// recoverPanic makes an error of a panic of the client, which may come from the
// user's code: it must not end the process, and the goroutine has no caller that
// could recover it. It is deferred.
func recoverPanic(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the Redis client panicked: %v", p)
	}
}

// limitCall runs a command that is not a script within the timeout from since.
func (t *Transport) limitCall(ctx context.Context, since time.Time, f func(context.Context) (any, error)) (any, error) {
	type answer struct {
		reply any
		err   error
	}
	answers := make(chan answer, 1)
	err := t.waitOrLeave(ctx, since.Add(t.timeout), func(ctx context.Context) {
		reply, err := f(ctx)
		answers <- answer{reply, err}
	})
	if err != nil {
		return nil, err
	}
	a := <-answers
	return a.reply, a.err
}

func (t *Transport) newContext(values context.Context, d deadliner) *clientContext {
	return &clientContext{values: values, closing: t.closing, deadline: d}
}

// withTimeout wraps err with the timeout if it was reached: what the client made of
// it comes second.
func (t *Transport) withTimeout(deadline time.Time, err error) error {
	if err == nil || time.Now().Before(deadline) {
		return err
	}
	return fmt.Errorf("%w (%w)", t.timeoutErr, err)
}
