package engine

import (
	"math"
	"time"
)

// Limits of a policy and of a record. A record beyond them is corrupt.
const (
	MaxDuration  = 366 * 24 * time.Hour // longest duration anywhere
	MaxCalls     = 10_000               // largest count window
	MaxProbes    = 1_000                // most probes of a round
	MaxReporters = 16                   // reporters a record remembers
	MaxTrips     = 1_000                // where the count of opens in a row saturates
	MaxThreshold = math.MaxInt32        // largest ConsecutiveFailures, FailureCount, MinCalls
)

// Defaults of a policy whose field is zero.
const (
	DefaultConsecutiveFailures = 5
	DefaultOpenFor             = time.Minute
	DefaultMaxOpenFor          = time.Hour
	DefaultMinCalls            = 10
	DefaultLease               = 30 * time.Second
	DefaultIdleTTL             = 24 * time.Hour
	DefaultRampFrom            = 0.1
)

// Policy says when a circuit opens, for how long, and how it recovers. The zero
// value is a usable policy: five consecutive failures open the circuit for a
// minute, then one probe decides. Durations are used in whole milliseconds,
// rounded up; none may exceed 366 days. Rates are used to the nearest 1/10 000.
//
// In JSON a duration is text, such as "1m30s", an absent field keeps the value that
// it had, and an unknown field is an error. YAML decoders ignore unknown keys unless
// they are asked not to: call KnownFields(true), or the like, before decoding.
type Policy struct {
	// ConsecutiveFailures opens the circuit after this many failures in a row.
	// Zero: no such rule; but 5 if the policy has no rule at all.
	ConsecutiveFailures int `json:"consecutive_failures,omitzero" yaml:"consecutive_failures,omitempty"`
	// Window opens the circuit by the outcomes of recent calls. Zero: no window.
	Window Window `json:"window,omitzero" yaml:"window,omitempty"`
	// OpenFor is how long calls are rejected before probes may start. Zero: 1 minute.
	OpenFor time.Duration `json:"open_for,omitzero" yaml:"open_for,omitempty"`
	// Backoff lengthens OpenFor when the circuit opens again and again. Zero: it does not.
	Backoff Backoff `json:"backoff,omitzero" yaml:"backoff,omitempty"`
	// HalfOpen says how the circuit recovers. Zero: one probe that succeeds.
	HalfOpen HalfOpen `json:"half_open,omitzero" yaml:"half_open,omitempty"`
	// Ramp admits a growing share of the calls after recovery. Zero: all at once.
	Ramp Ramp `json:"ramp,omitzero" yaml:"ramp,omitempty"`
	// Initial says how a new record begins. Zero: closed, in auto.
	Initial Initial `json:"initial,omitzero" yaml:"initial,omitempty"`
	// MinReporters, 1 to 16, lets a condition hold only if that many distinct
	// reporters (hosts, by default) reported a failure or slow call within its
	// window, so that one sick host cannot open the circuit for all.
	// Zero: 1. A fleet with fewer reporters never trips. In memory it is always 1.
	MinReporters int `json:"min_reporters,omitzero" yaml:"min_reporters,omitempty"`
	// IdleTTL is how long a record that no result reaches is kept, at least half of it
	// and at most all, in a storage that expires. It is longer while the record has
	// something to remember, such as an open period. Zero: 24 hours.
	IdleTTL time.Duration `json:"idle_ttl,omitzero" yaml:"idle_ttl,omitempty"`
}

// Ramp protects a dependency that has just recovered, whose caches may be cold: for
// Over after the circuit closes, it admits a share of the calls that grows evenly
// from From to all. Which calls are admitted is random.
type Ramp struct {
	// Over is how long the ramp lasts. Zero: no ramp.
	Over time.Duration `json:"over,omitzero" yaml:"over,omitempty"`
	// From is the share that is admitted at first, 0.0001 to 1. Zero: 0.1.
	From float64 `json:"from,omitzero" yaml:"from,omitempty"`
}

// Initial is the state and the mode in which a new record begins: one that nothing
// used yet, or that expired or was lost. A record that exists keeps its own.
type Initial struct {
	// State is closed, open (for OpenFor, as the first trip) or half-open, for a
	// dependency that must prove itself first. Zero: closed.
	State State `json:"state,omitzero" yaml:"state,omitempty"`
	// Mode is a mode without an end, until an operator releases it. With shadow a
	// breaker is rolled out by configuration alone: it counts and trips, and rejects
	// no call. A forced mode needs a closed State. Zero: auto.
	Mode Mode `json:"mode,omitzero" yaml:"mode,omitempty"`
}

// Window is a sliding window over outcomes: exactly one of Calls and Period,
// with at least one of FailureRate, FailureCount and SlowCallRate. Conditions
// are OR-ed, hold at >=, and are judged after each failure or slow call.
type Window struct {
	// Calls makes the window hold this many last outcomes, 1 to 10 000. Zero: not
	// count-based.
	Calls int `json:"calls,omitzero" yaml:"calls,omitempty"`
	// Period makes the window hold the outcomes of this long, up to now, in ten
	// buckets aligned to the storage's clock. Zero: not time-based.
	Period time.Duration `json:"period,omitzero" yaml:"period,omitempty"`
	// FailureRate is the share of failures that opens the circuit, above 0 to 1.
	// Zero: no such condition.
	FailureRate float64 `json:"failure_rate,omitzero" yaml:"failure_rate,omitempty"`
	// FailureCount is the number of failures that opens the circuit, whatever
	// the number of calls. Zero: no such condition.
	FailureCount int `json:"failure_count,omitzero" yaml:"failure_count,omitempty"`
	// SlowCallRate is the share of slow calls that opens the circuit, above 0
	// to 1. It needs SlowCallDuration. Zero: no such condition.
	SlowCallRate float64 `json:"slow_call_rate,omitzero" yaml:"slow_call_rate,omitempty"`
	// SlowCallDuration makes a call slow that took at least this long. It needs
	// SlowCallRate.
	SlowCallDuration time.Duration `json:"slow_call_duration,omitzero" yaml:"slow_call_duration,omitempty"`
	// MinCalls is how many calls the window must hold before a rate is judged.
	// Zero: 10, or Calls if that is less.
	MinCalls int `json:"min_calls,omitzero" yaml:"min_calls,omitempty"`
}

// Backoff lengthens the open period for each time that the circuit opens again
// without having stayed closed for as long as it was last open.
type Backoff struct {
	// Multiplier is applied to OpenFor once for each earlier open in a row, 1 to 10. Zero: 1.
	Multiplier float64 `json:"multiplier,omitzero" yaml:"multiplier,omitempty"`
	// Max is the longest open period, at least OpenFor. Zero: 1 hour, or OpenFor if that is longer.
	Max time.Duration `json:"max,omitzero" yaml:"max,omitempty"`
	// Jitter shortens each open period by a random share of up to this much, 0 to 1.
	Jitter float64 `json:"jitter,omitzero" yaml:"jitter,omitempty"`
}

// HalfOpen is a round of probes: of n probes, m successes close the circuit and
// more than n - m failures open it again.
type HalfOpen struct {
	// Probes is n, the most probes outstanding or settled in a round,
	// fleet-wide, 1 to 1000. Zero: Successes, or 1.
	Probes int `json:"probes,omitzero" yaml:"probes,omitempty"`
	// Successes is m, 1 to Probes. Zero: 1.
	Successes int `json:"successes,omitzero" yaml:"successes,omitempty"`
	// Lease is the longest that a probe may take before its slot is given to
	// another. Zero: the larger of OpenFor and 30 seconds.
	Lease time.Duration `json:"lease,omitzero" yaml:"lease,omitempty"`
	// AllowSlow makes a slow success a success of the round, so that a dependency
	// that is well again but still slow does not open the circuit again and again.
	// It needs Window.SlowCallRate. Zero: a slow success is a failure.
	AllowSlow bool `json:"allow_slow,omitzero" yaml:"allow_slow,omitempty"`
}

// Validate returns every fault of the policy, joined, each wrapping
// [ErrInvalid]; nil if there is none.
func (p Policy) Validate() error {
	_, err := p.Rules()
	return err
}

// count returns n, or unset if it is zero, after checking that it lies in [1, limit].
func (f *faults) count(field string, n, unset, limit int) int64 {
	if n == 0 {
		n = unset
	}
	if n < 0 || n > limit {
		f.add("%s is %d, use 1 to %d", field, n, limit)
	}
	return int64(n)
}

// millis returns d in milliseconds rounded up, or unset if it is zero.
func (f *faults) millis(field string, d, unset time.Duration) int64 {
	if d == 0 {
		d = unset
	}
	if d < 0 || d > MaxDuration {
		f.add("%s is %v, use above 0 to %v (366 days)", field, d, MaxDuration)
		return 0
	}
	return CeilMillis(d)
}

// share returns a rate of 0 to 1 in units of 1/10 000.
func (f *faults) share(field string, rate float64) int64 {
	switch scaled := math.Round(rate * scale); {
	case rate == 0:
		return 0
	case math.IsNaN(rate) || rate < 0:
		f.add("%s is %v, use a share above 0 to 1", field, rate)
	case rate > 1:
		f.add("%s is %v, use a share above 0 to 1 (for %g percent write %g)", field, rate, rate, rate/100)
	case scaled < 1:
		f.add("%s is %v, the smallest is 0.0001", field, rate)
	default:
		return int64(scaled)
	}
	return 0
}

// CeilMillis returns d in milliseconds, rounded up so that nothing ends early; 0 if
// d is not positive.
func CeilMillis(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/time.Millisecond) + 1
}
