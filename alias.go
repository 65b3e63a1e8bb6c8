package redbreaker

import "github.com/redbreaker/redbreaker/engine"

// The types of package engine that a user touches. Their documentation stands
// there; the fields of [Policy] are listed in the overview above.
type (
	// Policy says when a circuit opens, for how long, and how it recovers.
	Policy = engine.Policy
	// Window is the sliding window of a Policy.
	Window = engine.Window
	// Backoff lengthens the open period of a circuit that opens again and again.
	Backoff = engine.Backoff
	// HalfOpen says how many probes decide, and how long each may take.
	HalfOpen = engine.HalfOpen

	// State is what the machine has decided: closed, open or half-open.
	State = engine.State
	// Mode is what an operator has decided over the machine.
	Mode = engine.Mode
	// Outcome is how a protected call ended.
	Outcome = engine.Outcome
	// Status is a breaker as this process last heard of it.
	Status = engine.Status
	// Snapshot is a record as the storage holds it.
	Snapshot = engine.Snapshot
	// ProbeRound is the round of probes in a Snapshot.
	ProbeRound = engine.ProbeRound
	// Transition is one change of state or mode.
	Transition = engine.Transition
	// Cause says why a transition happened.
	Cause = engine.Cause

	// Command is an operator's decision, for [Breaker.Control].
	Command = engine.Command
	// Action is what a Command does.
	Action = engine.Action

	// Event is something that happened to a breaker, for [Hooks].
	Event = engine.Event
	// EventKind says what an Event is about.
	EventKind = engine.EventKind

	// RejectedError is what a call gets that was not let through.
	RejectedError = engine.RejectedError
	// Reason says why a call was rejected.
	Reason = engine.Reason
	// StorageError is what a storage could not do.
	StorageError = engine.StorageError
	// Class says what a StorageError means for the operation that met it.
	Class = engine.Class

	// Storage keeps the records of breakers.
	Storage = engine.Storage
	// Ticket is an admission as a Storage grants it.
	Ticket = engine.Ticket
)

// States.
const (
	StateClosed   = engine.StateClosed
	StateOpen     = engine.StateOpen
	StateHalfOpen = engine.StateHalfOpen
)

// Modes.
const (
	ModeAuto         = engine.ModeAuto
	ModeForcedOpen   = engine.ModeForcedOpen
	ModeForcedClosed = engine.ModeForcedClosed
	ModeShadow       = engine.ModeShadow
)

// Outcomes. A [Classifier] returns one of the first three; the library finds
// the slow ones.
const (
	Success     = engine.Success
	Failure     = engine.Failure
	Ignored     = engine.Ignored
	SlowSuccess = engine.SlowSuccess
	SlowFailure = engine.SlowFailure
)

// Actions of a [Command].
const (
	ActionTrip        = engine.ActionTrip
	ActionHalfOpen    = engine.ActionHalfOpen
	ActionReset       = engine.ActionReset
	ActionForceOpen   = engine.ActionForceOpen
	ActionForceClosed = engine.ActionForceClosed
	ActionShadow      = engine.ActionShadow
	ActionRelease     = engine.ActionRelease
)

// Causes of a [Transition].
const (
	CauseConsecutive  = engine.CauseConsecutive
	CauseFailureCount = engine.CauseFailureCount
	CauseFailureRate  = engine.CauseFailureRate
	CauseSlowRate     = engine.CauseSlowRate
	CauseProbeFailed  = engine.CauseProbeFailed
	CauseRecovered    = engine.CauseRecovered
	CauseElapsed      = engine.CauseElapsed
	CauseOperator     = engine.CauseOperator
	CauseModeEnded    = engine.CauseModeEnded
	CauseCreated      = engine.CauseCreated
	CauseHealed       = engine.CauseHealed
)

// Reasons of a [RejectedError].
const (
	ReasonOpen        = engine.ReasonOpen
	ReasonProbing     = engine.ReasonProbing
	ReasonForced      = engine.ReasonForced
	ReasonUnavailable = engine.ReasonUnavailable
)

// Classes of a [StorageError].
const (
	ClassNotExecuted = engine.ClassNotExecuted
	ClassUnknown     = engine.ClassUnknown
	ClassRefused     = engine.ClassRefused
	ClassForeign     = engine.ClassForeign
)

// Kinds of an [Event].
const (
	EventTransition = engine.EventTransition
	EventHealed     = engine.EventHealed
	EventLost       = engine.EventLost
	EventSkew       = engine.EventSkew
	EventDegraded   = engine.EventDegraded
	EventRestored   = engine.EventRestored
	EventDropped    = engine.EventDropped
)

// Errors, to be matched with errors.Is.
var (
	// ErrRejected is matched by every *RejectedError.
	ErrRejected = engine.ErrRejected
	// ErrStopped is returned by calls through a breaker, registry or storage
	// that was stopped or closed.
	ErrStopped = engine.ErrStopped
	// ErrInvalid is matched by every error about what the caller passed.
	ErrInvalid = engine.ErrInvalid
	// ErrConflict is returned by Control when the record has moved on.
	ErrConflict = engine.ErrConflict
	// ErrForced is returned by Control for a trip or half-open in a forced mode.
	ErrForced = engine.ErrForced
	// ErrNewerLayout is wrapped where a newer release wrote the record.
	ErrNewerLayout = engine.ErrNewerLayout
	// ErrForeignKey is wrapped where the key of a record holds something else.
	ErrForeignKey = engine.ErrForeignKey
)
