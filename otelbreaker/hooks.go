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
	if !h.Untimed || m.tracesSuccesses {
		h.SuccessCounter = nil // OnCall needs all calls
	}
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

// durations is the histogram of the length of calls. The attributes of all its series
// are made in advance, because making them costs more than recording.
type durations struct {
	histogram metric.Float64Histogram
	series    map[string]outcomeSeries // by Group.Label
}

// outcomeSeries are the series of the outcomes of one label.
type outcomeSeries map[redbreaker.Outcome][]metric.RecordOption

func newDurations(meter metric.Meter, g *metrics.Group, names []string) (*durations, error) {
	h, err := newHistogram(meter, metrics.CallDuration)
	d := &durations{histogram: h, series: map[string]outcomeSeries{"": newOutcomeSeries(g, "")}}
	for _, name := range names {
		label := g.Label(name)
		d.series[label] = newOutcomeSeries(g, label)
	}
	return d, err
}

func newOutcomeSeries(g *metrics.Group, label string) outcomeSeries {
	all := outcomeSeries{}
	for _, o := range []redbreaker.Outcome{
		redbreaker.Success, redbreaker.SlowSuccess, redbreaker.Failure, redbreaker.SlowFailure, redbreaker.TripNow, redbreaker.Ignored,
	} {
		attributes := attributesOf(metrics.CallDuration, g.Name(), label, metrics.OutcomeOf(o))
		all[o] = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
	}
	return all
}

func newHistogram(meter metric.Meter, i *metrics.Instrument) (metric.Float64Histogram, error) {
	return meter.Float64Histogram(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Description),
		metric.WithExplicitBucketBoundaries(i.Boundaries...))
}

// recordCall passes the caller's context on, from which the SDK takes the exemplar.
func (d *durations) recordCall(ctx context.Context, g *metrics.Group, r *redbreaker.CallResult) {
	d.histogram.Record(ctx, r.Elapsed.Seconds(), d.series[g.Label(r.Name)][r.Outcome]...)
}
