package redbreaker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Classifier decides how an error counts: [Success], [Failure], [Ignored] or
// [TripNow]. Any other value, such as 0, leaves the decision to the next rule. A nil error is a
// success and reaches no Classifier. A Classifier runs on the caller's goroutine.
//
// Classifiers run in the order of their options. The rules that follow
// them open the circuit for a [TripError] and ignore an error that says nothing about the dependency: every error of a
// call whose caller cancelled its context, whatever its type, and a rejection or
// [ErrStopped] of another breaker inside the call. Every other error is a
// failure, context.DeadlineExceeded included.
type Classifier func(error) Outcome

// Ignore returns a Classifier that ignores every error for which errors.Is
// matches one of errs.
func Ignore(errs ...error) Classifier {
	return IgnoreIf(func(err error) bool { return matchesAny(err, errs) })
}

// IgnoreIf returns a Classifier that ignores every error for which pred is true.
func IgnoreIf(pred func(error) bool) Classifier {
	if pred == nil {
		return nil // WithClassifier reports it
	}
	return func(err error) Outcome {
		if pred(err) {
			return Ignored
		}
		return 0
	}
}

// CountAsSuccess returns a Classifier that counts every error for which errors.Is
// matches one of errs as a success: the dependency has answered, for example
// with "not found".
func CountAsSuccess(errs ...error) Classifier {
	return func(err error) Outcome {
		if matchesAny(err, errs) {
			return Success
		}
		return 0
	}
}

// RetryAfterError returns err with an open time of its own, such as that of a 503
// with a Retry-After header: if this failure opens the circuit, d takes the place of
// OpenFor, whether it is longer or shorter. Backoff lengthens it as it lengthens
// OpenFor, up to Backoff.Max. The result has the text of err and unwraps to err. If
// err is nil, it returns nil; if d is 0 or less, it returns err.
func RetryAfterError(err error, d time.Duration) error {
	if err == nil || d <= 0 {
		return err
	}
	return &markedError{error: err, openFor: min(d, engine.MaxDuration), trips: findMark(err).trips}
}

// TripError returns err as a failure that opens the circuit at once, whatever the
// thresholds and MinReporters of the policy: the dependency itself has asked for
// a pause, for example with a 429, or for maintenance until a known time. d takes
// the place of OpenFor, as that of [RetryAfterError] does; if d is 0 or less, the
// policy's time applies. The failure counts even if the caller cancelled the call.
// The result has the text of err and unwraps to err. If err is nil, it returns nil.
//
// Every breaker around the call counts it so. If an outer breaker protects more than
// this dependency, return the plain error to it.
func TripError(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	if d <= 0 {
		d = findMark(err).openFor
	}
	return &markedError{error: err, openFor: min(d, engine.MaxDuration), trips: true}
}

// markedError is the error that RetryAfterError and TripError return.
type markedError struct {
	error
	openFor time.Duration // 0: the policy's
	trips   bool
}

func (m *markedError) Unwrap() error { return m.error }

// findMark returns the outermost mark in an error's tree, or an empty one. Unlike
// errors.As it allocates nothing, since it runs for every failure.
func findMark(err error) markedError {
	for err != nil {
		switch e := err.(type) {
		case *markedError:
			return *e
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, branch := range e.Unwrap() {
				if m := findMark(branch); m.error != nil {
					return m
				}
			}
			return markedError{}
		default:
			return markedError{}
		}
	}
	return markedError{}
}

// panicDetail is the detail of a call that did not return.
var panicDetail = &engine.Detail{Text: "panic or Goexit", Err: ErrPanicked}

// classify applies the rules of [Classifier].
func (b *Breaker) classify(ctx context.Context, err error) Outcome {
	if err == nil {
		return Success
	}
	for _, c := range b.classifiers {
		if o := c(err); o >= Success && o <= Ignored || o == TripNow {
			return o
		}
	}
	if findMark(err).trips {
		return TripNow
	}
	if errors.Is(err, ErrRejected) || errors.Is(err, ErrStopped) || isCancelled(ctx, err) {
		return Ignored
	}
	return Failure
}

// isCancelled reports whether the caller cancelled the call. It looks at the
// context and not at err, because a driver may put its own error in place of
// context.Canceled. A context.Canceled from a context that is not the caller's
// is a failure, and so is a deadline.
func isCancelled(ctx context.Context, err error) bool {
	if ctx == noCaller {
		return errors.Is(err, context.Canceled)
	}
	return errors.Is(ctx.Err(), context.Canceled)
}

// noCaller replaces the caller's context where none is known.
var noCaller context.Context = &unknownContext{context.Background()}

type unknownContext struct{ context.Context }

// failureDetail returns what the storage gets beside the outcome of a failure; nil
// for every other outcome.
func (b *Breaker) failureDetail(o Outcome, err error) *engine.Detail {
	if o != Failure && o != TripNow || err == nil {
		return nil
	}
	return &engine.Detail{Text: b.describeError(err), OpenFor: findMark(err).openFor, Err: err}
}

// describeError returns what the record's log keeps of an error.
func (b *Breaker) describeError(err error) string {
	if b.errorText {
		return fmt.Sprint(err) // unlike err.Error, Sprint survives a nil pointer
	}
	return nameErrorType(err)
}

// nameErrorType returns the type of an error, without wrappers that only add
// words. It leaves the text out, which may contain a secret: everyone who can read
// the shared storage can read the log.
func nameErrorType(err error) string {
	for {
		t := reflect.TypeOf(err)
		inner := errors.Unwrap(err)
		if inner == nil || t != wrapperType && t != markedType {
			return t.String()
		}
		err = inner
	}
}

// The types of wrappers that nameErrorType skips.
var (
	wrapperType = reflect.TypeOf(fmt.Errorf("%w", ErrInvalid))
	markedType  = reflect.TypeFor[*markedError]()
)

// matchesAny reports whether errors.Is matches err with one of errs.
func matchesAny(err error, errs []error) bool {
	for _, e := range errs {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
