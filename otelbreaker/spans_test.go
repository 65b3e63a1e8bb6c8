package otelbreaker_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/metrics"
	"github.com/redbreaker/redbreaker/otelbreaker"
)

// tracing records spans that have ended.
func tracing(t *testing.T) (*sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return provider, recorder
}

func TestSpans_ofTheCaller(t *testing.T) {
	for want, opts := range map[string][]otelbreaker.Option{
		"":                                      nil,
		"name=dep outcome=success state=closed": {otelbreaker.WithSpanSuccesses()},
	} {
		checkCallersSpan(t, want, newExported(t, opts...))
	}
}

func checkCallersSpan(t *testing.T, ofSuccess string, e *exported) {
	t.Helper()
	provider, recorder := tracing(t)
	b := e.newBreaker(t, "dep", opensAtOnce)
	inSpan := func(call func(context.Context) error) string {
		ctx, span := provider.Tracer("test").Start(context.Background(), "request")
		_ = b.Do(ctx, call)
		span.End()
		ended := recorder.Ended()
		return describeSet(attribute.NewSet(ended[len(ended)-1].Attributes()...))
	}
	for _, c := range []struct {
		call func(context.Context) error
		want string
	}{
		{succeed, ofSuccess},
		{fail, "name=dep outcome=failure state=closed"},
		{succeed, "name=dep outcome=rejected reason=open state=open"},
	} {
		if diff := cmp.Diff(c.want, inSpan(c.call)); diff != "" {
			t.Errorf("attributes (-want +got):\n%s", diff)
		}
	}
	if n := len(recorder.Ended()); n != 3 {
		t.Errorf("%d spans, want only those of the callers", n)
	}
	_ = b.Do(context.Background(), succeed) // no span, no harm
}

func TestSpans_ownOnesIfAskedFor(t *testing.T) {
	provider, recorder := tracing(t)
	e := newExported(t, otelbreaker.WithSpans(), otelbreaker.WithTracerProvider(provider))
	memory, now := newMemory()
	b := e.newBreaker(t, "dep", opensAtOnce, redbreaker.WithStorage(memory))
	ctx, request := provider.Tracer("test").Start(context.Background(), "request")
	_ = b.Do(ctx, func(context.Context) error { *now += time.Second; return errDown })
	_ = b.Do(ctx, succeed) // rejected
	*now += time.Hour
	probe, err := b.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	probe.Settle(ctx, nil)
	probe.Success()                         // settled already
	_ = b.Do(context.Background(), succeed) // no trace to belong to
	request.End()
	ended := recorder.Ended()
	if len(ended) != 4 {
		t.Fatalf("%d spans, want 3 and the caller's", len(ended))
	}
	for i, want := range []struct {
		attributes string
		status     codes.Code
		length     time.Duration
	}{
		{"type=*errors.errorString name=dep outcome=failure state=closed", codes.Error, time.Second},
		{"name=dep outcome=rejected reason=open state=open", codes.Error, 0},
		{"name=dep outcome=success state=half_open", codes.Unset, 0},
	} {
		s := ended[i]
		if got := describeSet(attribute.NewSet(s.Attributes()...)); got != want.attributes || s.Status().Code != want.status ||
			s.EndTime().Sub(s.StartTime()) != want.length || s.Name() != otelbreaker.SpanName || s.Parent().SpanID() != request.SpanContext().SpanID() {
			t.Errorf("span %d: %s, %v, %v, want %+v", i, got, s.Status(), s.EndTime().Sub(s.StartTime()), want)
		}
	}
	if n := len(ended[3].Attributes()); n != 0 {
		t.Errorf("the caller's span has %d attributes, want none", n)
	}
}

// The histogram gets its exemplars by the caller's context.
func TestDuration_exemplars(t *testing.T) {
	provider, _ := tracing(t)
	e := newExported(t, otelbreaker.WithDuration(), otelbreaker.WithNames("dep"))
	memory, now := newMemory()
	b := e.newBreaker(t, "dep", redbreaker.Policy{}, redbreaker.WithStorage(memory))
	ctx, span := provider.Tracer("test").Start(context.Background(), "request")
	defer span.End()
	_ = b.Do(ctx, func(context.Context) error { *now += 30 * time.Millisecond; return nil })
	data, _ := e.collect(t)[metrics.CallDuration.Name].Data.(metricdata.Histogram[float64])
	if len(data.DataPoints) != 1 || describeSet(data.DataPoints[0].Attributes) != "name=dep outcome=success" || data.DataPoints[0].Sum != 0.03 {
		t.Fatalf("collected %+v", data)
	}
	exemplars := data.DataPoints[0].Exemplars
	if id := span.SpanContext().TraceID(); len(exemplars) != 1 || string(exemplars[0].TraceID) != string(id[:]) {
		t.Errorf("exemplars %+v, want one of trace %v", exemplars, id)
	}
}
