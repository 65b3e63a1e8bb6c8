package otelbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
	"github.com/redbreaker/redbreaker/otelbreaker"
)

// patience only ends a test that fails.
const patience = 30 * time.Second

var errDown = errors.New("down")

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errDown }

// opensAtOnce opens the circuit for a long time with the first failure.
var opensAtOnce = redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}

// exported is a group of breakers and the reader that collects it.
type exported struct {
	*otelbreaker.Metrics
	reader *sdkmetric.ManualReader
}

func newExported(t testing.TB, opts ...otelbreaker.Option) *exported {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(2000))
	m, err := otelbreaker.New(append([]otelbreaker.Option{otelbreaker.WithMeterProvider(provider)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return &exported{m, reader}
}

func (e *exported) newBreaker(t testing.TB, name string, p redbreaker.Policy, opts ...redbreaker.Option) *redbreaker.Breaker {
	t.Helper()
	b, err := redbreaker.New(name, p, append(opts, redbreaker.WithHooks(e.Hooks()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// shutDown ends breakers and waits for their hooks.
func shutDown(t testing.TB, b *redbreaker.Breaker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func control(t testing.TB, b *redbreaker.Breaker, a redbreaker.Action) {
	t.Helper()
	if _, err := b.Control(context.Background(), redbreaker.Command{Action: a}); err != nil {
		t.Fatal(err)
	}
}

// collect returns what a reader gets.
func (e *exported) collect(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := e.reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// read returns the values of an instrument by its attributes, without redbreaker.group
// and with short names.
func (e *exported) read(t testing.TB, i *metrics.Instrument) map[string]int64 {
	t.Helper()
	values := map[string]int64{}
	data, ok := e.collect(t)[i.Name].Data.(metricdata.Sum[int64])
	if !ok {
		t.Fatalf("%s was not collected", i.Name)
	}
	for _, p := range data.DataPoints {
		values[describeSet(p.Attributes)] = p.Value
	}
	return values
}

func describeSet(set attribute.Set) string {
	var words []string
	for _, a := range set.ToSlice() {
		if key := string(a.Key); key != metrics.AttrGroup {
			words = append(words, key[strings.LastIndex(key, ".")+1:]+"="+a.Value.AsString())
		}
	}
	return strings.Join(words, " ")
}

// nonZero returns the values other than 0, one a line.
func nonZero(values map[string]int64) string {
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if values[key] != 0 {
			fmt.Fprintf(&lines, "%s: %d\n", key, values[key])
		}
	}
	return lines.String()
}

// newMemory returns a memory on a clock that the test moves.
func newMemory() (*engine.Memory, *time.Duration) {
	now := new(time.Duration)
	return engine.NewMemory(engine.WithClock(func() time.Duration { return *now })), now
}

func sortLines(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// typed is an error type of its own for each T.
type typed[T any] struct{}

func (typed[T]) Error() string { return "typed" }

// manyTypes returns errors of 20 types.
func manyTypes() []error {
	return []error{
		typed[bool]{}, typed[string]{}, typed[int]{}, typed[int8]{}, typed[int16]{}, typed[int32]{}, typed[int64]{},
		typed[uint]{}, typed[uint8]{}, typed[uint16]{}, typed[uint32]{}, typed[uint64]{}, typed[uintptr]{},
		typed[float32]{}, typed[float64]{}, typed[complex64]{}, typed[complex128]{}, typed[[]int]{}, typed[[]bool]{}, typed[[]string]{},
	}
}
