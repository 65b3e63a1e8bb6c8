package redbreaker

import "github.com/redbreaker/redbreaker/engine"

// The types of package engine that users of this package need. Package engine
// documents their fields; the overview above lists the fields of [Policy]. go doc
// shows no methods of an alias, so the comments name them.
type (
	// Policy is when a circuit opens, for how long, and how it recovers.
	//
	//	func (p Policy) Validate() error       // every fault, each wrapping ErrInvalid
	//	func (p Policy) Rules() (Rules, error) // the policy after defaults
	Policy = engine.Policy
	// Window is the sliding window of a Policy.
	Window = engine.Window
	// Backoff lengthens the open period of a circuit that opens again and again.
	Backoff = engine.Backoff
	// HalfOpen is how many probes decide about recovery, and how long each may take.
	HalfOpen = engine.HalfOpen
	// Ramp admits a growing share of the calls after recovery.
	Ramp = engine.Ramp
	// Initial is the state and the mode in which a new record begins.
	Initial = engine.Initial

	// State is the state of a circuit: closed, open or half-open.
	State = engine.State
	// Mode is an operator's override of the state; auto is none.
	Mode = engine.Mode
	// Outcome is how an admitted call ended.
	//
	//	func (o Outcome) Code() byte // its letter in the record
	Outcome = engine.Outcome
	// Status is the last known state of a breaker in this process.
	Status = engine.Status
	// Snapshot is the content of a record in the storage.
	Snapshot = engine.Snapshot
	// ProbeRound is the round of probes in a Snapshot.
	ProbeRound = engine.ProbeRound
	// Transition is one change of state or mode. Its String is one line for people.
	//
	//	func (t Transition) Tallies() Tallies // the numbers that caused it
	Transition = engine.Transition
	// Tallies are the numbers that caused a Transition.
	Tallies = engine.Tallies
	// Cause is why a transition happened.
	Cause = engine.Cause

	// Command is an operator's command for [Breaker.Control]: Action, For (how long),
	// Reason, Actor, and IfEpoch (the epoch that the record must have).
	//
	//	func (c Command) Validate() error // every fault, each wrapping ErrInvalid
	Command = engine.Command
	// Action is the effect of a Command.
	Action = engine.Action

	// Event is something that happened to a breaker, for [Hooks].
	//
	//	func (e Event) String() string // one line for people
	Event = engine.Event
	// EventKind is the kind of an Event.
	EventKind = engine.EventKind

	// RejectedError is the error of a call that was not admitted: Name, Reason,
	// State, Mode; for ReasonUnavailable, the storage's error in Err; in Opened, the
	// transition that opened the circuit, if this process knows it. Every
	// *RejectedError matches [ErrRejected]. The rejections of one open period share
	// one error; do not change it.
	//
	//	func (e *RejectedError) RetryAfter() time.Duration // until a call may be admitted; 0 if unknown
	//	func (e *RejectedError) Error() string
	//	func (e *RejectedError) Is(target error) bool      // true for ErrRejected
	//	func (e *RejectedError) Unwrap() error             // Err
	RejectedError = engine.RejectedError
	// Reason is why a call was rejected.
	Reason = engine.Reason
	// StorageError is the failure of a storage operation: Class, Op, Name, and the
	// cause in Err.
	//
	//	func (e *StorageError) Error() string
	//	func (e *StorageError) Unwrap() error // Err
	StorageError = engine.StorageError
	// Class is the class of a StorageError: whether the failed operation had an effect.
	Class = engine.Class

	// Storage keeps the records of breakers. Package storage has the one for Redis.
	Storage = engine.Storage
	// Ticket is an admission that a Storage has granted.
	//
	//	func (t Ticket) Counted() bool // whether the outcome of the call counts
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

// Outcomes. A [Classifier] returns one of the first three or TripNow; the breaker
// itself finds out which calls are slow.
const (
	Success     = engine.Success
	Failure     = engine.Failure
	Ignored     = engine.Ignored
	SlowSuccess = engine.SlowSuccess
	SlowFailure = engine.SlowFailure
	TripNow     = engine.TripNow
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
	CauseDemanded     = engine.CauseDemanded
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
	ReasonRamping     = engine.ReasonRamping
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
	EventTransition   = engine.EventTransition
	EventHealed       = engine.EventHealed
	EventLost         = engine.EventLost
	EventSkew         = engine.EventSkew
	EventProbeOverdue = engine.EventProbeOverdue
	EventDegraded     = engine.EventDegraded
	EventRestored     = engine.EventRestored
	EventDropped      = engine.EventDropped
	EventStatus       = engine.EventStatus
	EventUnlisted     = engine.EventUnlisted
	EventMissed       = engine.EventMissed
	EventPushLost     = engine.EventPushLost

	EventProbesIgnored = engine.EventProbesIgnored
)

// Sentinel errors. Match them with errors.Is.
var (
	// ErrRejected matches every *RejectedError.
	ErrRejected = engine.ErrRejected
	// ErrStopped is returned by a breaker, registry or storage that was stopped or
	// closed.
	ErrStopped = engine.ErrStopped
	// ErrInvalid matches every error about an argument: a policy, name, option or
	// command.
	ErrInvalid = engine.ErrInvalid
	// ErrConflict is returned by Control if the record's epoch is not the Command's
	// IfEpoch.
	ErrConflict = engine.ErrConflict
	// ErrForced is returned by Control for a trip or half-open in a forced mode.
	ErrForced = engine.ErrForced
	// ErrNewerLayout is wrapped in the StorageError of a record that a newer release
	// wrote.
	ErrNewerLayout = engine.ErrNewerLayout
	// ErrForeignKey is wrapped in the StorageError of a key that contains something
	// other than a record.
	ErrForeignKey = engine.ErrForeignKey
)
