package metrics

import "strings"

// Kind is the kind of an [Instrument].
type Kind uint8

// The kinds of instruments.
const (
	Counter       Kind = iota + 1 // only grows
	UpDownCounter                 // a sum that grows and shrinks; Prometheus: gauge
	Gauge                         // a value that cannot be summed
	Histogram
)

// String returns counter, updowncounter, gauge or histogram.
func (k Kind) String() string {
	return [...]string{"none", "counter", "updowncounter", "gauge", "histogram"}[k]
}

// Names of the attributes. [Attributes] lists their values.
const (
	AttrGroup     = "redbreaker.group"
	AttrName      = "redbreaker.circuit_breaker.name"
	AttrOutcome   = "redbreaker.circuit_breaker.outcome"
	AttrReason    = "redbreaker.circuit_breaker.rejection.reason"
	AttrState     = "redbreaker.circuit_breaker.state"
	AttrMode      = "redbreaker.circuit_breaker.mode"
	AttrFrom      = "redbreaker.circuit_breaker.from"
	AttrTo        = "redbreaker.circuit_breaker.to"
	AttrCause     = "redbreaker.circuit_breaker.cause"
	AttrAnomaly   = "redbreaker.circuit_breaker.anomaly"
	AttrTally     = "redbreaker.circuit_breaker.tally"
	AttrThreshold = "redbreaker.circuit_breaker.threshold"
	AttrKind      = "redbreaker.storage.kind"
	AttrStorage   = "redbreaker.storage.state"
	AttrErrorType = "error.type"
)

// Attribute is an attribute of instruments.
type Attribute struct {
	Name   string
	Values string // in words
}

// Attributes returns all attributes of the instruments.
func Attributes() []Attribute {
	return []Attribute{
		{AttrGroup, "the group of breakers, `default` unless an option names it"},
		{AttrName, "the breaker's name, as logs print it; absent in a series that breakers share"},
		{AttrOutcome, "`success`, `slow_success`, `failure`, `slow_failure`, `ignored`, `rejected`"},
		{AttrReason, "of a rejection: `open`, `probing`, `ramping`, `forced`, `unavailable`"},
		{AttrState, "`closed`, `open`, `half_open`"},
		{AttrMode, "`forced_open`, `forced_closed`, `shadow`"},
		{AttrFrom, "the state before a transition"},
		{AttrTo, "the state after it"},
		{AttrCause, "`consecutive`, `failure_count`, `failure_rate`, `slow_rate`, `demanded`, `probe_failed`, `recovered`, `elapsed`, `operator`, `mode_ended`, `created`, `healed`"},
		{AttrAnomaly, "`lost`, `healed`, `skew`, `probe_overdue`, `probes_ignored`, `unlisted`, `missed`, `push_lost`"},
		{AttrTally, "`streak`, `calls`, `failures`, `slow`"},
		{AttrThreshold, "`consecutive_failures`, `failure_count`, `failure_rate`, `slow_call_rate`, `min_calls`"},
		{AttrKind, "`memory`, `redis`, `cas`, or what another storage calls itself"},
		{AttrStorage, "`ok`, `degraded`"},
		{AttrErrorType, "of a failed call: the type of its error, at most 16 types for each series, then `_OTHER`; of a step: `not_executed`, `unknown`, `refused`, `foreign`"},
	}
}

// Instrument is one metric. Do not change the ones of this package.
type Instrument struct {
	Name        string // as in OpenTelemetry
	Kind        Kind
	Unit        string // in UCUM; "1" for a number of what the name says
	Description string
	Attributes  []string  // in the order of Sample.Values
	Boundaries  []float64 // upper bounds of a histogram's buckets
	OptIn       bool      // is exported only if asked for
}

// PrometheusName returns the name in Prometheus: with underscores, the unit of a
// time, and _total for a counter.
func (i *Instrument) PrometheusName() string {
	name := PrometheusLabel(i.Name)
	if i.Unit == "s" {
		name += "_seconds"
	}
	if i.Kind == Counter {
		name += "_total"
	}
	return name
}

// PrometheusLabel returns an attribute's name in Prometheus.
func PrometheusLabel(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }

// Sample is one value of an instrument.
type Sample struct {
	Instrument *Instrument
	// Values has the value of each of the Instrument's attributes, in their order. An
	// empty one is absent.
	Values []string
	Value  float64
}

// The instruments of a process.
var (
	Calls = &Instrument{
		Name: "redbreaker.circuit_breaker.calls", Kind: Counter, Unit: "{call}",
		Description: "Calls by their outcome. A failure has the type of its error, a rejection its reason.",
		Attributes:  []string{AttrGroup, AttrName, AttrOutcome, AttrReason, AttrErrorType},
	}
	CallDuration = &Instrument{
		Name: "redbreaker.circuit_breaker.call.duration", Kind: Histogram, Unit: "s", OptIn: true,
		Description: "How long admitted calls took.",
		Attributes:  []string{AttrGroup, AttrName, AttrOutcome},
		Boundaries:  []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10},
	}
	Status = &Instrument{
		Name: "redbreaker.circuit_breaker.status", Kind: UpDownCounter, Unit: "1",
		Description: "Breakers of this process by their last known state.",
		Attributes:  []string{AttrGroup, AttrName, AttrState},
	}
	Override = &Instrument{
		Name: "redbreaker.circuit_breaker.override", Kind: UpDownCounter, Unit: "1",
		Description: "Breakers of this process that an operator holds in a mode.",
		Attributes:  []string{AttrGroup, AttrName, AttrMode},
	}
	Transitions = &Instrument{
		Name: "redbreaker.circuit_breaker.transitions", Kind: Counter, Unit: "{transition}",
		Description: "Transitions that a step of this process made, so that a sum over the fleet counts each once.",
		Attributes:  []string{AttrGroup, AttrName, AttrFrom, AttrTo, AttrCause},
	}
	WouldReject = &Instrument{
		Name: "redbreaker.circuit_breaker.would_reject", Kind: Counter, Unit: "{call}",
		Description: "Calls that were admitted only because the mode is shadow.",
		Attributes:  []string{AttrGroup, AttrName},
	}
	Anomalies = &Instrument{
		Name: "redbreaker.circuit_breaker.anomalies", Kind: Counter, Unit: "{event}",
		Description: "Events that should not occur: policies that differ, records that were lost or damaged, probes that are late or ignored, transitions that were missed, push that does not work, breakers that cannot be listed.",
		Attributes:  []string{AttrGroup, AttrName, AttrAnomaly},
	}
	StaleResults = &Instrument{
		Name: "redbreaker.results.stale", Kind: Counter, Unit: "{call}",
		Description: "Calls whose result came too late to count.",
		Attributes:  []string{AttrGroup, AttrName},
	}
	DroppedEvents = &Instrument{
		Name: "redbreaker.events.dropped", Kind: Counter, Unit: "{event}",
		Description: "Events that hooks were too slow to receive. Transitions among them are missing in the transitions counter.",
		Attributes:  []string{AttrGroup, AttrName},
	}
	StorageStatus = &Instrument{
		Name: "redbreaker.storage.status", Kind: UpDownCounter, Unit: "1",
		Description: "Breakers of this process by whether their storage answers.",
		Attributes:  []string{AttrGroup, AttrKind, AttrStorage},
	}
	StepDuration = &Instrument{
		Name: "redbreaker.storage.step.duration", Kind: Histogram, Unit: "s",
		Description: "How long steps took, from the first operation that waited for it to the reply. A failed step has the class of its error.",
		Attributes:  []string{AttrGroup, AttrKind, AttrErrorType},
		Boundaries:  []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1},
	}
	StepOperations = &Instrument{
		Name: "redbreaker.storage.step.operations", Kind: Histogram, Unit: "{operation}",
		Description: "Admissions and results that shared a step.",
		Attributes:  []string{AttrGroup, AttrKind, AttrErrorType},
		Boundaries:  []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
	}
)

// The instruments of a storage's records, which one process exports for the fleet.
var (
	FleetStatus = &Instrument{
		Name: "redbreaker.fleet.status", Kind: UpDownCounter, Unit: "1",
		Description: "Records by their state.",
		Attributes:  []string{AttrName, AttrState},
	}
	FleetOverride = &Instrument{
		Name: "redbreaker.fleet.override", Kind: UpDownCounter, Unit: "1",
		Description: "Records that an operator holds in a mode.",
		Attributes:  []string{AttrName, AttrMode},
	}
	FleetTransitions = &Instrument{
		Name: "redbreaker.fleet.transitions", Kind: Counter, Unit: "{transition}",
		Description: "Number of the newest transition of the record's log. It restarts when the record is lost or expires.",
		Attributes:  []string{AttrName},
	}
	FleetTrips = &Instrument{
		Name: "redbreaker.fleet.trips", Kind: Gauge, Unit: "{trip}",
		Description: "Times in a row that the circuit opened, for the backoff.",
		Attributes:  []string{AttrName},
	}
	FleetTally = &Instrument{
		Name: "redbreaker.fleet.tally", Kind: Gauge, Unit: "{call}",
		Description: "Tallies of the window, and the failures in a row.",
		Attributes:  []string{AttrName, AttrTally},
	}
	FleetThreshold = &Instrument{
		Name: "redbreaker.fleet.threshold", Kind: Gauge, Unit: "1",
		Description: "Thresholds of the record's policy: numbers of calls, and rates from 0 to 1. A rule that is off has none.",
		Attributes:  []string{AttrName, AttrThreshold},
	}
	FleetAge = &Instrument{
		Name: "redbreaker.fleet.age", Kind: Gauge, Unit: "s",
		Description: "How long the state has lasted.",
		Attributes:  []string{AttrName},
	}
	FleetRetryAfter = &Instrument{
		Name: "redbreaker.fleet.retry_after", Kind: Gauge, Unit: "s",
		Description: "How long the circuit will still reject calls, as far as known.",
		Attributes:  []string{AttrName},
	}
	FleetErrors = &Instrument{
		Name: "redbreaker.fleet.errors", Kind: Counter, Unit: "{error}",
		Description: "Records, and parts of the index of names, that could not be read.",
	}
)

// Instruments returns the instruments of a process.
func Instruments() []*Instrument {
	return []*Instrument{
		Calls, CallDuration, Status, Override, Transitions, WouldReject, Anomalies, StaleResults, DroppedEvents,
		StorageStatus, StepDuration, StepOperations,
	}
}

// FleetInstruments returns the instruments of a storage's records.
func FleetInstruments() []*Instrument {
	return []*Instrument{
		FleetStatus, FleetOverride, FleetTransitions, FleetTrips, FleetTally, FleetThreshold, FleetAge, FleetRetryAfter, FleetErrors,
	}
}
