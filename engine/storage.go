package engine

import (
	"context"
	"fmt"
	"time"
)

// Storage keeps the records of breakers and runs the machine on them, one
// atomic step at a time. All methods are safe for concurrent use.
//
// Optional capabilities are asked for by type assertion: [Pinger], [ManyInspector].
type Storage interface {
	// Bind gives a handle on the breaker of that name. It validates and encodes
	// once, and does no I/O. sink, which may be nil, receives the events of
	// steps taken through this handle, in their order; it is called under a
	// lock, so it must only enqueue.
	Bind(name string, p Policy, sink func(Event)) (Handle, error)
	// Control applies a command by name: the policy comes from the record, or is
	// the zero policy where there is none.
	Control(ctx context.Context, name string, c Command) (Snapshot, error)
	// Inspect reads a record as it stands and writes nothing.
	Inspect(ctx context.Context, name string) (Snapshot, error)
	// Kind names the storage for logs and metrics: memory, redis, cas.
	Kind() string
	// Close releases what the storage itself started, never the user's client.
	Close() error
}

// Pinger is a Storage that can tell, before it is needed, whether it would work.
type Pinger interface {
	// Ping returns nil, or a *StorageError that says what to change.
	Ping(ctx context.Context) error
}

// Handle is one breaker as one process sees it. All methods are safe for
// concurrent use. Errors are *RejectedError, the context's, or *StorageError.
type Handle interface {
	// Acquire asks to admit one call. A rejection is a *RejectedError. The caller
	// has looked at its context: where nothing is waited for, it is not looked at
	// again.
	Acquire(ctx context.Context) (Ticket, error)
	// Report tells how an admitted call ended. at is this handle's Now if it was
	// just read, else 0. d is nil unless the failure carries a detail. The
	// context gives values only, neither deadline nor cancellation. stale tells
	// that the result changed nothing, because its ticket no longer counts.
	Report(ctx context.Context, t Ticket, o Outcome, at int64, d *Detail) (stale bool, err error)
	// Step runs a batch as one atomic step.
	Step(ctx context.Context, b Batch) (Reply, error)
	// Control applies a command with this handle's policy.
	Control(ctx context.Context, c Command) (Snapshot, error)
	// Status is what this process last heard. It does no I/O.
	Status() Status
	// Now is this process's monotonic clock in nanoseconds, above 0. Only
	// differences mean something.
	Now() int64
	// Close releases the handle. Calls after it fail with ErrStopped.
	Close() error
}

// Ticket is an admission: the epoch that granted it and, for a probe, the
// number of its lease. The zero Ticket is an admission that is not counted.
type Ticket struct{ Epoch, Lease int64 }

// Counted reports whether the outcome of the ticket is wanted.
func (t Ticket) Counted() bool { return t.Epoch != 0 }

// Detail is what a failure may carry.
type Detail struct {
	// OpenFor is the failure's own open time, such as a Retry-After. Zero: none.
	OpenFor time.Duration
	// Text is the error's text, at most 64 bytes of which are kept in the log.
	Text string
}

// Run is a number of equal outcomes in a row.
type Run struct {
	Outcome Outcome
	N       int64
}

// Result is what happened to the calls of one ticket, in the order of their ends.
type Result struct {
	Ticket
	Runs []Run
}

// outcomes is how many calls the result tells of.
func (r *Result) outcomes() int64 {
	n := int64(0)
	for _, run := range r.Runs {
		n += run.N
	}
	return n
}

// Batch is the work of one step: results, then admissions.
type Batch struct {
	Results    []Result
	Admissions int64
	// Reporter names who reports, for MinReporters and the log: a host, by default.
	Reporter string
	// Detail belongs to every failure of the batch.
	Detail Detail
}

// Outcomes is how many calls the batch tells of.
func (b *Batch) Outcomes() int64 {
	n := int64(0)
	for i := range b.Results {
		n += b.Results[i].outcomes()
	}
	return n
}

// MaxBatch is the most outcomes, and the most admissions, of one batch: a step
// holds up the server while it runs.
const MaxBatch = 10_000

// Validate returns the batch's first fault, wrapping [ErrInvalid].
func (b *Batch) Validate() error {
	outcomes := int64(0)
	for _, res := range b.Results {
		for _, run := range res.Runs {
			if run.Outcome < Success || run.Outcome > SlowFailure || !within(run.N, 1, MaxBatch) {
				return fmt.Errorf("redbreaker: batch: a run of %d times %v, use 1 to %d of an outcome: %w", run.N, run.Outcome, MaxBatch, ErrInvalid)
			}
			outcomes += run.N
		}
		if !within(res.Epoch, 1, maxEpoch) || !within(res.Lease, 0, maxGrant) || len(res.Runs) == 0 {
			return fmt.Errorf("redbreaker: batch: a result of epoch %d, lease %d with %d runs, report what a ticket's calls did: %w", res.Epoch, res.Lease, len(res.Runs), ErrInvalid)
		}
	}
	if outcomes > MaxBatch || !within(b.Admissions, 0, MaxBatch) {
		return fmt.Errorf("redbreaker: batch: %d outcomes and %d admissions, at most %d of each fit one step: %w", outcomes, b.Admissions, MaxBatch, ErrInvalid)
	}
	if b.Detail.OpenFor < 0 || b.Detail.OpenFor > MaxDuration {
		return fmt.Errorf("redbreaker: batch: an open time of %v, use 0 to %v: %w", b.Detail.OpenFor, MaxDuration, ErrInvalid)
	}
	return nil
}

// NeedsReporter reports whether reporter and detail matter to the step: a probe, a
// failure or a slow call is among its results.
func (b *Batch) NeedsReporter() bool {
	for _, res := range b.Results {
		for _, run := range res.Runs {
			if res.Lease != 0 || run.Outcome != Success && run.Outcome != Ignored {
				return true
			}
		}
	}
	return false
}

// Reply is what one step answered. Times are durations of the storage's clock.
type Reply struct {
	State State
	Mode  Mode
	Epoch int64
	// LeftMS is how long it still takes, in ms: open, until probes may start;
	// half-open, until the earliest lease ends if none is free; forced open,
	// until the mode ends; else 0. In shadow it is the state's.
	LeftMS int64
	// ModeLeftMS is how long the mode still lasts, in ms; 0 in auto or until released.
	ModeLeftMS int64
	// Granted is how many admissions carry a ticket of this epoch, with leases
	// from FirstLease on in half-open. The others were rejected, or admitted
	// uncounted where the mode admits.
	Granted    int64
	FirstLease int64
	// Applied and Stale count the outcomes.
	Applied, Stale int64
	// AppliedPerResult is how many outcomes of each result were applied, the first ones;
	// nil if all were.
	AppliedPerResult []int64
	// Policy is the fingerprint of the record's policy.
	Policy string
	// Transition is the transition of this step; its Cause is empty if there was none.
	Transition Transition
}

// AdmitsUncounted reports whether an admission that carries no ticket is let through.
func (r *Reply) AdmitsUncounted() bool { return r.Mode == ModeForcedClosed || r.Mode == ModeShadow }

// Status is a breaker as this process last heard of it.
type Status struct {
	State State `json:"state"`
	Mode  Mode  `json:"mode"`
	// RetryAfter is how long a rejection would still last, as far as is known;
	// zero where no call would be rejected or no end is known.
	RetryAfter time.Duration `json:"retry_after"`
	// ModeFor is how long the mode still lasts; 0 in auto or until released.
	ModeFor time.Duration `json:"mode_for"`
	// Age is how long ago this was heard. Negative: never.
	Age time.Duration `json:"age"`
	// Degraded tells that the storage does not answer and the fallback decides.
	Degraded bool `json:"degraded"`
}

// Action is what a [Command] does. The zero value is an error.
type Action uint8

// The actions of a command.
const (
	ActionTrip        Action = iota + 1 // open now; refused in a forced mode
	ActionHalfOpen                      // begin a round of probes now; refused in a forced mode
	ActionReset                         // closed, all forgotten, the mode kept
	ActionForceOpen                     // reject every call
	ActionForceClosed                   // admit every call, count nothing
	ActionShadow                        // admit every call, the machine runs on beneath
	ActionRelease                       // back to auto, closed and forgotten
)

var actionNames = [...]string{"none", "trip", "half_open", "reset", "force_open", "force_closed", "shadow", "release"}

// String returns the action's name, such as force_open.
func (a Action) String() string { return nameOf(actionNames[:], int(a), "action") }

// Command is an operator's decision.
type Command struct {
	Action Action
	// For is how long a trip or a mode lasts, up to 366 days, rounded up to
	// milliseconds. Zero: the policy's open time for a trip; until released for
	// a mode. Other actions take none.
	For time.Duration
	// Reason and Actor are kept in the log, 64 bytes of each.
	Reason, Actor string
	// IfEpoch makes the command conditional: the record must be of this epoch,
	// else ErrConflict. Zero: any. -1, which Inspect gives for an absent
	// record: only if there is none.
	IfEpoch int64
}

// Validate returns every fault of the command, joined, each wrapping [ErrInvalid].
func (c Command) Validate() error {
	f := faults{}
	if c.Action < ActionTrip || c.Action > ActionRelease {
		f.command("Action is %v, use one of %q", c.Action, actionNames[1:])
	}
	if c.For < 0 || c.For > MaxDuration {
		f.command("For is %v, use 0 to %v (366 days)", c.For, MaxDuration)
	}
	timed := c.Action != ActionHalfOpen && c.Action != ActionReset && c.Action != ActionRelease
	if c.For > 0 && !timed {
		f.command("For has no meaning for %v", c.Action)
	}
	if c.IfEpoch < -1 || c.IfEpoch > maxEpoch {
		f.command("IfEpoch is %d, use an epoch that Inspect gave, 0 for any, or -1 for no record", c.IfEpoch)
	}
	return f.err()
}

// EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of events.
const (
	EventTransition EventKind = iota + 1 // a transition of state or mode
	EventHealed                          // a record could not be read and began anew (a transition, too)
	EventLost                            // the record this process knew was gone
	EventSkew                            // another process uses another policy under this name
	EventDegraded                        // the storage does not answer, the fallback decides
	EventRestored                        // the storage answers again
	EventDropped                         // the queue of hooks was full
)

var eventNames = [...]string{"none", "transition", "healed", "lost", "skew", "degraded", "restored", "dropped"}

// String returns the kind's name, such as degraded.
func (k EventKind) String() string { return nameOf(eventNames[:], int(k), "event") }

// Event is something that happened to a breaker, as seen by this process.
type Event struct {
	Kind EventKind
	Name string
	// Transition is set for EventTransition and EventHealed.
	Transition Transition
	// Err is why the storage failed, for EventDegraded.
	Err error
	// Policy is the foreign fingerprint, for EventSkew.
	Policy string
	// Epoch is the epoch that was lost, for EventLost.
	Epoch int64
	// Dropped is how many events were dropped, for EventDropped.
	Dropped int
	// Outage is how long the storage had not answered, for EventRestored.
	Outage time.Duration
	// Admitted, Rejected and Outcomes are what the fallback decided and took in
	// meanwhile, for EventRestored.
	Admitted, Rejected, Outcomes int64
}
