package engine

import "time"

// Ticket is one admission: the epoch that granted it and, for a probe, the
// number of its lease (0 for other calls). The zero Ticket belongs to a call
// that was admitted but is not counted.
type Ticket struct{ Epoch, Lease int64 }

// Counted reports whether the outcome of the ticket's call is to be reported.
func (t Ticket) Counted() bool { return t.Epoch != 0 }

// Detail holds the parts of a failure beyond its outcome.
type Detail struct {
	// OpenFor is the open time that the failure itself asks for, such as a
	// Retry-After, up to [MaxDuration]. Zero: none.
	OpenFor time.Duration
	// Text is the error's text. The log keeps its first 64 bytes.
	Text string
	// Err is the error itself, for the events of this process. No storage keeps it.
	Err error
}

// Run is N equal outcomes in a row, N from 1 to [MaxBatch]; of [Success] to
// [MaxSuccesses], since a run of successes costs no more than one.
type Run struct {
	Outcome Outcome
	N       int64
}

// Result holds the outcomes of the calls of one ticket, in the order in which
// the calls ended.
type Result struct {
	Ticket
	Runs []Run
}

// outcomes returns the number of calls in the result.
func (r *Result) outcomes() int64 {
	n := int64(0)
	for _, run := range r.Runs {
		n += run.N
	}
	return n
}

// Batch is the work of one step: results, then admissions.
type Batch struct {
	Results []Result
	// Admissions is the number of calls that ask to be admitted, 0 to [MaxBatch].
	Admissions int64
	// Reporter names who reports the results, for MinReporters and the log: a
	// host, by default.
	Reporter string
	// Detail belongs to every failure of the batch.
	Detail Detail
	// AskStanding makes the reply carry the standing for Reporter.
	AskStanding bool
}

// Outcomes returns the number of calls whose outcome the batch reports.
func (b *Batch) Outcomes() int64 {
	n := int64(0)
	for i := range b.Results {
		n += b.Results[i].outcomes()
	}
	return n
}

// MaxBatch is the largest number of outcomes other than successes in one batch, and of
// runs and of admissions: a step blocks the server while it runs.
const MaxBatch = 10_000

// MaxSuccesses is the longest run of successes.
const MaxSuccesses = 999_999_999

// Validate returns the first fault of the batch, wrapping [ErrInvalid].
func (b *Batch) Validate() error {
	outcomes, runs := int64(0), 0
	for _, res := range b.Results {
		for _, run := range res.Runs {
			if most := run.Outcome.longestRun(); run.Outcome < Success || run.Outcome > TripNow || !within(run.N, 1, most) {
				return Invalid("batch: a run of %d times %v, use 1 to %d of an outcome", run.N, run.Outcome, most)
			}
			if run.Outcome != Success {
				outcomes += run.N
			}
		}
		runs += len(res.Runs)
		if !within(res.Epoch, 1, maxEpoch) || !within(res.Lease, 0, maxGrant) || len(res.Runs) == 0 {
			return Invalid("batch: a result of epoch %d, lease %d with %d runs, report what a ticket's calls did", res.Epoch, res.Lease, len(res.Runs))
		}
	}
	if outcomes > MaxBatch || runs > MaxBatch || !within(b.Admissions, 0, MaxBatch) {
		return Invalid("batch: %d outcomes other than successes, %d runs and %d admissions, at most %d of each fit one step", outcomes, runs, b.Admissions, MaxBatch)
	}
	if b.Detail.OpenFor < 0 || b.Detail.OpenFor > MaxDuration {
		return Invalid("batch: an open time of %v, use 0 to %v", b.Detail.OpenFor, MaxDuration)
	}
	return nil
}

// longestRun returns how many of the outcome a run may have.
func (o Outcome) longestRun() int64 {
	if o == Success {
		return MaxSuccesses
	}
	return MaxBatch
}

// NeedsReporter reports whether reporter and detail matter to the step: among
// its results is a probe, a failure or a slow call.
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

// Reply is the answer to one step. All times are milliseconds of the storage's
// clock, counted from the step.
type Reply struct {
	State State
	Mode  Mode
	Epoch int64
	// LeftMS is after how many ms a rejected call should come again: open, when
	// probes may start; half-open with no free slot, when the earliest lease ends, but
	// no later than the round has lasted so far, or 100 ms if that is longer; forced
	// open, when the mode ends; else 0. In shadow it is that of the state.
	LeftMS int64
	// ModeLeftMS is how long the mode still lasts, in ms; 0 in auto, or if the
	// mode has no end.
	ModeLeftMS int64
	// Granted is the number of admissions that carry a ticket of this epoch; in
	// half-open their leases are numbered from FirstLease on. The other
	// admissions were rejected, or admitted uncounted where the mode admits.
	Granted    int64
	FirstLease int64
	// Applied and Stale are the numbers of outcomes that counted and that did not.
	Applied, Stale int64
	// AppliedPerResult holds, for each result, how many of its outcomes were
	// applied, counted from its first; nil if all were.
	AppliedPerResult []int64
	// RampLeftMS is how long the ramp after recovery still lasts, in ms, and RampShare
	// the share of calls that it admits now, in 1/10 000; both 0 without a ramp.
	RampLeftMS, RampShare int64
	// OverdueMS is how long the longest probe took whose result came after its lease
	// had ended, and OverdueLeaseMS that lease; 0 if there was none. The result
	// counted.
	OverdueMS, OverdueLeaseMS int64
	// Unpublished is true if the storage refused to publish the transition's event,
	// for lack of a right. The step itself counts.
	Unpublished bool
	// Policy is the fingerprint of the record's policy.
	Policy string
	// Transition is the transition that this step made; its Cause is empty if
	// the step made none.
	Transition Transition
	// Standing is that of the record after the step, for the policy of the handle. It
	// is unknown if the batch did not ask for it.
	Standing Standing
}

// AdmitsUncounted reports whether an admission without a ticket is let through.
func (r *Reply) AdmitsUncounted() bool { return r.Mode == ModeForcedClosed || r.Mode == ModeShadow }
