package redbreaker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Classifier decides how an error counts: [Success], [Failure] or [Ignored]. Any
// other value, such as 0, leaves the decision to the next rule. A nil error is a
// success and reaches no Classifier. A Classifier runs on the caller's goroutine.
//
// Classifiers run in the order of their options. The rules that follow
// them ignore an error that says nothing about the dependency: every error of a
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
// with a Retry-After header: if this failure opens the circuit, the circuit stays
// open for d where that is longer than planned, up to Backoff.Max. The result has
// the text of err and unwraps to err. If err is nil, it returns nil; if d is 0 or
// less, it returns err.
func RetryAfterError(err error, d time.Duration) error {
	if err == nil || d <= 0 {
		return err
	}
	return &retryAfterError{err, min(d, engine.MaxDuration)}
}

// retryAfterError is the error that RetryAfterError returns.
type retryAfterError struct {
	error
	openFor time.Duration
}

func (r *retryAfterError) Unwrap() error { return r.error }

// panicDetail is the detail of a call that did not return.
var panicDetail = &engine.Detail{Text: "panic or Goexit", Err: ErrPanicked}

// classify applies the rules of [Classifier].
func (b *Breaker) classify(ctx context.Context, err error) Outcome {
	if err == nil {
		return Success
	}
	for _, c := range b.classifiers {
		if o := c(err); o >= Success && o <= Ignored {
			return o
		}
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
	if o != Failure || err == nil {
		return nil
	}
	d := &engine.Detail{Text: b.describeError(err), Err: err}
	var own *retryAfterError
	if errors.As(err, &own) {
		d.OpenFor = own.openFor
	}
	return d
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
		if inner == nil || t != wrapperType && t != retryAfterType {
			return t.String()
		}
		err = inner
	}
}

// The types of wrappers that nameErrorType skips.
var (
	wrapperType    = reflect.TypeOf(fmt.Errorf("%w", ErrInvalid))
	retryAfterType = reflect.TypeFor[*retryAfterError]()
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
