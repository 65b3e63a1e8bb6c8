package otelbreaker

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
)

// SpanName is the name of the spans of [WithSpans].
const SpanName = "redbreaker.call"

// traceCall describes an admitted call in the caller's span, or in one of its own.
func (m *Metrics) traceCall(ctx context.Context, r *redbreaker.CallResult) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return
	}
	state := redbreaker.StateClosed
	if r.Probe {
		state = redbreaker.StateHalfOpen
	}
	attributes := m.describeCall(r.Name, metrics.OutcomeOf(r.Outcome), state)
	if m.tracer == nil {
		parent.SetAttributes(attributes...)
		return
	}
	if errorType := r.ErrorType(); errorType != "" {
		attributes = append(attributes, attribute.String(metrics.AttrErrorType, errorType))
	}
	m.makeSpan(ctx, r.Elapsed, attributes, isFailure(r.Outcome))
}

// traceRejection does the same for a rejected call.
func (m *Metrics) traceRejection(ctx context.Context, e *redbreaker.RejectedError) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return
	}
	attributes := append(m.describeCall(e.Name, metrics.OutcomeRejected, e.State), attribute.String(metrics.AttrReason, string(e.Reason)))
	if m.tracer == nil {
		parent.SetAttributes(attributes...)
		return
	}
	m.makeSpan(ctx, 0, attributes, true)
}

// describeCall names the breaker itself, whatever series counts it: a span is no
// series.
func (m *Metrics) describeCall(name, outcome string, s redbreaker.State) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String(metrics.AttrGroup, m.group.Name()),
		attribute.String(metrics.AttrName, engine.PrintableName(name)),
		attribute.String(metrics.AttrState, s.String()),
		attribute.String(metrics.AttrOutcome, outcome),
	}
}

// makeSpan makes a span of a call that ends now.
func (m *Metrics) makeSpan(ctx context.Context, elapsed time.Duration, attributes []attribute.KeyValue, failed bool) {
	end := time.Now()
	_, span := m.tracer.Start(ctx, SpanName, trace.WithTimestamp(end.Add(-elapsed)), trace.WithAttributes(attributes...))
	if failed {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(end))
}

// isFailure reports whether an outcome counts as a failure.
func isFailure(o redbreaker.Outcome) bool {
	return metrics.OutcomeOf(o) == redbreaker.Failure.String() || o == redbreaker.SlowFailure
}
