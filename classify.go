package redbreaker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Classifier says how an error counts: [Success], [Failure] or [Ignored]; any
// other value, such as 0, leaves it to the next rule. It is not asked about a
// nil error, which is a success. It runs on the caller's path.
//
// Classifiers are asked in the order of their options. The rules that follow
// them ignore an error that says nothing about the dependency: every error of a
// call whose caller cancelled its context, whatever its type, and a rejection or
// [ErrStopped] of another breaker inside the call. Every other error is a
// failure, context.DeadlineExceeded included.
type Classifier func(error) Outcome

// Ignore ignores every error that errors.Is one of errs.
func Ignore(errs ...error) Classifier {
	return IgnoreIf(func(err error) bool { return isAny(err, errs) })
}

// IgnoreIf ignores every error for which pred is true.
func IgnoreIf(pred func(error) bool) Classifier {
	if pred == nil {
		return nil // which WithClassifier reports
	}
	return func(err error) Outcome {
		if pred(err) {
			return Ignored
		}
		return 0
	}
}

// CountAsSuccess counts every error that errors.Is one of errs as a success:
// the dependency answered, such as with "not found".
func CountAsSuccess(errs ...error) Classifier {
	return func(err error) Outcome {
		if isAny(err, errs) {
			return Success
		}
		return 0
	}
}

// RetryAfterError makes err a failure that knows its own open time, such as a
// 503 with a Retry-After: if it opens the circuit, the circuit stays open for d
// where that is longer than planned, up to Backoff.Max. The error reads and
// unwraps as err. A nil err gives nil; a d of 0 or less changes nothing.
func RetryAfterError(err error, d time.Duration) error {
	if err == nil || d <= 0 {
		return err
	}
	return &retryAfter{err, min(d, engine.MaxDuration)}
}

type retryAfter struct {
	error
	openFor time.Duration
}

func (r *retryAfter) Unwrap() error { return r.error }

// panicked is the detail of a call that did not return.
var panicked = &engine.Detail{Text: "panic or Goexit"}

// classify asks the user's rules, then the last ones.
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

// noCaller stands in for the caller's context where none is known.
var noCaller context.Context = &unknownContext{context.Background()}

type unknownContext struct{ context.Context }

// detail is what a failure carries beside its outcome; nil for all others.
func (b *Breaker) detail(o Outcome, err error) *engine.Detail {
	if o != Failure || err == nil {
		return nil
	}
	d := &engine.Detail{Text: b.describe(err)}
	var own *retryAfter
	if errors.As(err, &own) {
		d.OpenFor = own.openFor
	}
	return d
}

// describe is what the log keeps of an error.
func (b *Breaker) describe(err error) string {
	if b.errorText {
		return errorText(err)
	}
	return errorType(err)
}

// errorType names the type of an error, of the one within where the outer only
// adds words. The text stays out: it may hold a token, and the storage is shared.
func errorType(err error) string {
	for {
		t := reflect.TypeOf(err)
		inner := errors.Unwrap(err)
		if inner == nil || t != wrapperType && t != retryAfterType {
			return t.String()
		}
		err = inner
	}
}

// The types of errors that say nothing of their own.
var (
	wrapperType    = reflect.TypeOf(fmt.Errorf("%w", ErrInvalid))
	retryAfterType = reflect.TypeFor[*retryAfter]()
)

// errorText is the text of an error; fmt survives an Error method that panics.
func errorText(err error) string { return fmt.Sprint(err) }

func isAny(err error, errs []error) bool {
	for _, e := range errs {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
