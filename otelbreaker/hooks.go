package otelbreaker

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/metrics"
)

// Hooks returns the hooks that count calls, transitions and anomalies, and describe
// calls in spans. Give them to redbreaker.WithHooks of the group's registry or breakers.
// LogHooks and others may be given beside them.
func (m *Metrics) Hooks() redbreaker.Hooks {
	h := m.group.Hooks()
	countCall, countRejection := h.OnCall, h.OnReject
	h.Untimed = m.durations == nil && m.tracer == nil
	h.OnCall = func(ctx context.Context, r redbreaker.CallResult) {
		countCall(ctx, r)
		if m.durations != nil {
			m.durations.recordCall(ctx, m.group, &r)
		}
		m.traceCall(ctx, &r)
	}
	h.OnReject = func(ctx context.Context, e *redbreaker.RejectedError) {
		countRejection(ctx, e)
		m.traceRejection(ctx, e)
	}
	return h
}

// durations is the histogram of the length of calls.
type durations struct{ histogram metric.Float64Histogram }

func newDurations(meter metric.Meter) (*durations, error) {
	h, err := newHistogram(meter, metrics.CallDuration)
	return &durations{h}, err
}

func newHistogram(meter metric.Meter, i *metrics.Instrument) (metric.Float64Histogram, error) {
	return meter.Float64Histogram(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Description),
		metric.WithExplicitBucketBoundaries(i.Boundaries...))
}

// recordCall passes the caller's context on, from which the SDK takes the exemplar.
func (d *durations) recordCall(ctx context.Context, g *metrics.Group, r *redbreaker.CallResult) {
	series := attributesOf(metrics.CallDuration, g.Name(), g.Label(r.Name), metrics.OutcomeOf(r.Outcome))
	d.histogram.Record(ctx, r.Elapsed.Seconds(), metric.WithAttributeSet(attribute.NewSet(series...)))
}
