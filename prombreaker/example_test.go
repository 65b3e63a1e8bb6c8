package prombreaker_test

import (
	"context"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/prombreaker"
)

func Example() {
	collector, err := prombreaker.New(prombreaker.WithNames("payments"))
	if err != nil {
		fmt.Println(err)
		return
	}
	payments, err := redbreaker.New("payments", redbreaker.Policy{}, redbreaker.WithHooks(collector.Hooks()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer payments.Stop()
	collector.ObserveBreakers(payments)

	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer, with promhttp.Handler
	registry.MustRegister(collector)

	_ = payments.Do(context.Background(), func(context.Context) error { return nil })

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		if family.GetName() == "redbreaker_storage_status" {
			_, _ = expfmt.MetricFamilyToText(os.Stdout, family)
		}
	}
	// Output:
	// # HELP redbreaker_storage_status Breakers of this process by whether their storage answers.
	// # TYPE redbreaker_storage_status gauge
	// redbreaker_storage_status{redbreaker_group="default",redbreaker_storage_kind="memory",redbreaker_storage_state="degraded"} 0
	// redbreaker_storage_status{redbreaker_group="default",redbreaker_storage_kind="memory",redbreaker_storage_state="ok"} 1
}

// One process of the fleet exports the records that all processes share.
func ExampleNewFleetCollector() {
	memory := engine.NewMemory() // in a fleet: storage.NewRedis
	fleet, err := prombreaker.NewFleetCollector(memory, prombreaker.FleetConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(fleet)

	if _, err := memory.Control(context.Background(), "payments", engine.Command{Action: engine.ActionTrip}); err != nil {
		fmt.Println(err)
		return
	}
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		if family.GetName() == "redbreaker_fleet_trips" {
			_, _ = expfmt.MetricFamilyToText(os.Stdout, family)
		}
	}
	// Output:
	// # HELP redbreaker_fleet_trips Times in a row that the circuit opened, for the backoff.
	// # TYPE redbreaker_fleet_trips gauge
	// redbreaker_fleet_trips{redbreaker_circuit_breaker_name="payments"} 1
}
