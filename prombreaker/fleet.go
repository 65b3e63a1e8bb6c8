package prombreaker

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
)

// FleetConfig configures [NewFleetCollector]. The zero value is usable.
type FleetConfig struct {
	// Listed is the most records with series of their own, those first that are not
	// closed and in auto. The others are part of the sums. Zero: 200.
	Listed int
	// Timeout is how long a scrape may read the storage. Zero: 5 s.
	Timeout time.Duration
}

// DefaultFleetTimeout is FleetConfig.Timeout where it is 0.
const DefaultFleetTimeout = 5 * time.Second

// FleetCollector exports the records of a storage. Make it with [NewFleetCollector].
type FleetCollector struct {
	fleet     *metrics.Fleet
	timeout   time.Duration
	described described
}

var _ prometheus.Collector = (*FleetCollector)(nil)

// NewFleetCollector returns a collector of all records of a storage, such as that of
// package storage. Register it in one process of the fleet: each scrape lists the
// storage and reads every record, which takes Redis some 20 us for each. For several
// storages, give each a label by prometheus.WrapRegistererWith. The error names every
// fault and wraps redbreaker.ErrInvalid.
func NewFleetCollector(s metrics.FleetSource, c FleetConfig) (*FleetCollector, error) {
	fleet, err := metrics.NewFleet(s, c.Listed)
	if c.Timeout < 0 {
		err = errors.Join(err, engine.Invalid("FleetConfig.Timeout is %v, use more than 0, or 0 for %v", c.Timeout, DefaultFleetTimeout))
	}
	if err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultFleetTimeout
	}
	return &FleetCollector{fleet, c.Timeout, newDescribed(metrics.FleetInstruments(), "")}, nil
}

// Describe implements prometheus.Collector.
func (c *FleetCollector) Describe(all chan<- *prometheus.Desc) { c.described.sendDescs(all) }

// Collect implements prometheus.Collector. Records that cannot be read are missing and
// count in redbreaker_fleet_errors_total; the scrape succeeds.
func (c *FleetCollector) Collect(all chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	_ = c.fleet.Collect(ctx, func(s metrics.Sample) { all <- c.described.newMetric(s) }) // fleet.errors counts it
}
