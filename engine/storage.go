package engine

import "context"

// Storage keeps the records of breakers and runs the machine on them, one
// atomic step at a time. All methods are safe for concurrent use.
//
// Optional capabilities are found by type assertion: [Pinger], [ManyInspector],
// [Lister], [Watcher], [Schedules]; that of a handle is [Observable].
type Storage interface {
	// Bind returns a handle on the breaker of that name. It validates and
	// encodes name and policy once, and does no I/O. sink, which may be nil,
	// receives the events of the steps that this handle takes, in their order;
	// it is called under a lock, so it must only enqueue. The error wraps
	// [ErrInvalid], or is [ErrStopped] after Close.
	Bind(name string, p Policy, sink func(Event)) (Handle, error)
	// Control applies a command by name and returns the record after it. The
	// policy is the record's own, or the zero policy where there is none. The
	// error wraps [ErrInvalid], [ErrConflict] or [ErrForced], is [ErrStopped] or
	// the context's, or is a *StorageError.
	Control(ctx context.Context, name string, c Command) (Snapshot, error)
	// Inspect reads a record and writes nothing. Where there is no record, the
	// snapshot says so and the error is nil.
	Inspect(ctx context.Context, name string) (Snapshot, error)
	// Kind names the storage in logs and metrics: memory, redis, cas.
	Kind() string
	// Close releases what the storage itself started, never the user's client.
	// Calls after it fail with [ErrStopped].
	Close() error
}

// Pinger is a [Storage] that can check in advance whether it will work.
type Pinger interface {
	// Ping returns nil, or a *StorageError that says what to change.
	Ping(ctx context.Context) error
}

// ManyInspector is a [Storage] that reads several records at a lower cost than
// one by one.
type ManyInspector interface {
	// InspectMany reads the records of the names, in their order, and writes
	// nothing. The records are not read at one instant. A record that could not
	// be read leaves a snapshot with its name only, and a *StorageError of that
	// name in the joined error.
	InspectMany(ctx context.Context, names []string) ([]Snapshot, error)
}

// Handle is one breaker as one process sees it. All methods are safe for
// concurrent use. A method returns a *RejectedError, the context's error,
// [ErrStopped] or a *StorageError; Control and Step also return the errors that
// [Storage] documents.
type Handle interface {
	// Acquire asks to admit one call. A rejection is a *RejectedError. The caller
	// has checked its context already: an implementation that does not wait may
	// leave it unread.
	Acquire(ctx context.Context) (Ticket, error)
	// Report records how an admitted call ended. at is this handle's Now if the
	// caller has just read it, else 0. d is nil unless the failure carries a
	// detail. The context carries values only: its deadline and cancellation are
	// ignored. stale is true if the result changed nothing, because its ticket no
	// longer counts.
	Report(ctx context.Context, t Ticket, o Outcome, at int64, d *Detail) (stale bool, err error)
	// Step runs a batch as one atomic step.
	Step(ctx context.Context, b Batch) (Reply, error)
	// Control applies a command with this handle's policy and returns the record
	// after it.
	Control(ctx context.Context, c Command) (Snapshot, error)
	// Status returns the last state that this process knows. It does no I/O.
	Status() Status
	// Now returns this process's monotonic clock in nanoseconds, above 0. Only
	// differences between two readings mean something.
	Now() int64
	// Close releases the handle. Calls after it fail with [ErrStopped].
	Close() error
}
