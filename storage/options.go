package storage

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/settings"
)

// Defaults of the options.
const (
	DefaultNamespace = "redbreaker"
	DefaultTimeout   = settings.DefaultTimeout // 250 ms
)

// Option changes how a storage works.
type Option func(*options)

type options struct {
	settings.Common
	namespace  string
	tag        *string
	underlying redis.UniversalClient
	watch      bool
}

// WithNamespace puts the keys under <namespace>:, so that several fleets share a
// server. Printable characters other than braces and spaces. Default: redbreaker.
func WithNamespace(namespace string) Option {
	return func(o *options) { o.namespace = namespace }
}

// WithTimeout is the longest that one operation may take, connecting and waiting
// for a connection included, above 0 to 1 minute. Default: 250 ms.
func WithTimeout(d time.Duration) Option {
	return func(o *options) { o.Timeout = d }
}

// WithReporter names this process in logs and for Policy.MinReporters; 64 bytes
// of it are kept. Processes that can only fail together should share a name.
// Default: the host's name.
func WithReporter(name string) Option {
	return func(o *options) { o.Reporter = name }
}

// WithStepObserver calls f after each step of a breaker, that is each script call, with
// its length, its number of operations and its error. Other calls may wait while f runs,
// so it must be quick, and it must not use the storage. Default: none, which costs
// nothing.
func WithStepObserver(f func(engine.StepReport)) Option {
	return func(o *options) { o.Observer = f }
}

// WithColocation puts all breakers of this storage into the one cluster slot of
// tag, on purpose. Their keys differ from those without, so all processes must
// agree. Default: breakers spread over all slots.
func WithColocation(tag string) Option {
	return func(o *options) { o.tag = &tag }
}

// WithWatch keeps a subscription through which the breakers of this storage learn
// of transitions that other processes make: their hooks and their Status follow.
// It takes one more connection (a Ring: one to each shard). Transitions that push
// does not deliver are read. Close ends the subscription. Default: breakers learn
// of other processes' transitions by their own calls.
func WithWatch() Option {
	return func(o *options) { o.watch = true }
}

// WithUnderlying names the client that the storage's client wraps. A wrapper, such as
// one that traces calls, hides whether it talks to a cluster; then the storage has one
// guard for all nodes, and learns late that a master was replaced. A wrapper with a
// method Unwrap() redis.UniversalClient does not need this option. Calls go through
// the wrapper either way. Default: what Unwrap returns, or the client itself.
func WithUnderlying(client redis.UniversalClient) Option {
	return func(o *options) { o.underlying = client }
}

// newOptions applies the options and returns every fault of them.
func newOptions(opts []Option) (options, error) {
	o := options{Common: settings.Default(), namespace: DefaultNamespace}
	err := settings.Apply(&o, opts)
	if o.underlying != nil && engine.IsNil(o.underlying) {
		err = errors.Join(err, engine.Invalid("the underlying Redis client is nil, leave WithUnderlying out"))
	}
	return o, errors.Join(err, o.Validate())
}

// newKeys returns how names become keys.
func (o *options) newKeys() (cluster.Keys, error) {
	keys, err := cluster.New(o.namespace)
	if err == nil && o.tag != nil {
		keys, err = keys.Colocate(*o.tag)
	}
	return keys, err
}
