package engine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Sentinel errors, to be matched with [errors.Is].
var (
	// ErrRejected is matched by every *RejectedError.
	ErrRejected = errors.New("redbreaker: call rejected")
	// ErrStopped is returned by calls through a breaker, registry or storage
	// that was stopped or closed.
	ErrStopped = errors.New("redbreaker: the breaker, its registry or its storage was stopped, stop its callers first")
	// ErrInvalid is matched by every error about what the caller passed: a
	// policy, a name, an option, a command.
	ErrInvalid = errors.New("invalid argument")
	// ErrConflict is returned by Control if the record has another epoch than the
	// command expects. Nothing was written.
	ErrConflict = errors.New("redbreaker: the record has moved on since it was read, inspect it again")
	// ErrForced is returned by Control for a trip or half-open in a forced mode.
	ErrForced = errors.New("redbreaker: the breaker is in a forced mode, release it first")
	// ErrNewerLayout is wrapped by the error about a record that a newer release wrote.
	ErrNewerLayout = errors.New("redbreaker: the record was written by a newer release, upgrade this process")
	// ErrClock is wrapped by the error about a storage whose clock is before 1970 or
	// after the year 2108, where the numbers of a record end. Nothing was written.
	ErrClock = errors.New("redbreaker: the storage's clock is out of range, set it to the time of day")
	// ErrForeignKey is wrapped by the error about a key that holds no record: another
	// type, or fields of another application.
	ErrForeignKey = errors.New("redbreaker: the key holds other data, choose another namespace")
)

// Reason says why a call was rejected.
type Reason string

// The reasons of a rejection.
const (
	ReasonOpen        Reason = "open"        // the circuit is open
	ReasonRamping     Reason = "ramping"     // closed after recovery, and the ramp admits a share only
	ReasonProbing     Reason = "probing"     // half-open, and every probe slot is taken
	ReasonForced      Reason = "forced"      // an operator forced it open
	ReasonUnavailable Reason = "unavailable" // the storage does not answer, and the fallback rejects
)

// RejectedError is the error of a call that was not admitted. Rejections of one
// period share an error: do not modify it. Safe for concurrent use.
type RejectedError struct {
	Name   string // the breaker's
	Reason Reason
	State  State
	Mode   Mode
	// Err is the storage's error, for ReasonUnavailable.
	Err error
	// Opened is the transition that opened the circuit, if this process made it or
	// learned of it; else nil. Err, and so Unwrap, is not its error: a rejection says
	// nothing about the rejected call.
	Opened *Transition

	endNS int64 // when the rejection ends, on the clock now; 0: unknown
	now   func() int64
}

// NewRejected returns e as a rejection that ends at endNS, in nanoseconds of the
// clock now; 0 if no end is known. It is for storages and fallbacks.
func NewRejected(e RejectedError, endNS int64, now func() int64) *RejectedError {
	e.endNS, e.now = endNS, now
	return &e
}

// Error returns the name, the reason and, if known, how long the rejection still
// lasts.
func (e *RejectedError) Error() string {
	s := fmt.Sprintf("redbreaker: %s: call rejected: %s", PrintableName(e.Name), e.Reason)
	if d := e.RetryAfter(); d > 0 {
		s += fmt.Sprintf(", retry after %v", d)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// RetryAfter returns how long the rejection still lasts from now on, rounded up to
// milliseconds; 0 if it is over or no end is known. While the circuit is half-open, a
// slot may become free earlier or later: then it is when to try again, at most as long
// as the round has lasted, and 100 ms at first.
func (e *RejectedError) RetryAfter() time.Duration {
	if e.endNS == 0 || e.now == nil {
		return 0
	}
	left := time.Duration(e.endNS - e.now())
	return max(0, (left+time.Millisecond-1)/time.Millisecond*time.Millisecond)
}

// Is makes every RejectedError match [ErrRejected].
func (e *RejectedError) Is(target error) bool { return target == ErrRejected }

// Unwrap returns the storage's error, if there is one.
func (e *RejectedError) Unwrap() error { return e.Err }

// maxPrintedName is how many bytes of a name texts show.
const maxPrintedName = 64

// PrintableName returns a breaker's name for errors and log lines. A name that is
// longer than 64 bytes is cut, and one with anything but printable ASCII characters
// is quoted: a name may come from a request, and must not forge lines or fill a log.
func PrintableName(name string) string {
	cut := name
	if len(cut) > maxPrintedName {
		cut = cut[:maxPrintedName]
	}
	isPlain := !strings.ContainsFunc(cut, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
	if !isPlain {
		cut = strconv.Quote(cut)
	}
	if len(name) > maxPrintedName {
		cut += "..."
	}
	return cut
}

// Class says whether a storage operation that failed may have had an effect. The
// zero value is no class.
type Class uint8

// The classes of storage errors.
const (
	ClassNotExecuted Class = iota + 1 // the operation had no effect
	ClassUnknown                      // it may have had its effect, and is never sent again
	ClassRefused                      // the server answered that it does not accept the operation now
	ClassForeign                      // the record belongs to others: a newer layout, another type
)

var classNames = [...]string{"none", "not executed", "unknown", "refused", "foreign"}

// String returns the class in words, such as "not executed".
func (c Class) String() string { return nameOf(classNames[:], int(c), "class") }

// MarshalText writes the class in words.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the words that MarshalText writes.
func (c *Class) UnmarshalText(text []byte) error {
	i, err := indexOf(classNames[:], string(text), "class")
	*c = Class(i)
	return err
}

// StorageError is the failure of one storage operation.
type StorageError struct {
	Class Class
	// Op is the operation: acquire, report, step, control, inspect, ping.
	Op string
	// Name is the breaker's name; empty for ping.
	Name string
	// Err is the cause.
	Err error
}

// Error returns operation, name, class and cause.
func (e *StorageError) Error() string {
	name := ""
	if e.Name != "" {
		name = " " + PrintableName(e.Name)
	}
	return fmt.Sprintf("redbreaker: %s%s: storage error (%v): %v", e.Op, name, e.Class, e.Err)
}

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }
