package prombreaker

import (
	"errors"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
)

// Option configures [New].
type Option func(*settings)

type settings struct {
	group    metrics.Config
	duration bool

	faults []error
}

// WithGroup sets the label redbreaker_group of all series. Collectors in one registry
// need different groups. Default: default.
func WithGroup(name string) Option { return func(s *settings) { s.group.Name = name } }

// WithNames gives the breakers of these names series of their own, at most 32 of them,
// which exist at 0 from the start. All other breakers of the group share one series of
// each kind.
func WithNames(names ...string) Option {
	return func(s *settings) { s.group.Names = append(s.group.Names, names...) }
}

// WithListed sets how many breakers appear by name in status and override while they
// are not closed and in auto, beside those of [WithNames]. The rest share a series.
// Negative: none. Default: 200.
func WithListed(n int) Option { return func(s *settings) { s.group.Listed = n } }

// WithDuration also exports redbreaker_circuit_breaker_call_duration_seconds, a
// histogram. It costs two clock readings per call.
func WithDuration() Option { return func(s *settings) { s.duration = true } }

// newSettings applies the options and returns all their faults.
func newSettings(opts []Option) (*settings, error) {
	s := &settings{}
	for i, opt := range opts {
		if opt == nil {
			s.faults = append(s.faults, engine.Invalid("option %d is nil, leave it out", i+1))
			continue
		}
		opt(s)
	}
	return s, errors.Join(s.faults...)
}
