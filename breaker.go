package redbreaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Breaker protects calls to one dependency. Create it with [New] or get it from
// a [Registry]. All methods are safe for concurrent use. An idle Breaker has no
// goroutine.
type Breaker struct {
	*core
	slowAfter   time.Duration // a call is slow from this length on; 0: no call is
	classifiers []Classifier
	needsClock  bool // the length of calls is needed, so the clock is read
	hasOnCall   bool // a hook is called, or counts, at the end of a call
	countsOnly  bool // for a plain success, hooks only count
	errorText   bool // the log keeps the text of an error and not only its type
	fallback    Fallback
}

// core is the part of a breaker that the events of its handle and its registry
// refer to. It must not refer to the Breaker, and neither may anything that it
// reaches: otherwise a Breaker that the program has dropped would never be
// collected.
type core struct {
	name    string
	hooks   *hooks
	handle  engine.Handle
	storage engine.Storage

	mu          sync.Mutex // guards queue, sealed and closed
	queue       *queue     // nil while no event waits
	stopped     atomic.Bool
	ownsStorage bool // the storage was made by New and is closed with the breaker
	sealed      bool // no more events are accepted
	closed      bool // the handle is closed
	// shown is the status that OnStatus got last. Only the queue's goroutine uses it.
	shown shownStatus
}

// shownStatus is state and mode in one byte: of the fields of core, one more would
// cost each breaker 16 bytes.
type shownStatus uint8

func newShownStatus(s Status) shownStatus { return shownStatus(s.State)<<4 | shownStatus(s.Mode) }

// stop refuses calls and events from now on and closes the handle. It waits for no
// hook.
func (c *core) stop() {
	c.stopped.Store(true)
	c.sealQueue()
	c.close()
}

// shutDown refuses calls from now on, closes the handle, and waits for the outcomes
// that it still sends and for the hooks of all events, those of the closing handle
// included.
func (c *core) shutDown(ctx context.Context) error {
	c.stopped.Store(true)
	c.close()
	err := c.waitForView(ctx)
	c.sealQueue()
	if err != nil {
		return err
	}
	return c.waitForHooks(ctx)
}

// waitForView waits until the outcomes that a local view held were sent.
func (c *core) waitForView(ctx context.Context) error {
	if v, ok := c.handle.(*view); ok {
		return v.waitClosed(ctx)
	}
	return nil
}

// isViewClosed reports whether no outcome of a local view is left to send.
func (c *core) isViewClosed() bool {
	v, ok := c.handle.(*view)
	return !ok || v.isClosed()
}

func (c *core) sealQueue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = true
}

// close closes the handle, once.
func (c *core) close() {
	c.mu.Lock()
	before := c.closed
	c.closed = true
	c.mu.Unlock()
	if before {
		return
	}
	_ = c.handle.Close() // Stop has no way to report an error
	if c.ownsStorage {
		_ = c.storage.Close()
	}
}

// New returns a breaker. The name identifies the circuit: all breakers with one
// name over one storage share it. Without [WithStorage] the state lives in this
// breaker alone, so two calls of New("x") share nothing.
//
// New does no I/O; use [Breaker.Ping] to detect a wrong password at start. It
// returns every fault of name, policy and options at once, each of them wrapping
// [ErrInvalid], or [ErrStopped] if the storage is closed.
func New(name string, p Policy, opts ...Option) (*Breaker, error) {
	s, err := newSettings(opts)
	if err := errors.Join(engine.CheckName(name), p.Validate(), err, s.checkStaleness(p)); err != nil {
		return nil, err
	}
	return s.newBreaker(name, p, s.hooks)
}

// newBreaker makes a breaker from arguments that were validated.
func (s *settings) newBreaker(name string, p Policy, h *hooks) (*Breaker, error) {
	h = h.withCounters(name)
	b := &Breaker{
		core:        &core{name: name, hooks: h, storage: s.storage},
		slowAfter:   roundUpToMillis(p.Window.SlowCallDuration),
		classifiers: s.classifiers,
		errorText:   s.errorText,
		fallback:    s.fallback,
	}
	b.hasOnCall, b.countsOnly = len(h.onCall) > 0, h.countsOnly()
	b.needsClock = b.slowAfter > 0 || h.isTimed
	if b.storage == nil {
		b.storage, b.ownsStorage = engine.NewMemory(), true
	}
	handle, err := s.bindHandle(b.core, p)
	if err != nil {
		return nil, err
	}
	b.setHandle(handle)
	return b, nil
}

// bindHandle returns the storage's handle, with the fallback around it if the
// storage can fail, and the view around that if the options ask for one.
func (s *settings) bindHandle(c *core, p Policy) (engine.Handle, error) {
	h, err := c.storage.Bind(c.name, p, c.enqueue)
	if err != nil {
		return nil, err
	}
	if _, inProcess := c.storage.(*engine.Memory); inProcess {
		return h, nil
	}
	return s.addView(newFallbackHandle(h, s.fallback, c, p), p), nil
}

// Do calls fn if the circuit admits the call, and counts how the call ended. It
// returns fn's error unchanged. If fn was not called, it returns the error of a
// context that is already done, a *[RejectedError], or [ErrStopped]. It never
// returns an error of the storage.
//
// A panic or a runtime.Goexit of fn counts as a failure and continues.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) (err error) {
	ticket, start, err := b.admitCall(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() { b.settleCall(ctx, ticket, start, 0, err, returned) }()
	err = fn(ctx)
	returned = true
	return err
}

// Acquire admits one call that the caller settles by the [Permit], for code that
// Do cannot wrap, such as a stream. It returns the error of a context that is
// already done, a *[RejectedError], or [ErrStopped].
//
// Do not copy the Permit: a copy settles the call again. To pass it on or to
// store it, use its address.
func (b *Breaker) Acquire(ctx context.Context) (Permit, error) {
	ticket, start, err := b.admitCall(ctx)
	if err != nil {
		return Permit{}, err
	}
	return Permit{b: b, epoch: ticket.Epoch, start: start, lease: permitLease{uint32(ticket.Lease)}}, nil
}

// Name returns the name that was given to New.
func (b *Breaker) Name() string { return b.name }

// State returns the last state that this process knows; see [Breaker.Status].
func (b *Breaker) State() State { return b.handle.Status().State }

// Status returns what this process knows of the breaker, without I/O. Other
// processes may have changed it since: Age is the age of this knowledge.
func (b *Breaker) Status() Status { return b.handle.Status() }

// StorageKind names the storage in logs and metrics: memory, redis or cas, or what
// another storage calls itself.
func (b *Breaker) StorageKind() string { return b.storage.Kind() }

// Inspect reads the record from the storage and changes nothing. If the storage
// fails, it returns a *[StorageError]; else the error of ctx, or [ErrStopped].
func (b *Breaker) Inspect(ctx context.Context) (Snapshot, error) {
	if b.stopped.Load() {
		return Snapshot{}, ErrStopped
	}
	return b.storage.Inspect(ctx, b.name)
}

// Control applies an operator's command to the circuit of the whole fleet, with
// this breaker's policy, and returns the record after it. It returns every fault
// of the command, each wrapping [ErrInvalid]; [ErrConflict] or [ErrForced] if the
// record refuses it; since commands never use the fallback, a *[StorageError] if the
// storage fails; else the error of ctx, or [ErrStopped]. After an error of class
// [ClassUnknown] the command may have had its effect.
func (b *Breaker) Control(ctx context.Context, c Command) (Snapshot, error) {
	if err := c.Validate(); err != nil {
		return Snapshot{}, err
	}
	return b.handle.Control(ctx, c)
}

// Ping checks whether the storage works for this process, and whether the record of
// this breaker is its own, and returns a *[StorageError] that says what to change, the
// error of ctx, or [ErrStopped]. Call it at start, since New does no I/O. Over Redis it
// takes up to eight timeouts (2 s by default) if the server does not answer. For a
// storage that has nothing to check, such as memory, it returns nil.
func (b *Breaker) Ping(ctx context.Context) error {
	if b.stopped.Load() {
		return ErrStopped
	}
	if p, ok := b.storage.(engine.Pinger); ok {
		if err := p.Ping(ctx); err != nil {
			return err
		}
	}
	// Only what Ping of a storage cannot know: data of another application at the key, or a
	// record of a newer release. A user may lack the right to inspect, which calls do not need.
	_, err := b.storage.Inspect(ctx, b.name)
	var e *StorageError
	if errors.As(err, &e) && e.Class == ClassForeign {
		return err
	}
	return nil
}

// Stop ends the use of the breaker in this process. The shared circuit keeps its
// state. Later calls return [ErrStopped]. With [WithMaxStaleness], outcomes that are not
// sent yet are sent in the background. Calls in flight end normally but are not
// counted, and the slot of a probe is free again when its lease ends. Stop accepts
// no more events for hooks and does not wait for those that wait or run; see
// [Breaker.Shutdown]. It may be called twice, and from a hook. A storage given by
// [WithStorage] stays open.
func (b *Breaker) Stop() { b.stop() }

// Shutdown stops the breaker as [Breaker.Stop] does and waits until its last outcomes
// were sent and the hooks of all its events have returned, so that a program that ends loses no last
// transition. It returns the error of ctx if that ends first; the breaker is
// stopped then too. Do not call it from a hook, which would wait for itself. It may
// be called twice, and after Stop.
func (b *Breaker) Shutdown(ctx context.Context) error { return b.shutDown(ctx) }

// admitCall asks the handle to admit one call. start is 0 unless the call is timed.
func (b *Breaker) admitCall(ctx context.Context) (t Ticket, start int64, err error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, 0, err
	}
	t, err = b.handle.Acquire(ctx)
	if err != nil {
		if len(b.hooks.onReject) > 0 {
			b.hooks.callOnReject(ctx, b.core, err)
		}
		return Ticket{}, 0, err
	}
	if b.needsClock {
		start = b.handle.Now()
	}
	return t, start, nil
}

// settleCall counts a call whose function returned err, or did not return. end
// is when a timed call ended if the clock was already read, else 0.
func (b *Breaker) settleCall(ctx context.Context, t Ticket, start, end int64, err error, returned bool) {
	switch {
	case !returned || err != nil:
		b.settleError(ctx, t, start, end, err, returned)
	case start == 0 && !b.hasOnCall: // the common case
		b.reportOutcome(ctx, t, Success, 0, nil)
	case start == 0 && b.countsOnly && t.Counted():
		b.reportPlainSuccess(ctx, t)
	case end == 0:
		b.finishCall(ctx, t, callEnd{start: start, end: b.readEnd(start), outcome: Success})
	default:
		b.finishCall(ctx, t, callEnd{start: start, end: end, outcome: Success})
	}
}

// reportPlainSuccess reports an untimed success that hooks only count, unless it is stale.
func (b *Breaker) reportPlainSuccess(ctx context.Context, t Ticket) {
	if stale := b.reportOutcome(ctx, t, Success, 0, nil); stale {
		b.hooks.callOnCall(ctx, b.core, CallResult{Name: b.name, Outcome: Success, Probe: t.Lease != 0, Stale: true})
		return
	}
	b.hooks.addToCounters(b.core)
}

// settleError classifies err and counts the call.
func (b *Breaker) settleError(ctx context.Context, t Ticket, start, end int64, err error, returned bool) {
	if end == 0 {
		end = b.readEnd(start)
	}
	e := callEnd{start: start, end: end, outcome: Failure, err: ErrPanicked, detail: panicDetail}
	// Deferred, because a classifier may panic too. The call then counts as a failure.
	defer func() { b.finishCall(ctx, t, e) }()
	if returned {
		o := b.classify(ctx, err)
		e.outcome, e.err, e.detail = o, err, b.failureDetail(o, err)
	}
}

// callEnd is the end of a call. start and end are 0 if the call was not timed.
type callEnd struct {
	start, end int64
	outcome    Outcome
	err        error
	detail     *engine.Detail
}

// finishCall finds out whether the call was slow, reports it, and calls the hooks.
func (b *Breaker) finishCall(ctx context.Context, t Ticket, e callEnd) {
	elapsed := time.Duration(e.end - e.start)
	if b.slowAfter > 0 && elapsed >= b.slowAfter {
		e.outcome = asSlow(e.outcome)
	}
	stale := b.reportOutcome(ctx, t, e.outcome, e.end, e.detail)
	if b.hasOnCall {
		b.hooks.callOnCall(ctx, b.core, CallResult{
			Name: b.name, Outcome: e.outcome, Err: e.err, Elapsed: elapsed, Probe: t.Lease != 0, Stale: stale,
			Uncounted: !t.Counted(), WouldReject: !t.Counted() && b.isShadowed(),
		})
	}
}

// isShadowed reports whether the mode is shadow and the storage answers: then a call
// that is not counted is one that the circuit would have rejected.
func (b *Breaker) isShadowed() bool {
	s := b.handle.Status()
	return s.Mode == ModeShadow && !s.Degraded
}

// reportOutcome sends an outcome that counts, and reports whether it came too late.
// An error of the storage is no concern of the caller, whose call has ended; the
// fallback has noted it.
func (b *Breaker) reportOutcome(ctx context.Context, t Ticket, o Outcome, end int64, d *engine.Detail) (stale bool) {
	if t.Counted() && (o != Ignored || t.Lease != 0) {
		stale, _ = b.handle.Report(ctx, t, o, end, d)
	}
	return stale
}

// readEnd reads the clock at the end of a call, if the call is timed.
func (b *Breaker) readEnd(start int64) int64 {
	if start == 0 {
		return 0
	}
	return b.handle.Now()
}

// roundUpToMillis rounds d up to whole milliseconds, as a policy's durations are.
func roundUpToMillis(d time.Duration) time.Duration {
	return time.Duration(engine.CeilMillis(d)) * time.Millisecond
}

// asSlow returns the slow form of an outcome.
func asSlow(o Outcome) Outcome {
	switch o {
	case Success:
		return SlowSuccess
	case Failure:
		return SlowFailure
	}
	return o
}
