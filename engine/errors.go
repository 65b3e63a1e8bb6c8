package engine

import (
	"errors"
	"fmt"
	"time"
)

// Sentinels, to be matched with errors.Is.
var (
	// ErrRejected is matched by every *RejectedError.
	ErrRejected = errors.New("redbreaker: call rejected")
	// ErrStopped is returned by calls through a breaker, registry or storage
	// that was stopped or closed.
	ErrStopped = errors.New("redbreaker: stopped")
	// ErrInvalid is matched by every error about what the caller passed: a
	// policy, a name, an option, a command.
	ErrInvalid = errors.New("invalid argument")
	// ErrConflict is returned by Control when the record is of another epoch
	// than the command expects.
	ErrConflict = errors.New("redbreaker: the record has moved on since it was read, inspect it again")
	// ErrForced is returned by Control for a trip or half-open in a forced mode.
	ErrForced = errors.New("redbreaker: the breaker is in a forced mode, release it first")
	// ErrNewerLayout is wrapped where a record was written by a newer release.
	ErrNewerLayout = errors.New("redbreaker: the record was written by a newer release, upgrade this process")
	// ErrForeignKey is wrapped where the key of a record holds something else.
	ErrForeignKey = errors.New("redbreaker: the key holds another type, choose another namespace")
)

// Reason says why a call was rejected.
type Reason string

// The reasons of a rejection.
const (
	ReasonOpen        Reason = "open"        // the circuit is open
	ReasonProbing     Reason = "probing"     // half-open, and every probe slot is taken
	ReasonForced      Reason = "forced"      // an operator forced it open
	ReasonUnavailable Reason = "unavailable" // the storage does not answer and the fallback denies
)

// RejectedError is what a call gets that was not let through. One error is
// shared by the rejections of an open period; do not change it.
type RejectedError struct {
	Name   string
	Reason Reason
	State  State
	Mode   Mode
	// Err is the storage's error, for ReasonUnavailable.
	Err error

	deadline int64
	now      func() int64
}

// NewRejected completes e with the instant at which it ends: deadline on the
// clock now, in nanoseconds; 0 if no end is known.
func NewRejected(e RejectedError, deadline int64, now func() int64) *RejectedError {
	e.deadline, e.now = deadline, now
	return &e
}

// Error returns the name, the reason and, where known, how long it still lasts.
func (e *RejectedError) Error() string {
	s := fmt.Sprintf("redbreaker: %s: call rejected: %s", e.Name, e.Reason)
	if d := e.RetryAfter(); d > 0 {
		s += fmt.Sprintf(", retry after %v", d)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// RetryAfter is how long the rejection still lasts, rounded up to milliseconds;
// 0 when it is over or no end is known.
func (e *RejectedError) RetryAfter() time.Duration {
	if e.deadline == 0 || e.now == nil {
		return 0
	}
	left := time.Duration(e.deadline - e.now())
	return max(0, (left+time.Millisecond-1)/time.Millisecond*time.Millisecond)
}

// Is reports that every RejectedError matches ErrRejected.
func (e *RejectedError) Is(target error) bool { return target == ErrRejected }

// Unwrap returns the storage's error, if there is one.
func (e *RejectedError) Unwrap() error { return e.Err }

// Class says what a storage error means for the operation that met it.
type Class uint8

// The classes of storage errors.
const (
	ClassNotExecuted Class = iota + 1 // it certainly had no effect
	ClassUnknown                      // it may or may not have had its effect; it is never sent again
	ClassRefused                      // the server answered that it will not do it now
	ClassForeign                      // the record is not ours to write: a newer schema, another type
)

var classNames = [...]string{"none", "not executed", "unknown", "refused", "foreign"}

// String returns the class in words, such as not executed.
func (c Class) String() string { return nameOf(classNames[:], int(c), "class") }

// StorageError is what a storage could not do.
type StorageError struct {
	Class Class
	// Op is the operation: acquire, report, step, control, inspect, ping.
	Op string
	// Name is the breaker's name; empty for ping.
	Name string
	Err  error
}

// Error returns operation, name, class and cause.
func (e *StorageError) Error() string {
	name := e.Name
	if name != "" {
		name = " " + name
	}
	return fmt.Sprintf("redbreaker: %s%s: storage error (%v): %v", e.Op, name, e.Class, e.Err)
}

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }
