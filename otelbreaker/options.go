package otelbreaker

import (
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
)

// Option configures [New].
type Option func(*settings)

type settings struct {
	group     metrics.Config
	meters    metric.MeterProvider
	tracers   trace.TracerProvider
	duration  bool
	spans     bool
	successes bool

	faults []error
}

// WithGroup sets the attribute redbreaker.group of all series. Default: default.
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

// WithDuration also exports redbreaker.circuit_breaker.call.duration, a histogram with
// exemplars. It costs two clock readings and some 100 ns per call.
func WithDuration() Option { return func(s *settings) { s.duration = true } }

// WithSpanSuccesses describes calls that simply succeed in the caller's span too. To look
// for a span costs more than to count such a call. Default: calls that are rejected, that
// fail, or whose success is slow, late or not counted.
func WithSpanSuccesses() Option { return func(s *settings) { s.successes = true } }

// WithSpans makes a span for each call whose context has one, and leaves the caller's
// span unchanged. The spans are made when calls end, so spans that the call itself
// begins are their siblings. It costs two clock readings per call.
func WithSpans() Option { return func(s *settings) { s.spans = true } }

// WithMeterProvider sets where the instruments are made. Default: the global provider.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(s *settings) {
		if engine.IsNil(p) {
			s.addFault("WithMeterProvider got nil, leave it out to use the global provider")
			return
		}
		s.meters = p
	}
}

// WithTracerProvider sets where the spans of [WithSpans] are made. Default: the global
// provider.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(s *settings) {
		if engine.IsNil(p) {
			s.addFault("WithTracerProvider got nil, leave it out to use the global provider")
			return
		}
		s.tracers = p
	}
}

// newSettings applies the options and returns all their faults.
func newSettings(opts []Option) (*settings, error) {
	s := &settings{meters: otel.GetMeterProvider(), tracers: otel.GetTracerProvider()}
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
