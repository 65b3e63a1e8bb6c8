package engine

import (
	"strings"
	"time"
)

// Action is the kind of a [Command]. The zero value is invalid.
type Action uint8

// The actions of a command.
const (
	ActionTrip        Action = iota + 1 // open now; refused in a forced mode
	ActionHalfOpen                      // begin a round of probes now; refused in a forced mode
	ActionReset                         // close and forget everything; the mode stays
	ActionForceOpen                     // reject every call
	ActionForceClosed                   // admit every call, count nothing
	ActionShadow                        // admit every call; the machine runs on without effect
	ActionRelease                       // return to auto, closed, everything forgotten
)

var actionNames = [...]string{"none", "trip", "half_open", "reset", "force_open", "force_closed", "shadow", "release"}

// String returns the action's name, such as force_open.
func (a Action) String() string { return nameOf(actionNames[:], int(a), "action") }

// MarshalText writes the action's name.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the name that MarshalText writes.
func (a *Action) UnmarshalText(text []byte) error {
	i, err := indexOf(actionNames[:], string(text), "action")
	*a = Action(i)
	return err
}

// Command is an operator's decision about one breaker. In JSON its duration is text,
// such as "1m0s", and unknown fields are refused.
type Command struct {
	Action Action `json:"action"`
	// For is how long a trip or a mode lasts, up to [MaxDuration], rounded up to
	// milliseconds. Zero: the policy's open time for a trip, no end for a mode.
	// Other actions take none.
	For time.Duration `json:"for,omitzero"`
	// Reason and Actor go to the log, which keeps 64 bytes of each.
	Reason string `json:"reason,omitzero"`
	Actor  string `json:"actor,omitzero"`
	// IfEpoch makes the command conditional: the record must have this epoch,
	// else [ErrConflict]. Zero: any epoch. -1, which Inspect gives for an absent
	// record: only if there is no record.
	IfEpoch int64 `json:"if_epoch,omitzero"`
}

// Validate returns all faults of the command, joined, each wrapping [ErrInvalid].
func (c Command) Validate() error {
	f := faults{subject: "command"}
	if c.Action < ActionTrip || c.Action > ActionRelease {
		f.add("Action is %v, use one of %s", c.Action, strings.Join(actionNames[1:], ", "))
	}
	if c.For < 0 || c.For > MaxDuration {
		f.add("For is %v, use 0 to %v (366 days)", c.For, MaxDuration)
	}
	timed := c.Action != ActionHalfOpen && c.Action != ActionReset && c.Action != ActionRelease
	if c.For > 0 && !timed {
		f.add("For has no meaning for %v, leave it 0", c.Action)
	}
	if c.IfEpoch < -1 || c.IfEpoch > maxEpoch {
		f.add("IfEpoch is %d, use an epoch that Inspect gave, 0 for any, or -1 for no record", c.IfEpoch)
	}
	return f.err()
}
