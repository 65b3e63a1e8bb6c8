package transport

import (
	"context"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/timeout"
)

// limit runs f and returns when it does, when the timeout from since is reached,
// or at the caller's own deadline. If the caller cancels before that, a client
// that honors deadlines may still wait for the answer, up to the timeout.
func (t *Transport) limit(ctx context.Context, since time.Time, f func(context.Context) (any, error)) (any, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, since.Add(t.timeout), t.timeoutErr)
	defer cancel() // after the error was looked at: a context that was cancelled looks like a timeout
	if t.honorsDeadlines {
		reply, err := f(ctx)
		return reply, timeout.WithCause(ctx, err)
	}
	// go-redis would wait for its own, longer timeouts, so it is left behind.
	type answer struct {
		reply any
		err   error
	}
	done := make(chan answer, 1)
	if !t.tasks.Spawn(func() {
		reply, err := f(ctx)
		done <- answer{reply, timeout.WithCause(ctx, err)}
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
