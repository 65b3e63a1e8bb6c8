package metrics

import (
	"context"
	"slices"
	"time"
)

// Scrapes that come at the same time share one reading of the storage: a reading costs Redis
// some 20 us for each record, and everyone who reaches the endpoint can ask for many.

// fleetRead is a reading that scrapes wait for.
type fleetRead struct {
	ctx     context.Context //nolint:containedctx // of the reading, which outlives the scrape that began it
	cancel  context.CancelFunc
	waiting int           // scrapes, under the lock of the fleet
	done    chan struct{} // closed after records and err are set
	records []record      // in the order of compareRecords; not changed any more
	err     error
}

// shareRead returns the records of the reading in flight, or of a new one, which ends with
// the deadline of the scrape that began it, or when no scrape waits for it any more. Then
// it has the records that were read until then. isRead is false if the context ended while
// others wait.
func (f *Fleet) shareRead(ctx context.Context) (records []record, isRead bool, err error) {
	r := f.joinRead(ctx)
	select {
	case <-r.done:
	case <-ctx.Done():
		if !f.leaveRead(r) {
			return nil, false, ctx.Err()
		}
		<-r.done
	}
	return r.records, true, r.err
}

// joinRead returns the reading in flight, or starts one.
func (f *Fleet) joinRead(ctx context.Context) *fleetRead {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.inFlight; r != nil && r.ctx.Err() == nil {
		r.waiting++
		return r
	}
	r := &fleetRead{waiting: 1, done: make(chan struct{})}
	// Not the context of the scrape, which others wait for too.
	if deadline, ok := ctx.Deadline(); ok {
		r.ctx, r.cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
	} else {
		r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	}
	f.inFlight = r
	go f.runRead(r)
	return r
}

// leaveRead takes back a joinRead. It reports whether the reading ends now: it is over its
// deadline, or nothing waits for it any more.
func (f *Fleet) leaveRead(r *fleetRead) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.waiting--
	if deadline, ok := r.ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return true // by itself, at this moment
	}
	if r.waiting > 0 {
		return false
	}
	r.cancel()
	return true
}

func (f *Fleet) runRead(r *fleetRead) {
	defer close(r.done)
	defer r.cancel()
	r.records, r.err = f.readRecords(r.ctx)
	slices.SortFunc(r.records, compareRecords)
	f.errors.Add(countErrors(r.err))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inFlight == r {
		f.inFlight = nil
	}
}
