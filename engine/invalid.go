package engine

import (
	"errors"
	"fmt"
	"reflect"
)

// Invalid returns an error about an argument: "redbreaker: " and the formatted
// text. It matches [ErrInvalid], as every error about an argument does.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("redbreaker: "+format+": %w", append(args, ErrInvalid)...)
}

// IsNil reports whether v is nil, or a nil pointer, map, function, channel,
// slice or interface within an interface: a value whose methods would panic.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice, reflect.Interface:
		return r.IsNil()
	}
	return false
}

// CheckName returns an error that matches [ErrInvalid] if no breaker can have
// the name: only the empty name is refused.
func CheckName(name string) error {
	if name == "" {
		return Invalid("the name is empty, name the breaker after what it protects")
	}
	return nil
}

// CheckClock returns an error that wraps [ErrClock] if the machine cannot calculate
// with the time: now must be from 1 to 2^42 - 1, in ms. A storage checks the clock of
// its server by it before a step.
func CheckClock(now int64) error {
	if within(now, 1, maxClock) {
		return nil
	}
	return fmt.Errorf("at %d ms: %w", now, ErrClock)
}

// faults collects everything that is wrong with one argument.
type faults struct {
	subject string // policy, command
	list    []error
}

// add adds a fault.
func (f *faults) add(format string, args ...any) {
	f.list = append(f.list, Invalid(f.subject+": "+format, args...))
}

// err joins the faults; nil if there is none.
func (f *faults) err() error { return errors.Join(f.list...) }
