package engine

import "time"

// StepReport describes one step that a storage took: a script call, or an attempt to
// swap a record. It is for metrics.
type StepReport struct {
	// Kind is the storage's.
	Kind string
	// Operations is how many admissions and outcomes shared the step. It is 0 for the
	// empty step by which a storage finds out whether it works again.
	Operations int64
	// Elapsed is the time from the arrival of the first of the operations to the reply.
	Elapsed time.Duration
	// Err is the step's failure, nil if it was answered.
	Err error
}
