package redbreaker

import (
	"errors"
	"fmt"
	"reflect"
)

// Option changes what a breaker, or all breakers of a registry, work with.
type Option func(*settings)

// settings is what the options came to.
type settings struct {
	storage     Storage
	hooks       *hooks
	classifiers []Classifier
	fallback    Fallback
	errorText   bool

	faults []error
}

// WithStorage keeps the state in s, for all that share it: a Redis, or one
// memory engine for several breakers of a process. The breaker never closes it.
// Default: a memory of the breaker's own.
func WithStorage(s Storage) Option {
	return func(o *settings) {
		if isNil(s) {
			o.fault("WithStorage got nil, check the error of what made the storage")
			return
		}
		o.storage = s
	}
}

// WithHooks tells h what happens; it may be given several times.
func WithHooks(h Hooks) Option {
	return func(o *settings) {
		if o.hooks == unhooked {
			o.hooks = &hooks{}
		}
		o.hooks.add(h)
	}
}

// WithClassifier asks c about each error before the rules of [Classifier]; it
// may be given several times, the first is asked first.
func WithClassifier(c Classifier) Option {
	return func(o *settings) {
		if c == nil {
			o.fault("WithClassifier got nil, pass a function from error to Outcome")
			return
		}
		o.classifiers = append(o.classifiers, c)
	}
}

// WithFallback says what happens to calls while the storage does not answer.
// Default: [FallbackLocal].
func WithFallback(f Fallback) Option {
	return func(o *settings) {
		if f < FallbackAllow || f > FallbackLocal {
			o.fault("WithFallback got %d, use FallbackLocal, FallbackAllow or FallbackDeny", f)
			return
		}
		o.fallback = f
	}
}

// WithErrorText puts the text of the error that opened the circuit, its first
// 64 bytes, into the log that the storage keeps. Default: its type alone, since
// a text may hold what the readers of a shared storage should not see.
func WithErrorText() Option {
	return func(o *settings) { o.errorText = true }
}

// newSettings applies the options and returns every fault of theirs.
func newSettings(opts []Option) (*settings, error) {
	s := &settings{hooks: unhooked, fallback: FallbackLocal}
	for i, opt := range opts {
		if opt == nil {
			s.fault("option %d is nil, leave it out", i+1)
			continue
		}
		opt(s)
	}
	s.hooks.complete()
	return s, errors.Join(s.faults...)
}

func (s *settings) fault(format string, args ...any) {
	s.faults = append(s.faults, invalid(format, args...))
}

// invalid is an error about what the caller passed.
func invalid(format string, args ...any) error {
	return fmt.Errorf("redbreaker: "+format+": %w", append(args, ErrInvalid)...)
}

// isNil also finds a nil pointer in an interface, which is what is left of a
// constructor's result when its error was not looked at.
func isNil(s Storage) bool {
	v := reflect.ValueOf(s)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
