package redbreaker

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Option configures a breaker, or all breakers of a registry.
type Option func(*settings)

// settings is the result of the options.
type settings struct {
	storage     Storage
	hooks       *hooks
	classifiers []Classifier
	fallback    Fallback
	errorText   bool
	staleness   time.Duration
	// lastParams are those of the view that was made last.
	lastParams atomic.Pointer[viewParams]

	faults []error
}

// WithStorage keeps the state in s, where every breaker over s shares it: a Redis
// storage, or one memory engine for several breakers of a process. The breaker
// never closes s. Default: memory of the breaker's own.
func WithStorage(s Storage) Option {
	return func(o *settings) {
		if engine.IsNil(s) {
			o.addFault("WithStorage got nil, check the error of what made the storage")
			return
		}
		o.storage = s
	}
}

// WithHooks calls h when something happens. It may be given several times.
func WithHooks(h Hooks) Option {
	return func(o *settings) {
		if o.hooks == defaultHooks {
			o.hooks = &hooks{}
		}
		o.hooks.add(h)
	}
}

// WithClassifier applies c to each error before the rules of [Classifier]. It may
// be given several times; the first one given is applied first.
func WithClassifier(c Classifier) Option {
	return func(o *settings) {
		if c == nil {
			o.addFault("WithClassifier got nil, pass a function from error to Outcome")
			return
		}
		o.classifiers = append(o.classifiers, c)
	}
}

// WithFallback sets what decides about calls while the storage fails. Default:
// [FallbackLocal].
func WithFallback(f Fallback) Option {
	return func(o *settings) {
		if f < FallbackAllow || f > FallbackLocal {
			o.addFault("WithFallback got %d, use FallbackLocal, FallbackAllow or FallbackDeny", f)
			return
		}
		o.fallback = f
	}
}

// WithErrorText writes the first 64 bytes of the text of the error that opened the
// circuit into the record's log. Default: only the type of the error, since a text
// may contain what readers of a shared storage should not see.
func WithErrorText() Option {
	return func(o *settings) { o.errorText = true }
}

// newSettings applies the options and returns all their faults.
func newSettings(opts []Option) (*settings, error) {
	s := &settings{hooks: defaultHooks, fallback: FallbackLocal}
	for i, opt := range opts {
		if opt == nil {
			s.addFault("option %d is nil, leave it out", i+1)
			continue
		}
		opt(s)
	}
	return s, errors.Join(s.faults...)
}

func (s *settings) addFault(format string, args ...any) {
	s.faults = append(s.faults, engine.Invalid(format, args...))
}
