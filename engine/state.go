package engine

import (
	"fmt"
	"strings"
)

// State is the machine's decision about calls. The zero value is closed.
type State uint8

// The three states of a circuit.
const (
	StateClosed   State = iota // calls pass and are counted
	StateOpen                  // calls are rejected until the open period ends
	StateHalfOpen              // a limited number of calls pass as probes, on leases
)

var stateNames = [...]string{"closed", "open", "half_open"}

// String returns closed, open or half_open.
func (s State) String() string { return nameOf(stateNames[:], int(s), "state") }

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name that MarshalText writes.
func (s *State) UnmarshalText(text []byte) error {
	i, err := indexOf(stateNames[:], string(text), "state")
	*s = State(i)
	return err
}

// Mode is an operator's decision, which overrides the machine's. The zero value is
// auto.
type Mode uint8

// The modes of a circuit.
const (
	ModeAuto         Mode = iota // the state decides
	ModeForcedOpen               // every call is rejected (Polly: Isolated)
	ModeForcedClosed             // every call is admitted, nothing is counted (resilience4j: DISABLED)
	ModeShadow                   // every call is admitted, the machine runs on without effect (resilience4j: METRICS_ONLY)
)

var modeNames = [...]string{"auto", "forced_open", "forced_closed", "shadow"}

// String returns auto, forced_open, forced_closed or shadow.
func (m Mode) String() string { return nameOf(modeNames[:], int(m), "mode") }

// MarshalText writes the mode's name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the name that MarshalText writes.
func (m *Mode) UnmarshalText(text []byte) error {
	i, err := indexOf(modeNames[:], string(text), "mode")
	*m = Mode(i)
	return err
}

// Cause says why a transition happened.
type Cause string

// The causes of transitions, in the order in which the machine tests them.
const (
	CauseConsecutive  Cause = "consecutive"   // ConsecutiveFailures in a row
	CauseFailureCount Cause = "failure_count" // FailureCount in the window
	CauseFailureRate  Cause = "failure_rate"  // FailureRate in the window
	CauseSlowRate     Cause = "slow_rate"     // SlowCallRate in the window
	CauseDemanded     Cause = "demanded"      // an outcome of TripNow
	CauseProbeFailed  Cause = "probe_failed"  // more than Probes - Successes probes failed
	CauseRecovered    Cause = "recovered"     // Successes probes succeeded
	CauseElapsed      Cause = "elapsed"       // the open period ended and a call came
	CauseOperator     Cause = "operator"      // a Command
	CauseModeEnded    Cause = "mode_ended"    // the mode's time ran out
	CauseCreated      Cause = "created"       // there was no record
	CauseHealed       Cause = "healed"        // the record could not be read and began again
)

// isByOutcome reports whether a transition of this cause is made by the outcome of
// a call.
func (c Cause) isByOutcome() bool {
	switch c {
	case CauseConsecutive, CauseFailureCount, CauseFailureRate, CauseSlowRate, CauseDemanded, CauseProbeFailed:
		return true
	}
	return false
}

// Outcome is how a protected call ended. The zero value is no outcome.
type Outcome uint8

// The outcomes. A Classifier returns one of the first three or TripNow; the library
// derives SlowSuccess and SlowFailure from the time that the call took.
const (
	Success Outcome = iota + 1
	Failure
	Ignored // counts neither way; a probe gives its slot back
	SlowSuccess
	SlowFailure
	// TripNow is a failure by which the dependency itself asks for a pause, such
	// as a 429 or a 503 with a Retry-After. It opens the circuit at once, whatever the
	// thresholds and MinReporters, for its own time or the policy's.
	TripNow
)

var outcomeNames = [...]string{"none", "success", "failure", "ignored", "slow_success", "slow_failure", "trip_now"}

// String returns the outcome's name, such as slow_failure.
func (o Outcome) String() string { return nameOf(outcomeNames[:], int(o), "outcome") }

// MarshalText writes the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name that MarshalText writes.
func (o *Outcome) UnmarshalText(text []byte) error {
	i, err := indexOf(outcomeNames[:], string(text), "outcome")
	*o = Outcome(i)
	return err
}

// outcomeCodes holds the letters of outcomes in runs and in the count ring.
const outcomeCodes = "?sfiSFt"

// Code returns the letter of the outcome in a run and in the record.
func (o Outcome) Code() byte {
	if int(o) >= len(outcomeCodes) {
		return outcomeCodes[0]
	}
	return outcomeCodes[o]
}

func nameOf(names []string, i int, kind string) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}

func indexOf(names []string, name, kind string) (int, error) {
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	return 0, Invalid("%q is not a %s, use one of %s", name, kind, strings.Join(names, ", "))
}
