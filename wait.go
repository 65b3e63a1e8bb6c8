package redbreaker

import (
	"context"
	"errors"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// waitPoll is the longest pause between two looks of Wait at the storage: an
// operator or another process may close the circuit before the known end.
const waitPoll = 5 * time.Second

// Wait returns nil when a call may be admitted, for consumers that pause instead of
// taking messages that they would have to reject. It admits nothing: the next call
// may still be rejected, because another process took the probe's slot or because
// the circuit opened meanwhile; then call Wait again.
//
// If this process knows the circuit as closed, Wait returns at once, without I/O.
// While it waits, it reads the record at the known end of the rejection, and at
// least every 5 s; it also notices [Breaker.Stop] only then, so end ctx to end it at
// once. While the storage fails, it waits as the fallback rejects; if the
// storage answers but takes no results, until they are tried again at most. It
// returns the error of ctx, or [ErrStopped]. Stop the breaker before its storage is
// closed: where the circuit is known as closed, only the next call notices the latter.
func (b *Breaker) Wait(ctx context.Context) error {
	if err := b.checkWaiting(ctx); err != nil {
		return err
	}
	if untilAdmission(b.handle.Status()) == 0 && !b.deniesCalls() {
		return nil
	}
	for {
		pause, err := b.readPause(ctx)
		if err != nil || pause == 0 {
			return err
		}
		if err := sleepFor(ctx, min(pause, waitPoll)); err != nil {
			return err
		}
	}
}

// checkWaiting returns why Wait has to end early, if it has to.
func (b *Breaker) checkWaiting(ctx context.Context) error {
	if b.stopped.Load() {
		return ErrStopped
	}
	return ctx.Err()
}

// deniesCalls reports whether the fallback rejects all calls now.
func (b *Breaker) deniesCalls() bool {
	return b.fallback == FallbackDeny && b.handle.Status().Degraded
}

// readPause returns how long no call will be admitted, as the storage knows it, or
// the fallback while the storage fails.
func (b *Breaker) readPause(ctx context.Context) (time.Duration, error) {
	if err := b.checkWaiting(ctx); err != nil {
		return 0, err
	}
	if _, inProcess := b.storage.(*engine.Memory); inProcess {
		return untilAdmission(b.handle.Status()), nil
	}
	s, err := b.storage.Inspect(ctx, b.name)
	switch {
	case err == nil:
		shared := untilAdmission(Status{State: s.State, Mode: s.Mode, RetryAfter: s.RetryAfter, ModeFor: s.ModeFor})
		return max(shared, b.untilLocalAdmission()), nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.Is(err, ErrStopped):
		return 0, ErrStopped
	case b.fallback == FallbackAllow:
		return 0, nil
	case b.fallback == FallbackDeny:
		return waitPoll, nil
	}
	return untilAdmission(b.handle.Status()), nil
}

// untilLocalAdmission returns how long the local breaker rejects while the storage
// answers, but takes no results.
func (b *Breaker) untilLocalAdmission() time.Duration {
	switch h := b.handle.(type) {
	case *fallbackHandle:
		return h.untilLocalAdmission()
	case *view:
		return h.untilLocalAdmission()
	}
	return 0
}

// untilAdmission returns how long no call will be admitted: 0 if one may be now,
// and waitPoll if no end is known.
func untilAdmission(s Status) time.Duration {
	switch {
	case s.Mode == ModeForcedOpen && s.ModeFor > 0:
		return s.ModeFor
	case s.Mode == ModeForcedOpen:
		return waitPoll
	case s.Mode != ModeAuto || s.State == StateClosed:
		return 0
	}
	return s.RetryAfter
}

// sleepFor waits, or returns the error of ctx.
func sleepFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
