// Package settings has the options that all storages share.
package settings

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// DefaultTimeout is the timeout of an operation unless an option sets another.
const DefaultTimeout = 250 * time.Millisecond

// MaxTimeout is far longer than a call should ever wait for its breaker.
const MaxTimeout = time.Minute

// Common holds the settings of every storage.
type Common struct {
	Timeout  time.Duration
	Reporter string
	Observer StepObserver
}

// StepObserver is called for each step of a storage; nil if an option sets none.
type StepObserver func(engine.StepReport)

// ReportStep calls the observer, if there is one, for a step of operations of which the
// first came at since.
func (f StepObserver) ReportStep(kind string, since time.Time, operations int64, err error) {
	if f != nil {
		f(engine.StepReport{Kind: kind, Operations: operations, Elapsed: time.Since(since), Err: err})
	}
}

// Default returns the settings of a storage without options.
func Default() Common { return Common{Timeout: DefaultTimeout, Reporter: hostname()} }

// Validate returns every fault of the settings, joined, each wrapping
// engine.ErrInvalid.
func (c *Common) Validate() error {
	var faults []error
	if c.Timeout <= 0 || c.Timeout > MaxTimeout {
		faults = append(faults, engine.Invalid("timeout %v, use above 0 to %v", c.Timeout, MaxTimeout))
	}
	if strings.TrimSpace(c.Reporter) == "" {
		faults = append(faults, engine.Invalid("the reporter has no name, give the host's"))
	}
	return errors.Join(faults...)
}

// Apply runs options on s. A nil option is a fault.
func Apply[S any, O ~func(*S)](s *S, opts []O) error {
	var faults []error
	for i, opt := range opts {
		if opt == nil {
			faults = append(faults, engine.Invalid("option %d is nil, leave it out", i+1))
			continue
		}
		opt(s)
	}
	return errors.Join(faults...)
}

// hostname names this process unless an option does.
func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "unnamed"
}
