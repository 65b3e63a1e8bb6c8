package cas

import (
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/settings"
)

// DefaultTimeout is the timeout without [WithTimeout].
const DefaultTimeout = settings.DefaultTimeout

// Option changes how a storage works.
type Option func(*options)

type options struct{ settings.Common }

// WithTimeout is the longest that one operation may take, above 0 to 1 minute.
// Default: 250 ms.
func WithTimeout(d time.Duration) Option {
	return func(o *options) { o.Timeout = d }
}

// WithReporter names this process in logs and for Policy.MinReporters; 64 bytes
// of it are kept. Processes that can only fail together should share a name.
// Default: the host's name.
func WithReporter(name string) Option {
	return func(o *options) { o.Reporter = name }
}

// WithStepObserver calls f after each step of a breaker, that is each attempt to swap a record, with
// its length, its number of operations and its error. Other calls may wait while f runs,
// so it must be quick, and it must not use the storage. Default: none, which costs
// nothing.
func WithStepObserver(f func(engine.StepReport)) Option {
	return func(o *options) { o.Observer = f }
}
