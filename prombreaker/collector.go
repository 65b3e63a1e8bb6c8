package prombreaker

import (
	"context"
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
)

// Collector exports one group of breakers. Make it with [New] and register it. All
// methods are safe for concurrent use.
type Collector struct {
	group        *metrics.Group
	described    described
	stepDuration *prometheus.HistogramVec
	stepSize     *prometheus.HistogramVec
	durations    *prometheus.HistogramVec // nil without WithDuration
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns the collector of a group of breakers. Its series exist at 0 from now on.
// The error names every fault of the options and wraps redbreaker.ErrInvalid.
func New(opts ...Option) (*Collector, error) {
	s, err := newSettings(opts)
	group, invalid := metrics.NewGroup(s.group)
	if err := errors.Join(err, invalid); err != nil {
		return nil, err
	}
	c := &Collector{
		group:        group,
		described:    newDescribed(metrics.Instruments(), group.Name()),
		stepDuration: newHistogram(metrics.StepDuration, group.Name()),
		stepSize:     newHistogram(metrics.StepOperations, group.Name()),
	}
	if s.duration {
		c.durations = newHistogram(metrics.CallDuration, group.Name())
	}
	return c, nil
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(all chan<- *prometheus.Desc) {
	c.described.sendDescs(all)
	for _, h := range c.histograms() {
		h.Describe(all)
	}
}

func (c *Collector) histograms() []*prometheus.HistogramVec {
	all := []*prometheus.HistogramVec{c.stepDuration, c.stepSize}
	if c.durations != nil {
		all = append(all, c.durations)
	}
	return all
}

// Collect implements prometheus.Collector. It does no I/O.
func (c *Collector) Collect(all chan<- prometheus.Metric) {
	c.group.Collect(func(s metrics.Sample) { all <- c.described.newMetric(s) })
	for _, h := range c.histograms() {
		h.Collect(all)
	}
}

// ObserveStep records a step of a storage. Pass it to storage.WithStepObserver or
// cas.WithStepObserver.
func (c *Collector) ObserveStep(r engine.StepReport) {
	class := metrics.ErrorClass(r.Err)
	c.stepDuration.WithLabelValues(r.Kind, class).Observe(r.Elapsed.Seconds())
	c.stepSize.WithLabelValues(r.Kind, class).Observe(float64(r.Operations))
}

// ObserveRegistry adds the breakers of a registry to status, override and
// storage_status. A breaker that the registry evicts leaves them.
func (c *Collector) ObserveRegistry(r *redbreaker.Registry) { c.group.ObserveRegistry(r) }

// ObserveBreakers adds breakers to status, override and storage_status.
func (c *Collector) ObserveBreakers(breakers ...*redbreaker.Breaker) {
	c.group.ObserveBreakers(breakers...)
}

// Hooks returns the hooks that count calls, transitions and anomalies. Give them to
// redbreaker.WithHooks of the group's registry or breakers. LogHooks and others may be
// given beside them.
func (c *Collector) Hooks() redbreaker.Hooks {
	h := c.group.Hooks()
	if c.durations == nil {
		return h
	}
	countCall := h.OnCall
	h.Untimed, h.SuccessCounter = false, nil // OnCall needs all calls
	h.OnCall = func(ctx context.Context, r redbreaker.CallResult) {
		countCall(ctx, r)
		c.durations.WithLabelValues(c.group.Label(r.Name), metrics.OutcomeOf(r.Outcome)).Observe(r.Elapsed.Seconds())
	}
	return h
}

// described holds the descriptions of instruments that are no histograms. The group is
// a constant label: so collectors of different groups fit into one registry.
type described map[*metrics.Instrument]*prometheus.Desc

func newDescribed(instruments []*metrics.Instrument, group string) described {
	d := described{}
	for _, i := range instruments {
		if i.Kind != metrics.Histogram {
			d[i] = prometheus.NewDesc(i.PrometheusName(), i.Description, variableLabels(i), constantLabels(i, group))
		}
	}
	return d
}

func (d described) sendDescs(all chan<- *prometheus.Desc) {
	for _, desc := range d {
		all <- desc
	}
}

func (d described) newMetric(s metrics.Sample) prometheus.Metric {
	kind := prometheus.GaugeValue
	if s.Instrument.Kind == metrics.Counter {
		kind = prometheus.CounterValue
	}
	values := s.Values
	if hasGroup(s.Instrument) {
		values = values[1:]
	}
	return prometheus.MustNewConstMetric(d[s.Instrument], kind, s.Value, values...)
}

func hasGroup(i *metrics.Instrument) bool {
	return len(i.Attributes) > 0 && i.Attributes[0] == metrics.AttrGroup
}

func variableLabels(i *metrics.Instrument) []string {
	var labels []string
	for _, a := range i.Attributes {
		if a != metrics.AttrGroup {
			labels = append(labels, metrics.PrometheusLabel(a))
		}
	}
	return labels
}

// constantLabels replaces bytes that are no UTF-8, because Prometheus refuses them.
func constantLabels(i *metrics.Instrument, group string) prometheus.Labels {
	if !hasGroup(i) {
		return nil
	}
	return prometheus.Labels{metrics.PrometheusLabel(metrics.AttrGroup): strings.ToValidUTF8(group, "\ufffd")}
}

func newHistogram(i *metrics.Instrument, group string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: i.PrometheusName(), Help: i.Description, Buckets: i.Boundaries, ConstLabels: constantLabels(i, group),
	}, variableLabels(i))
}
