// Package metrics counts what breakers do, and names it. It uses no metrics library:
// packages otelbreaker and prombreaker export it, each in a module of its own, and a
// program with another library can do as they do, by [Group.Collect].
//
//	hosts, err := metrics.NewGroup(metrics.Config{Name: "hosts"})
//	...
//	registry, err := redbreaker.NewRegistry(config, redbreaker.WithHooks(hosts.Hooks()))
//	...
//	hosts.ObserveRegistry(registry)
//
// # Names
//
// [Instruments] lists every instrument of a process, [FleetInstruments] those of a
// storage's records. Names, units and attributes are part of the API of this module.
//
// # Bounded numbers of series
//
// A registry may have thousands of breakers, and libraries drop series beyond some
// thousands. So the breakers of a group share one series of each kind, without the
// attribute [AttrName]. These have series of their own:
//
//   - the breakers that [Config].Names lists,
//   - and, for status and override, those that are not closed and in auto, at most
//     [Config].Listed of them. Their series vanish when they close.
//
// A breaker is counted in one of these series only: sums over a group are exact.
//
// [Group.Collect] reads [redbreaker.Breaker.Status], which does no I/O. [Fleet.Collect]
// reads the storage.
package metrics
