package redbreaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Fallback says what happens to calls while the storage does not answer.
type Fallback uint8

// The fallbacks. PyBreaker's fallback_circuit_state is FallbackAllow for closed
// and FallbackDeny for open.
const (
	// FallbackAllow lets calls pass and counts nothing.
	FallbackAllow Fallback = iota + 1
	// FallbackDeny rejects calls with ReasonUnavailable.
	FallbackDeny
	// FallbackLocal, the default, goes on with a breaker of this process: open
	// stays open for its remaining time, a forced mode stays forced, half-open
	// begins as open for one lease, and from there the policy decides by what
	// this process sees. It ends with the outage, and nothing of it is sent later.
	FallbackLocal
)

// calm is how long the storage must have answered without a failure until an
// outage counts as over. Decisions follow the storage as soon as it answers; only
// the events wait, so that a storage that flickers does not flood a log.
const calm = int64(time.Second)

// fallback is a Handle around a storage's. It decides where the storage does
// not, so that no error of a storage reaches a call, and tells when that begins
// and ends. It sees to admissions and reports; Control never falls back.
type fallback struct {
	engine.Handle
	life   *life // whose name it has, and whose hooks it tells
	kind   Fallback
	policy Policy

	now   atomic.Pointer[outage] // nil while all is well
	mu    sync.Mutex             // held to begin and to end an outage
	local *local                 // made by the first outage; guarded by mu
}

// outage is a time in which the storage does not answer, or not always.
type outage struct {
	began  int64
	failed atomic.Int64 // when the storage last failed
	// failing holds a bit for each operation whose last attempt failed: a
	// read-only server admits and takes no results, and must not seem to recover
	// with each admission.
	failing atomic.Uint32
	local   *local // FallbackLocal

	admitted, rejected, outcomes atomic.Int64
}

func newFallback(h engine.Handle, kind Fallback, l *life, p Policy) *fallback {
	return &fallback{Handle: h, life: l, kind: kind, policy: p}
}

const (
	acquires uint32 = 1 << iota
	reports
)

// Acquire asks the storage, and decides where it does not answer.
func (f *fallback) Acquire(ctx context.Context) (Ticket, error) {
	t, err := f.Handle.Acquire(ctx)
	if err == nil {
		f.answered(acquires)
		return f.counted(ctx, t)
	}
	if _, rejected := err.(*RejectedError); rejected {
		f.answered(acquires)
		return Ticket{}, err
	}
	failure, err := f.judge(ctx, "acquire", err)
	if err != nil {
		return Ticket{}, err
	}
	return f.decide(ctx, f.fails(acquires, failure), failure)
}

// counted sees to it that an admission of the storage is counted somewhere. A
// storage that admits and takes no results would be no breaker at all: then the
// local one has its say too, until a result is tried again.
func (f *fallback) counted(ctx context.Context, t Ticket) (Ticket, error) {
	o := f.now.Load()
	if o == nil || o.local == nil || o.failing.Load()&reports == 0 || t.Lease != 0 ||
		f.Now()-o.failed.Load() >= calm {
		return t, nil
	}
	return o.admit(ctx)
}

// decide is the fallback's answer to a call.
func (f *fallback) decide(ctx context.Context, o *outage, failure *StorageError) (Ticket, error) {
	switch {
	case o.local != nil:
		return o.admit(ctx)
	case f.kind == FallbackDeny:
		o.rejected.Add(1)
		s := f.Handle.Status()
		return Ticket{}, engine.NewRejected(RejectedError{
			Name: f.life.name, Reason: ReasonUnavailable, State: s.State, Mode: s.Mode, Err: failure,
		}, 0, nil)
	}
	o.admitted.Add(1)
	return Ticket{}, nil
}

// admit asks the local breaker.
func (o *outage) admit(ctx context.Context) (Ticket, error) {
	t, err := o.local.Acquire(ctx)
	if err != nil {
		o.rejected.Add(1)
		return Ticket{}, err
	}
	o.admitted.Add(1)
	return asLocal(t), nil
}

// Report sends a result to where its ticket came from.
func (f *fallback) Report(ctx context.Context, t Ticket, out Outcome, at int64, d *engine.Detail) (stale bool, err error) {
	if own, ok := fromLocal(t); ok {
		return f.reportLocal(ctx, own, out, d)
	}
	stale, err = f.Handle.Report(ctx, t, out, at, d)
	if err == nil {
		f.answered(reports)
		return stale, nil
	}
	// The caller's context does not bound a report, so its end excuses nothing.
	failure, err := f.judge(context.Background(), "report", err)
	if err != nil {
		return false, err
	}
	f.fails(reports, failure)
	return false, failure
}

func (f *fallback) reportLocal(ctx context.Context, t Ticket, out Outcome, d *engine.Detail) (bool, error) {
	o := f.now.Load()
	if o == nil || o.local == nil {
		return true, nil // the outage is over, and what was local with it
	}
	o.outcomes.Add(1)
	return o.local.Report(ctx, t, out, 0, d)
}

// Status is the local breaker's while it decides, else what was last heard.
func (f *fallback) Status() Status {
	o := f.now.Load()
	if o == nil {
		return f.Handle.Status()
	}
	s := f.Handle.Status()
	if o.local != nil {
		age := s.Age
		s = o.local.Status()
		s.Age = age
	}
	s.Degraded = true
	return s
}

// judge tells an error that is the storage's from those that are the caller's
// to have.
func (f *fallback) judge(ctx context.Context, op string, err error) (*StorageError, error) {
	if errors.Is(err, ErrStopped) {
		return nil, ErrStopped
	}
	var failure *StorageError
	if errors.As(err, &failure) {
		return failure, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// A storage may see the caller's deadline a moment before the context does.
	if deadline, ok := ctx.Deadline(); ok && errors.Is(err, context.DeadlineExceeded) && !time.Now().Before(deadline) {
		return nil, context.DeadlineExceeded
	}
	return &StorageError{Class: ClassUnknown, Op: op, Name: f.life.name, Err: err}, nil
}

// fails notes that op failed, and tells of it if all was well.
func (f *fallback) fails(op uint32, err *StorageError) *outage {
	o := f.now.Load()
	if o == nil {
		o = f.begin(err)
	}
	o.failed.Store(f.Now())
	o.failing.Or(op)
	return o
}

// begin begins an outage, unless another call just did.
func (f *fallback) begin(err *StorageError) *outage {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.now.Load(); o != nil {
		return o
	}
	o := &outage{began: f.Now()}
	if f.kind == FallbackLocal {
		o.local = f.stand()
	}
	f.now.Store(o)
	f.life.put(Event{Kind: EventDegraded, Name: f.life.name, Err: err})
	return o
}

// stand makes the local breaker ready. It is nil only if the engine refuses what
// the storage took, and then calls pass uncounted.
func (f *fallback) stand() *local {
	if f.local == nil {
		l, err := newLocal(f.life.name, f.policy, f.Now, f.life.put)
		if err != nil {
			return nil
		}
		f.local = l
	}
	f.local.seed(f.Handle.Status(), f.policy)
	return f.local
}

// answered notes that op works, and tells of it if nothing has failed for a while.
func (f *fallback) answered(op uint32) {
	o := f.now.Load()
	if o == nil {
		return
	}
	o.failing.And(^op)
	if o.failing.Load() != 0 || f.Now()-o.failed.Load() < calm {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.Load() != o {
		return // another call was first
	}
	f.now.Store(nil)
	f.life.put(Event{
		Kind: EventRestored, Name: f.life.name, Outage: time.Duration(f.Now() - o.began),
		Admitted: o.admitted.Load(), Rejected: o.rejected.Load(), Outcomes: o.outcomes.Load(),
	})
}
