package cas

import (
	"time"

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
