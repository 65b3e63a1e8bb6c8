package storage

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
)

// Defaults of the options.
const (
	DefaultNamespace = "redbreaker"
	DefaultTimeout   = 250 * time.Millisecond
)

// maxTimeout is far more than a call should ever wait for its breaker.
const maxTimeout = time.Minute

// Option changes how a storage works.
type Option func(*settings)

type settings struct {
	namespace *string
	timeout   time.Duration
	reporter  string
	tag       *string
}

// WithNamespace puts the keys under <namespace>:, so that several fleets share a
// server. Printable characters other than braces and spaces. Default: redbreaker.
func WithNamespace(namespace string) Option {
	return func(s *settings) { s.namespace = &namespace }
}

// WithTimeout is the longest that one operation may take, connecting and waiting
// for a connection included, above 0 to 1 minute. Default: 250 ms.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) { s.timeout = d }
}

// WithReporter names this process in logs and for Policy.MinReporters; 64 bytes
// of it are kept. Processes that can only fail together should share a name.
// Default: the host's name.
func WithReporter(name string) Option {
	return func(s *settings) { s.reporter = name }
}

// WithColocation puts all breakers of this storage into the one cluster slot of
// tag, on purpose. Their keys differ from those without, so all processes must
// agree. Default: breakers spread over all slots.
func WithColocation(tag string) Option {
	return func(s *settings) { s.tag = &tag }
}

// newSettings applies the options and names every fault of them.
func newSettings(opts []Option) (settings, error) {
	s := settings{timeout: DefaultTimeout, reporter: host()}
	var faults []error
	for i, opt := range opts {
		if opt == nil {
			faults = append(faults, fmt.Errorf("redbreaker: option %d is nil, leave it out: %w", i+1, engine.ErrInvalid))
			continue
		}
		opt(&s)
	}
	if s.timeout <= 0 || s.timeout > maxTimeout {
		faults = append(faults, fmt.Errorf("redbreaker: timeout %v, use above 0 to %v: %w", s.timeout, maxTimeout, engine.ErrInvalid))
	}
	if strings.TrimSpace(s.reporter) == "" {
		faults = append(faults, fmt.Errorf("redbreaker: the reporter has no name, give the host's: %w", engine.ErrInvalid))
	}
	return s, errors.Join(faults...)
}

// keys is how names become keys, by these settings.
func (s *settings) keys() (cluster.Keys, error) {
	namespace := DefaultNamespace
	if s.namespace != nil {
		namespace = *s.namespace
	}
	keys, err := cluster.New(namespace)
	if err == nil && s.tag != nil {
		keys, err = keys.Colocate(*s.tag)
	}
	return keys, err
}

// host names this process where nothing else does.
func host() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "unnamed"
}
