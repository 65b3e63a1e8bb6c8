package redbreaker

import (
	"context"

	"github.com/redbreaker/redbreaker/engine"
)

// Step runs a batch as one step of the storage. Where the storage fails, the
// outcomes of the batch count in the local breaker and the fallback decides about
// its admissions; then the reply describes the local breaker, and none of its
// outcomes is Applied or Stale. A batch without admissions returns the
// *[StorageError].
//
// Tickets of the local breaker do not fit into a batch: they are settled by Report.
func (f *fallbackHandle) Step(ctx context.Context, b engine.Batch) (engine.Reply, error) {
	if err := b.Validate(); err != nil {
		return engine.Reply{}, err
	}
	bits := operationsOf(&b)
	r, err := f.Handle.Step(ctx, b)
	if err == nil {
		f.noteSuccess(bits)
		if o := f.localVoter(r.FirstLease); o != nil && r.Granted > 0 {
			return o.admitManyLocally(ctx, b.Admissions)
		}
		return r, nil
	}
	failure, err := f.asStorageError(ctx, "step", err)
	if err != nil {
		return engine.Reply{}, err
	}
	o := f.noteFailure(bits, failure)
	o.countLocally(ctx, &b)
	if b.Admissions == 0 {
		return engine.Reply{}, failure
	}
	return f.decideAdmissions(ctx, o, b.Admissions, failure)
}

// operationsOf returns the bits of outage.failing that a step of b sets or clears.
// An empty batch writes nothing, so its success says nothing about either.
func operationsOf(b *engine.Batch) uint32 {
	bits := uint32(0)
	if b.Admissions > 0 {
		bits |= acquireBit
	}
	if len(b.Results) > 0 {
		bits |= reportBit
	}
	return bits
}

// decideAdmissions is decideAdmission for the admissions of a batch.
func (f *fallbackHandle) decideAdmissions(ctx context.Context, o *outage, n int64, failure *StorageError) (engine.Reply, error) {
	switch {
	case o.local != nil:
		return o.admitManyLocally(ctx, n)
	case f.kind == FallbackDeny:
		o.rejected.Add(n)
		return engine.Reply{}, f.newUnavailable(failure)
	}
	o.admitted.Add(n)
	// In a reply, only a mode can say that calls are admitted uncounted.
	return engine.Reply{State: f.Handle.Status().State, Mode: ModeForcedClosed}, nil
}

// admitManyLocally asks the local breaker for n admissions at once. The epoch of
// its reply has the mark of markLocal.
func (o *outage) admitManyLocally(ctx context.Context, n int64) (engine.Reply, error) {
	r, err := o.local.Step(ctx, engine.Batch{Admissions: n})
	if err != nil {
		return engine.Reply{}, err
	}
	admitted := r.Granted
	if r.AdmitsUncounted() {
		admitted = n
	}
	o.admitted.Add(admitted)
	o.rejected.Add(n - admitted)
	r.Epoch = -r.Epoch
	return r, nil
}

// countLocally counts the outcomes of a batch that the storage did not take. When
// storage and dependency fail together, the outcomes of a whole batch would be
// missing otherwise, and the local breaker would open late. Results of probes are
// left out: their round is the storage's.
func (o *outage) countLocally(ctx context.Context, b *engine.Batch) {
	if o.local == nil || len(b.Results) == 0 {
		return
	}
	now, err := o.local.Step(ctx, engine.Batch{})
	if err != nil || now.State != StateClosed {
		return // nothing counts in these states
	}
	var results []engine.Result
	for _, r := range b.Results {
		if r.Lease == 0 {
			results = append(results, engine.Result{Ticket: Ticket{Epoch: now.Epoch}, Runs: r.Runs})
		}
	}
	if len(results) == 0 {
		return
	}
	if r, err := o.local.Step(ctx, engine.Batch{Results: results, Detail: b.Detail}); err == nil {
		o.outcomes.Add(r.Applied)
	}
}
