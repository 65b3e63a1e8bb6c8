package engine

import "time"

// Status is the last state of a breaker that this process knows.
type Status struct {
	State State `json:"state"`
	Mode  Mode  `json:"mode"`
	// RetryAfter is how long a rejection would still last, as far as known; zero
	// if no call would be rejected, or if no end is known. While half-open it is when
	// to try again, see [RejectedError.RetryAfter].
	RetryAfter time.Duration `json:"retry_after"`
	// ModeFor is how long the mode still lasts; zero in auto, or if the mode has
	// no end.
	ModeFor time.Duration `json:"mode_for"`
	// RampFor is how long the ramp after recovery still lasts, and RampShare the share of
	// calls that it admitted when this process learned of it; zero without a ramp.
	RampFor   time.Duration `json:"ramp_for,omitzero"`
	RampShare float64       `json:"ramp_share,omitzero"`
	// Age is how long ago this process learned of the state. Negative: never.
	Age time.Duration `json:"age"`
	// Degraded is true while the storage does not answer and the fallback decides.
	Degraded bool `json:"degraded"`
}
