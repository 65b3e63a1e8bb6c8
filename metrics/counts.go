package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redbreaker/redbreaker"
)

// counts are the counters of one series of each kind: those of a breaker that the
// configuration names, or of all others.
//
// A success is the only frequent event of a healthy program, and the in-memory engine
// takes no lock for it. So the breaker itself counts it, by one atomic addition. All
// other events cost the engine a lock or a script call.
type counts struct {
	label string // the attribute AttrName

	successes  redbreaker.SuccessCounter
	rejections [len(reasons)]atomic.Int64
	slow       atomic.Int64 // slow successes
	ignored    atomic.Int64
	shadowed   atomic.Int64 // calls that shadow admitted
	stale      atomic.Int64
	dropped    atomic.Int64
	anomalies  [len(anomalies)]atomic.Int64

	mu          sync.Mutex
	failures    map[failure]int64
	errorTypes  map[string]bool // of failures, at most maxErrorTypes
	transitions map[transition]int64
}

type failure struct {
	isSlow    bool
	errorType string
}

type transition struct {
	from, to redbreaker.State
	cause    redbreaker.Cause
}

// reasons and anomalies are all values of their attributes.
var (
	reasons = [...]redbreaker.Reason{
		redbreaker.ReasonOpen, redbreaker.ReasonProbing, redbreaker.ReasonRamping, redbreaker.ReasonForced, redbreaker.ReasonUnavailable,
	}
	anomalies = [...]redbreaker.EventKind{
		redbreaker.EventLost, redbreaker.EventHealed, redbreaker.EventSkew, redbreaker.EventProbeOverdue, redbreaker.EventProbesIgnored,
		redbreaker.EventUnlisted, redbreaker.EventMissed, redbreaker.EventPushLost,
	}
)

// maxErrorTypes bounds the values of error.type in a series; further types count as
// otherType. The names of types are few in a program, but a plug-in may bring any.
const (
	maxErrorTypes = 16
	otherType     = "_OTHER"
)

// newCounts returns counters that exist at 0: a rate or an increase sees the first
// event of a series only if the series was there before.
func newCounts(label string) *counts {
	c := &counts{
		label: label, errorTypes: map[string]bool{},
		failures:    map[failure]int64{{}: 0, {isSlow: true}: 0},
		transitions: map[transition]int64{},
	}
	for _, t := range commonTransitions() {
		c.transitions[t] = 0
	}
	return c
}

// commonTransitions returns the transitions that the machine can make, except those
// that start a damaged record in a state other than closed.
func commonTransitions() []transition {
	const closed, open, halfOpen = redbreaker.StateClosed, redbreaker.StateOpen, redbreaker.StateHalfOpen
	all := []transition{
		{closed, open, redbreaker.CauseConsecutive}, {closed, open, redbreaker.CauseFailureCount},
		{closed, open, redbreaker.CauseFailureRate}, {closed, open, redbreaker.CauseSlowRate},
		{closed, open, redbreaker.CauseDemanded}, {halfOpen, open, redbreaker.CauseDemanded},
		{halfOpen, open, redbreaker.CauseProbeFailed}, {halfOpen, closed, redbreaker.CauseRecovered},
		{open, halfOpen, redbreaker.CauseElapsed},
	}
	for _, s := range []redbreaker.State{closed, open, halfOpen} {
		all = append(all, transition{closed, s, redbreaker.CauseCreated},
			transition{s, closed, redbreaker.CauseHealed}, transition{s, closed, redbreaker.CauseModeEnded},
			transition{s, closed, redbreaker.CauseOperator}, transition{s, open, redbreaker.CauseOperator}, transition{s, halfOpen, redbreaker.CauseOperator})
	}
	return all
}

// addCall counts the end of an admitted call.
func (c *counts) addCall(r *redbreaker.CallResult) {
	switch r.Outcome {
	case redbreaker.Success:
		c.successes.Add()
	case redbreaker.SlowSuccess:
		c.slow.Add(1)
	case redbreaker.Ignored:
		c.ignored.Add(1)
	default:
		c.addFailure(r.Outcome == redbreaker.SlowFailure, r.ErrorType())
	}
	if r.Stale {
		c.stale.Add(1)
	}
	if r.WouldReject {
		c.shadowed.Add(1)
	}
}

func (c *counts) addFailure(isSlow bool, errorType string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errorType != "" && !c.errorTypes[errorType] {
		if len(c.errorTypes) == maxErrorTypes {
			errorType = otherType
		} else {
			c.errorTypes[errorType] = true
		}
	}
	c.failures[failure{isSlow, errorType}]++
}

func (c *counts) addRejection(reason redbreaker.Reason) {
	if i := slices.Index(reasons[:], reason); i >= 0 {
		c.rejections[i].Add(1)
	}
}

// addTransition counts a transition that this process made in the shared record.
// Those of the local breaker of an outage are in no record.
func (c *counts) addTransition(t redbreaker.Transition) {
	if !t.Own || t.Local {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transitions[transition{t.From, t.To, t.Cause}]++
}

func (c *counts) addAnomaly(e redbreaker.Event) {
	if e.Kind == redbreaker.EventDropped {
		c.dropped.Add(int64(e.Dropped))
		return
	}
	if i := slices.Index(anomalies[:], e.Kind); i >= 0 {
		c.anomalies[i].Add(1)
	}
}

// collectCounts adds the samples of the counters.
func (c *counts) collectCounts(group string, add func(Sample)) {
	c.collectCalls(group, add)
	c.collectTransitions(group, add)
	addOne := func(i *Instrument, n *atomic.Int64, attribute ...string) {
		add(Sample{i, append([]string{group, c.label}, attribute...), float64(n.Load())})
	}
	addOne(WouldReject, &c.shadowed)
	for i, kind := range anomalies {
		addOne(Anomalies, &c.anomalies[i], kind.String())
	}
	addOne(StaleResults, &c.stale)
	addOne(DroppedEvents, &c.dropped)
}

func (c *counts) collectCalls(group string, add func(Sample)) {
	addCalls := func(n int64, outcome, reason, errorType string) {
		add(Sample{Calls, []string{group, c.label, outcome, reason, errorType}, float64(n)})
	}
	addCalls(c.successes.Load(), redbreaker.Success.String(), "", "")
	addCalls(c.slow.Load(), redbreaker.SlowSuccess.String(), "", "")
	addCalls(c.ignored.Load(), redbreaker.Ignored.String(), "", "")
	for i, reason := range reasons {
		addCalls(c.rejections[i].Load(), OutcomeRejected, string(reason), "")
	}
	failures := c.copyFailures()
	for _, f := range slices.SortedFunc(maps.Keys(failures), compareFailures) {
		addCalls(failures[f], f.outcome(), "", f.errorType)
	}
}

// OutcomeRejected is the value of [AttrOutcome] for rejected calls.
const OutcomeRejected = "rejected"

// OutcomeOf returns the value of [AttrOutcome] for an admitted call. A call that trips
// the circuit at once is a failure.
func OutcomeOf(o redbreaker.Outcome) string {
	if o == redbreaker.TripNow {
		o = redbreaker.Failure
	}
	return o.String()
}

func (f failure) outcome() string {
	if f.isSlow {
		return redbreaker.SlowFailure.String()
	}
	return redbreaker.Failure.String()
}

func compareFailures(a, b failure) int {
	if a.isSlow != b.isSlow {
		return strings.Compare(a.outcome(), b.outcome())
	}
	return strings.Compare(a.errorType, b.errorType)
}

func (c *counts) copyFailures() map[failure]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.failures)
}

func (c *counts) copyTransitions() map[transition]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.transitions)
}

func (c *counts) collectTransitions(group string, add func(Sample)) {
	for t, n := range c.copyTransitions() {
		add(Sample{Transitions, []string{group, c.label, t.from.String(), t.to.String(), string(t.cause)}, float64(n)})
	}
}
