package redbreaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Fallback decides about calls while the storage fails. The zero value is invalid.
type Fallback uint8

// The fallbacks. For PyBreaker's fallback_circuit_state, closed is FallbackAllow
// and open is FallbackDeny.
const (
	// FallbackAllow admits calls and counts nothing.
	FallbackAllow Fallback = iota + 1
	// FallbackDeny rejects calls with ReasonUnavailable.
	FallbackDeny
	// FallbackLocal, the default, decides by a breaker of this process, seeded with
	// the last known shared state: open stays open for its remaining time, a forced
	// mode stays forced, and half-open becomes open for one lease. State and mode
	// count only if this process learned them within the last 5 minutes: what an
	// idle process knows may have been released long ago, and it would reject for
	// the whole outage. From there on the policy decides by the calls of this
	// process. The local state ends with the outage; none of it is sent to the
	// storage.
	FallbackLocal
)

// recoveryQuiet is how long the storage must have answered without a failure
// before an outage is over. Only the events wait for it: decisions follow the
// storage as soon as it answers. Without it, a storage that fails now and then
// would flood the log.
const recoveryQuiet = int64(time.Second)

// seedMaxAge is how old the last known shared state may be to seed the local breaker.
const seedMaxAge = 5 * time.Minute

// fallbackHandle wraps the handle of a storage. It decides when the storage fails,
// so that no error of a storage reaches a call, and raises the events at the start
// and the end of an outage. Acquire, Report and Step use the fallback; Control
// never does.
type fallbackHandle struct {
	engine.Handle
	core   *core
	kind   Fallback
	policy *Policy // not to be changed: other breakers may share it

	outage atomic.Pointer[outage] // nil while the storage works
	mu     sync.Mutex             // held to begin and to end an outage
}

// outage is a period in which some or all operations of the storage fail.
type outage struct {
	began  int64
	failed atomic.Int64 // when an operation last failed
	// failing has a bit for each operation whose last attempt failed. A read-only
	// server admits calls but takes no results: without the bits, each admission
	// would look like the end of the outage.
	failing atomic.Uint32
	trialAt atomic.Int64  // when an admission was last let through to try a report
	local   *localBreaker // set with FallbackLocal only

	admitted, rejected, outcomes atomic.Int64 // decided or counted by the fallback
}

// Bits of outage.failing.
const (
	acquireBit uint32 = 1 << iota
	reportBit
)

// lastPolicy is the policy of the breaker that was made last.
var lastPolicy atomic.Pointer[Policy]

// sharePolicy returns a pointer to the policy, the same one for breakers that are made in
// a row with one policy. A copy for each would be a sixth of what a breaker takes.
func sharePolicy(p Policy) *Policy {
	if last := lastPolicy.Load(); last != nil && *last == p {
		return last
	}
	lastPolicy.Store(&p)
	return &p
}

func newFallbackHandle(h engine.Handle, kind Fallback, c *core, p Policy) *fallbackHandle {
	return &fallbackHandle{Handle: h, core: c, kind: kind, policy: sharePolicy(p)}
}

// Acquire asks the storage, and decides itself where the storage fails.
func (f *fallbackHandle) Acquire(ctx context.Context) (Ticket, error) {
	t, err := f.Handle.Acquire(ctx)
	if err == nil {
		f.noteSuccess(acquireBit)
		if o := f.localVoter(t.Lease); o != nil {
			return o.admitLocally(ctx)
		}
		return t, nil
	}
	if _, rejected := err.(*RejectedError); rejected {
		f.noteSuccess(acquireBit)
		return Ticket{}, err
	}
	failure, err := f.asStorageError(ctx, "acquire", err)
	if err != nil {
		return Ticket{}, err
	}
	return f.decideAdmission(ctx, f.noteFailure(acquireBit, failure), failure)
}

// localVoter returns the outage whose local breaker must agree to an admission of
// the storage, nil if none must. If the storage admits calls but takes no results,
// nothing would count them and the circuit could never open. So the local breaker
// counts and decides too, until a result is sent again. lease is that of the
// admission: a probe is always sent.
//
// Whether results are taken again shows only by a report. So one admission a second
// is let through without the local breaker. If all were, each second would admit
// every caller for as long as the first report takes.
func (f *fallbackHandle) localVoter(lease int64) *outage {
	o := f.outage.Load()
	if o == nil || o.local == nil || lease != 0 || o.failing.Load()&reportBit == 0 {
		return nil
	}
	now, last := f.Now(), o.trialAt.Load()
	if now-max(o.failed.Load(), last) >= recoveryQuiet && o.trialAt.CompareAndSwap(last, now) {
		return nil
	}
	return o
}

// untilLocalAdmission returns how long the local breaker rejects what the storage
// would admit, see localVoter: at most until results are tried again.
func (f *fallbackHandle) untilLocalAdmission() time.Duration {
	o := f.outage.Load()
	if o == nil || o.local == nil || o.failing.Load()&reportBit == 0 {
		return 0
	}
	untilTried := time.Duration(max(o.failed.Load(), o.trialAt.Load()) + recoveryQuiet - f.Now())
	return max(0, min(untilAdmission(o.local.Status()), untilTried))
}

// decideAdmission admits or rejects a call in place of the storage.
func (f *fallbackHandle) decideAdmission(ctx context.Context, o *outage, failure *StorageError) (Ticket, error) {
	switch {
	case o.local != nil:
		return o.admitLocally(ctx)
	case f.kind == FallbackDeny:
		o.rejected.Add(1)
		return Ticket{}, f.newUnavailable(failure)
	}
	o.admitted.Add(1)
	return Ticket{}, nil
}

func (f *fallbackHandle) newUnavailable(failure *StorageError) *RejectedError {
	s := f.Handle.Status()
	return engine.NewRejected(RejectedError{
		Name: f.core.name, Reason: ReasonUnavailable, State: s.State, Mode: s.Mode, Err: failure,
	}, 0, nil)
}

// admitLocally asks the local breaker.
func (o *outage) admitLocally(ctx context.Context) (Ticket, error) {
	t, err := o.local.Acquire(ctx)
	if err != nil {
		o.rejected.Add(1)
		if r, ok := err.(*RejectedError); ok {
			err = o.local.markRejection(r)
		}
		return Ticket{}, err
	}
	o.admitted.Add(1)
	return markLocal(t), nil
}

// Report sends a result to the breaker that issued its ticket.
func (f *fallbackHandle) Report(ctx context.Context, t Ticket, out Outcome, at int64, d *engine.Detail) (stale bool, err error) {
	if own, ok := unmarkLocal(t); ok {
		return f.reportLocally(ctx, own, out, d)
	}
	stale, err = f.Handle.Report(ctx, t, out, at, d)
	if err == nil {
		f.noteSuccess(reportBit)
		return stale, nil
	}
	// A report ignores the caller's context, so the context's end cannot explain err.
	failure, err := f.asStorageError(context.Background(), "report", err)
	if err != nil {
		return false, err
	}
	f.noteFailure(reportBit, failure)
	return false, failure
}

func (f *fallbackHandle) reportLocally(ctx context.Context, t Ticket, out Outcome, d *engine.Detail) (bool, error) {
	o := f.outage.Load()
	if o == nil || o.local == nil {
		return true, nil // the local state has ended with its outage
	}
	o.outcomes.Add(1)
	return o.local.Report(ctx, t, out, 0, d)
}

// Status returns the status of the local breaker while it decides, else what the
// storage's handle knows. The record decides again from the first reply on, before
// the outage is over.
func (f *fallbackHandle) Status() Status {
	o := f.outage.Load()
	if o == nil {
		return f.Handle.Status()
	}
	s := f.Handle.Status()
	if o.local != nil && o.failing.Load() != 0 {
		age := s.Age
		s = o.local.Status()
		s.Age = age
	}
	s.Degraded = true
	return s
}

// asStorageError separates errors of the storage from those that the caller must
// get: it returns the one or the other.
func (f *fallbackHandle) asStorageError(ctx context.Context, op string, err error) (failure *StorageError, own error) {
	if errors.Is(err, ErrStopped) {
		return nil, ErrStopped
	}
	if errors.As(err, &failure) {
		return failure, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// A storage may notice the caller's deadline a moment before the context does.
	if deadline, ok := ctx.Deadline(); ok && errors.Is(err, context.DeadlineExceeded) && !time.Now().Before(deadline) {
		return nil, context.DeadlineExceeded
	}
	return &StorageError{Class: ClassUnknown, Op: op, Name: f.core.name, Err: err}, nil
}

// noteFailure records that operations failed, and begins an outage if there is none.
func (f *fallbackHandle) noteFailure(bits uint32, err *StorageError) *outage {
	o := f.outage.Load()
	if o == nil {
		o = f.beginOutage(err)
	}
	o.failed.Store(f.Now())
	if o.failing.Or(bits) == 0 {
		f.core.enqueue(Event{Kind: EventStatus, Name: f.core.name}) // the local breaker decides
	}
	return o
}

// beginOutage begins an outage, unless another call has just done so.
func (f *fallbackHandle) beginOutage(err *StorageError) *outage {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.outage.Load(); o != nil {
		return o
	}
	o := &outage{began: f.Now()}
	if f.kind == FallbackLocal {
		o.local = f.seedLocalLocked()
	}
	f.outage.Store(o)
	f.core.enqueue(Event{Kind: EventDegraded, Name: f.core.name, Err: err})
	return o
}

// seedLocalLocked returns a local breaker in the last known shared state. It returns nil
// only if the engine refuses a policy that the storage accepted; then calls are
// admitted uncounted.
func (f *fallbackHandle) seedLocalLocked() *localBreaker {
	l, err := newLocalBreaker(f.core.name, *f.policy, f.Now, f.core.enqueue)
	if err != nil {
		return nil
	}
	s := f.Handle.Status()
	if s.Age > seedMaxAge {
		s = Status{}
	}
	l.seedFrom(s, *f.policy)
	return l
}

// noteSuccess records that operations worked, and ends the outage if nothing has
// failed for a while.
func (f *fallbackHandle) noteSuccess(bits uint32) {
	o := f.outage.Load()
	if o == nil {
		return
	}
	if before := o.failing.And(^bits); before != 0 && before&^bits == 0 {
		f.core.enqueue(Event{Kind: EventStatus, Name: f.core.name}) // the storage decides
	}
	if o.failing.Load() != 0 || f.Now()-o.failed.Load() < recoveryQuiet {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.outage.Load() != o {
		return // another call has ended it
	}
	f.outage.Store(nil)
	f.core.enqueue(Event{
		Kind: EventRestored, Name: f.core.name, Outage: time.Duration(f.Now() - o.began),
		Admitted: o.admitted.Load(), Rejected: o.rejected.Load(), Outcomes: o.outcomes.Load(),
	})
}
