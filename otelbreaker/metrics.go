package otelbreaker

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
)

// scope is the name of the meter and of the tracer.
const scope = "github.com/redbreaker/redbreaker/otelbreaker"

// Metrics exports one group of breakers. Make it with [New]. All methods are safe for
// concurrent use.
type Metrics struct {
	group        *metrics.Group
	observables  map[*metrics.Instrument]metric.Int64Observable
	registration metric.Registration
	stepDuration metric.Float64Histogram
	stepSize     metric.Float64Histogram
	durations    *durations   // nil without WithDuration
	tracer       trace.Tracer // nil without WithSpans
	// tracesSuccesses is set if plain successes appear in the caller's span too.
	tracesSuccesses bool
}

// New makes the instruments of a group of breakers. They exist at 0 from now on. The
// error names every fault of the options and wraps redbreaker.ErrInvalid, or is the
// meter's.
func New(opts ...Option) (*Metrics, error) {
	s, err := newSettings(opts)
	group, invalid := metrics.NewGroup(s.group)
	if err := errors.Join(err, invalid); err != nil {
		return nil, err
	}
	m := &Metrics{group: group, tracesSuccesses: s.successes}
	meter := s.meters.Meter(scope)
	if err := m.makeStepInstruments(meter); err != nil {
		return nil, err
	}
	if s.duration {
		if m.durations, err = newDurations(meter, group, s.group.Names); err != nil {
			return nil, err
		}
	}
	if s.spans {
		m.tracer = s.tracers.Tracer(scope)
	}
	if err := m.registerObservables(meter); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Metrics) makeStepInstruments(meter metric.Meter) (err error) {
	if m.stepDuration, err = newHistogram(meter, metrics.StepDuration); err != nil {
		return err
	}
	m.stepSize, err = newHistogram(meter, metrics.StepOperations)
	return err
}

// ObserveStep records a step of a storage. Pass it to storage.WithStepObserver or
// cas.WithStepObserver.
func (m *Metrics) ObserveStep(r engine.StepReport) {
	ctx := context.Background()
	series := metric.WithAttributes(attributesOf(metrics.StepDuration, m.group.Name(), r.Kind, metrics.ErrorClass(r.Err))...)
	m.stepDuration.Record(ctx, r.Elapsed.Seconds(), series)
	m.stepSize.Record(ctx, float64(r.Operations), series)
}

// registerObservables makes the instruments that a reader collects from the group.
func (m *Metrics) registerObservables(meter metric.Meter) error {
	m.observables = map[*metrics.Instrument]metric.Int64Observable{}
	var all []metric.Observable
	for _, i := range metrics.Instruments() {
		o, err := newObservable(meter, i)
		if err != nil {
			return err
		}
		if o != nil {
			m.observables[i] = o
			all = append(all, o)
		}
	}
	var err error
	m.registration, err = meter.RegisterCallback(m.observeGroup, all...)
	return err
}

// newObservable returns nil for a histogram, which cannot be observed.
func newObservable(meter metric.Meter, i *metrics.Instrument) (metric.Int64Observable, error) {
	switch i.Kind {
	case metrics.Counter:
		return meter.Int64ObservableCounter(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Description))
	case metrics.UpDownCounter:
		return meter.Int64ObservableUpDownCounter(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Description))
	}
	return nil, nil
}

// observeGroup reports the values of the group to a reader.
func (m *Metrics) observeGroup(_ context.Context, o metric.Observer) error {
	m.group.Collect(func(s metrics.Sample) {
		o.ObserveInt64(m.observables[s.Instrument], int64(s.Value), metric.WithAttributes(attributesOf(s.Instrument, s.Values...)...))
	})
	return nil
}

// attributesOf returns the attributes of a series, without those that are absent.
func attributesOf(i *metrics.Instrument, values ...string) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(values))
	for n, v := range values {
		if v != "" {
			all = append(all, attribute.String(i.Attributes[n], v))
		}
	}
	return all
}

// ObserveRegistry adds the breakers of a registry to status, override and
// storage.status. A breaker that the registry evicts leaves them.
func (m *Metrics) ObserveRegistry(r *redbreaker.Registry) { m.group.ObserveRegistry(r) }

// ObserveBreakers adds breakers to status, override and storage.status.
func (m *Metrics) ObserveBreakers(breakers ...*redbreaker.Breaker) {
	m.group.ObserveBreakers(breakers...)
}

// Close ends the export. Hooks that are still called count without effect. It may be
// called twice.
func (m *Metrics) Close() error { return m.registration.Unregister() }
