package engine

import (
	"fmt"
	"time"
)

// EventKind says what an [Event] is about. The zero value is no event.
type EventKind uint8

// The kinds of events.
const (
	EventTransition   EventKind = iota + 1 // a transition of state or mode
	EventHealed                            // an unreadable record began again; the event carries that transition
	EventLost                              // the record that this process knew was gone
	EventSkew                              // another process uses another policy under this name
	EventProbeOverdue                      // a probe outlived its lease; its result counted
	EventDegraded                          // the storage does not answer, the fallback decides
	EventRestored                          // the storage answers again
	EventDropped                           // the queue of hooks was full
	EventStatus                            // a transition of another process was noticed by its epoch; Handle.Status shows the state after it
	EventUnlisted                          // this process cannot enter its breakers into the index, so listings may lack them; they work

	// EventMissed reports transitions that are not delivered one by one. Missed is
	// their count; State, Mode and Epoch are those that the record has now.
	EventMissed
	// EventPushLost reports that push does not work: this process learns of other
	// processes' transitions only by polling, or its own transitions are not
	// published. Err is the reason.
	EventPushLost
	// EventProbesIgnored reports that the results of many probes in a row were ignored,
	// as this process saw it: a circuit whose probes are all ignored stays half-open.
	// Epoch is that of the round.
	EventProbesIgnored
	// EventReady reports that a Watch delivers transitions from now on.
	EventReady
)

var eventNames = [...]string{"none", "transition", "healed", "lost", "skew", "probe_overdue", "degraded", "restored", "dropped", "status", "unlisted", "missed", "push_lost", "probes_ignored", "ready"}

// String returns the kind's name, such as degraded.
func (k EventKind) String() string { return nameOf(eventNames[:], int(k), "event") }

// MarshalText writes the kind's name.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name that MarshalText writes.
func (k *EventKind) UnmarshalText(text []byte) error {
	i, err := indexOf(eventNames[:], string(text), "event")
	*k = EventKind(i)
	return err
}

// Event is something that happened to a breaker, as this process saw it. In JSON its
// error and its durations are text.
type Event struct {
	Kind EventKind `json:"kind"`
	// Name is the breaker's name.
	Name string `json:"name,omitzero"`
	// Transition is set for EventTransition and EventHealed.
	Transition Transition `json:"transition,omitzero"`
	// Err is the storage's failure, for EventDegraded, or the reason of
	// EventUnlisted and EventPushLost.
	Err error `json:"-"`
	// Policy is the fingerprint of the other policy, for EventSkew.
	Policy string `json:"policy,omitzero"`
	// Epoch is the epoch of the lost record, for EventLost, that of the round of
	// probes, for EventProbeOverdue and EventProbesIgnored, and the present one, for EventMissed.
	Epoch int64 `json:"epoch,omitzero"`
	// Dropped is the number of events dropped, for EventDropped.
	Dropped int `json:"dropped,omitzero"`
	// Lease is the lease of the probe, and Took how long it took at least, for
	// EventProbeOverdue: HalfOpen.Lease should be longer than any call.
	Lease time.Duration `json:"lease,omitzero"`
	Took  time.Duration `json:"took,omitzero"`
	// Missed is the number of missed transitions, for EventMissed; -1 means unknown.
	Missed int64 `json:"missed,omitzero"`
	// State and Mode are those that the record has now, for EventMissed.
	State State `json:"state,omitzero"`
	Mode  Mode  `json:"mode,omitzero"`
	// Outage is how long the storage did not answer, for EventRestored.
	Outage time.Duration `json:"outage,omitzero"`
	// Admitted and Rejected are the calls that the fallback decided during the
	// outage, Outcomes the results that it received, for EventRestored.
	Admitted int64 `json:"admitted,omitzero"`
	Rejected int64 `json:"rejected,omitzero"`
	Outcomes int64 `json:"outcomes,omitzero"`
}

// String returns one line for people, such as: lost payments, epoch 7. It has the fields
// that belong to the kind.
func (e Event) String() string {
	s := e.Kind.String()
	if e.Name != "" {
		s += " " + PrintableName(e.Name)
	}
	if e.Err != nil {
		return s + ": " + e.Err.Error()
	}
	return s + e.describeKind()
}

// describeKind returns the fields that belong to the kind, after a separator.
func (e Event) describeKind() string {
	switch e.Kind {
	case EventTransition, EventHealed:
		return ": " + e.Transition.String()
	case EventLost, EventProbesIgnored:
		return fmt.Sprintf(", epoch %d", e.Epoch)
	case EventSkew:
		return ", another policy is " + e.Policy
	case EventProbeOverdue:
		return fmt.Sprintf(", took %v or more of a lease of %v", e.Took, e.Lease)
	case EventRestored:
		return fmt.Sprintf(" after %v, the fallback admitted %d calls, rejected %d and got %d results", e.Outage, e.Admitted, e.Rejected, e.Outcomes)
	case EventDropped:
		return fmt.Sprintf(", %d events", e.Dropped)
	case EventMissed:
		return ", " + describeCount(e.Missed) + " transitions, now " + formatPlace(e.State, e.Mode)
	}
	return ""
}

// describeCount returns the number, or that it is not known.
func describeCount(n int64) string {
	if n < 0 {
		return "an unknown number of"
	}
	return fmt.Sprint(n)
}
