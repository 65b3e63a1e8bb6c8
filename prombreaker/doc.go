// Package prombreaker exports metrics of breakers to Prometheus, through its client
// library.
//
//	hosts, err := prombreaker.New(prombreaker.WithGroup("hosts"))
//	...
//	registry, err := redbreaker.NewRegistry(config, redbreaker.WithHooks(hosts.Hooks()))
//	...
//	hosts.ObserveRegistry(registry)
//	prometheus.MustRegister(hosts)
//
// The page docs/metrics.md of the repository lists the metrics with their labels, and
// package metrics explains which breakers have series of their own. The names are those
// that OpenTelemetry's exporters give to the metrics of otelbreaker, so dashboards and
// alert rules work with both.
//
// # The fleet
//
// Each process exports what it did and what it knows. [NewFleetCollector] exports the
// records of a storage instead, which all processes share: register it in one process.
package prombreaker
