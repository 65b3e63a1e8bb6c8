// Package otelbreaker exports metrics and spans of breakers through OpenTelemetry.
//
//	hosts, err := otelbreaker.New(otelbreaker.WithGroup("hosts"))
//	...
//	registry, err := redbreaker.NewRegistry(config, redbreaker.WithHooks(hosts.Hooks()))
//	...
//	hosts.ObserveRegistry(registry)
//
// The page docs/metrics.md of the repository lists the instruments with their units and
// attributes, and package metrics explains which breakers have series of their own.
//
// # Counters
//
// Calls are counted by the hooks and handed to OpenTelemetry when a reader collects. So
// counting a success costs one atomic addition, and neither a lock nor an allocation. A
// counter that is observed has no exemplars; the histogram of [WithDuration] has.
//
// # Spans
//
// If a call is rejected or fails, the span of the caller's context gets the name of the
// breaker, its state, the outcome and, with a rejection, the reason; with
// [WithSpanSuccesses] also if it succeeds. If several calls share a span, it shows the
// last one; [WithSpans] makes a span for each call instead.
package otelbreaker
