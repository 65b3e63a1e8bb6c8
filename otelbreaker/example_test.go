package otelbreaker_test

import (
	"context"
	"fmt"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/otelbreaker"
)

func Example() {
	reader := sdkmetric.NewManualReader() // in a program: a periodic reader with an exporter
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	hosts, err := otelbreaker.New(otelbreaker.WithMeterProvider(provider), otelbreaker.WithGroup("hosts"))
	if err != nil {
		fmt.Println(err)
		return
	}
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{}, redbreaker.WithHooks(hosts.Hooks()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Stop()
	hosts.ObserveRegistry(registry)

	ctx := context.Background()
	breaker, err := registry.Get("api.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = breaker.Do(ctx, func(context.Context) error { return nil })

	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			if outcome, ok := p.Attributes.Value("redbreaker.circuit_breaker.outcome"); ok && p.Value > 0 {
				fmt.Println(m.Name, outcome.AsString(), p.Value)
			}
		}
	}
	// Output:
	// redbreaker.circuit_breaker.calls success 1
}
