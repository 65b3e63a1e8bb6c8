// Package timeout has what both storages say about an operation that took too
// long, and how they find out.
package timeout

import (
	"context"
	"fmt"
	"time"
)

// Error returns the error of an operation that was not answered within d. It
// wraps context.DeadlineExceeded.
func Error(d time.Duration) error {
	return fmt.Errorf("no answer within %v: %w", d, context.DeadlineExceeded)
}

// WithCause wraps err with the timeout that caused it, so that a reader sees
// the timeout first and then what the client made of it. If the context has not
// ended, it returns err as it is.
func WithCause(ctx context.Context, err error) error {
	if err == nil || Ended(ctx) == nil {
		return err
	}
	<-ctx.Done()                         // its timer is due, but may not have run yet
	if err == context.DeadlineExceeded { //nolint:errorlint // an error that wraps it says more
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
}

// Ended is ctx.Err() without its lag: a client sets a connection's deadline to
// that of the context, and either of the two timers may fire first.
func Ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}
