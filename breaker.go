package redbreaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Breaker protects calls to one dependency. Make it with [New] or take it from
// a [Registry]. All methods are safe for concurrent use. It owns no goroutine
// while it is idle.
type Breaker struct {
	*life
	slow        time.Duration // a call that took at least this is slow; 0: none is
	classifiers []Classifier
	timed       bool // the length of calls is wanted, so the clock is read
	errorText   bool // the log keeps the text of an error, not only its type
}

// life is what ends with a breaker. It does not refer to it, nor does anything
// that an event's sink reaches: else a forgotten breaker would never be collected.
type life struct {
	name    string
	hooks   *hooks
	handle  engine.Handle
	storage engine.Storage

	mu      sync.Mutex  // held to queue an event, and to stop
	queue   *queue      // nil while no event waits, as nearly always
	owner   bool        // the storage is not the user's, and ends too
	stopped atomic.Bool // written under mu
}

// stop ends it once; it waits for no hook.
func (l *life) stop() {
	l.mu.Lock()
	before := l.stopped.Swap(true)
	l.mu.Unlock()
	if before {
		return
	}
	_ = l.handle.Close() // what is left to tell of a handle that will not close?
	if l.owner {
		_ = l.storage.Close()
	}
}

// New makes a breaker. The name is the identity of the circuit: all breakers of
// one name over one storage share it. Without [WithStorage] the state lives in
// this breaker alone, so that two New("x") share nothing.
//
// New never touches the network; use [Breaker.Ping] to find a wrong password at
// start. It returns every fault of name, policy and options at once, each
// wrapping [ErrInvalid].
func New(name string, p Policy, opts ...Option) (*Breaker, error) {
	s, err := newSettings(opts)
	if err := errors.Join(engine.CheckName(name), p.Validate(), err); err != nil {
		return nil, err
	}
	return s.open(name, p)
}

// open makes a breaker of settings that were found valid.
func (s *settings) open(name string, p Policy) (*Breaker, error) {
	b := &Breaker{
		life:        &life{name: name, hooks: s.hooks, storage: s.storage},
		slow:        wholeMillis(p.Window.SlowCallDuration),
		classifiers: s.classifiers,
		errorText:   s.errorText,
	}
	b.timed = b.slow > 0 || len(s.hooks.outcome) > 0
	if b.storage == nil {
		b.storage, b.owner = engine.NewMemory(), true
	}
	var err error
	b.handle, err = s.bind(b.life, p)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// bind gives the handle that decides: the storage's, with the fallback around
// it where the storage may fail.
func (s *settings) bind(l *life, p Policy) (engine.Handle, error) {
	h, err := l.storage.Bind(l.name, p, l.put)
	if err != nil {
		return nil, err
	}
	if _, inProcess := l.storage.(*engine.Memory); inProcess {
		return h, nil
	}
	return newFallback(h, s.fallback, l, p), nil
}

// Do calls fn if the circuit lets it through, and counts how it ended. It
// returns fn's error unchanged; or, without calling fn, the error of a context
// that is already done, a *[RejectedError], or [ErrStopped]. It never returns
// an error of the storage.
//
// A panic of fn, or a runtime.Goexit, is counted as a failure and goes on.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) (err error) {
	ticket, start, err := b.admit(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() { b.settle(ctx, ticket, start, 0, err, returned) }()
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
	ticket, start, err := b.admit(ctx)
	if err != nil {
		return Permit{}, err
	}
	return Permit{b: b, epoch: ticket.Epoch, start: start, lease: permitLease{uint32(ticket.Lease)}}, nil
}

// Name returns the name given to New.
func (b *Breaker) Name() string { return b.name }

// State returns the state as this process last heard of it; see [Breaker.Status].
func (b *Breaker) State() State { return b.handle.Status().State }

// Status returns what this process last heard, without asking the storage.
// A fleet may have moved on since: Age says how long ago it was heard.
func (b *Breaker) Status() Status { return b.handle.Status() }

// Inspect reads the record from the storage and changes nothing. A storage that
// fails gives a *[StorageError].
func (b *Breaker) Inspect(ctx context.Context) (Snapshot, error) {
	if b.stopped.Load() {
		return Snapshot{}, ErrStopped
	}
	return b.storage.Inspect(ctx, b.name)
}

// Control carries out an operator's decision, with this breaker's policy, for
// the whole fleet, and returns the record after it. It returns [ErrInvalid]
// joined with every fault of the command, [ErrConflict], [ErrForced], or, since
// it never falls back, a *[StorageError].
func (b *Breaker) Control(ctx context.Context, c Command) (Snapshot, error) {
	if err := c.Validate(); err != nil {
		return Snapshot{}, err
	}
	return b.handle.Control(ctx, c)
}

// Ping asks the storage whether it would work, and returns a *[StorageError]
// that says what to change: call it at start, since New does not. A storage
// that has nothing to ask, such as the one in memory, gives nil.
func (b *Breaker) Ping(ctx context.Context) error {
	if b.stopped.Load() {
		return ErrStopped
	}
	if p, ok := b.storage.(engine.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// Stop ends the use of the breaker in this process; the shared circuit stands
// as it is. Calls after it return [ErrStopped]; calls under way end as they
// would, but are not counted, and a probe's slot comes back when its lease
// runs out. Stop takes no new events for hooks and waits for none. It may be
// called twice, and from a hook. The storage given by [WithStorage] stays open.
func (b *Breaker) Stop() { b.stop() }

// admit asks for one call. start is 0 unless the call is timed.
func (b *Breaker) admit(ctx context.Context) (t Ticket, start int64, err error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, 0, err
	}
	t, err = b.handle.Acquire(ctx)
	if err != nil {
		b.hooks.rejected(b.life, err)
		return Ticket{}, 0, err
	}
	if b.timed {
		start = b.handle.Now()
	}
	return t, start, nil
}

// settle ends a call whose function returned err, or did not return. at is the
// end of a timed call if it was read, else 0.
func (b *Breaker) settle(ctx context.Context, t Ticket, start, at int64, err error, returned bool) {
	switch {
	case !returned || err != nil:
		b.weigh(ctx, t, start, at, err, returned)
	case start == 0: // nearly every call
		b.report(ctx, t, Success, 0, nil)
	case at == 0:
		b.conclude(ctx, t, start, b.handle.Now(), Success, nil)
	default:
		b.conclude(ctx, t, start, at, Success, nil)
	}
}

// weigh finds out how a call counts, then settles it.
func (b *Breaker) weigh(ctx context.Context, t Ticket, start, at int64, err error, returned bool) {
	if at == 0 {
		at = b.clock(start)
	}
	o, d := Failure, panicked
	// Deferred, because a classifier may panic too: the call then counts as a failure.
	defer func() { b.conclude(ctx, t, start, at, o, d) }()
	if returned {
		o = b.classify(ctx, err)
		d = b.detail(o, err)
	}
}

// conclude reports a call that may have been timed, then tells the hooks.
func (b *Breaker) conclude(ctx context.Context, t Ticket, start, at int64, o Outcome, d *engine.Detail) {
	elapsed := time.Duration(at - start)
	if b.slow > 0 && elapsed >= b.slow {
		o = slowed(o)
	}
	b.report(ctx, t, o, at, d)
	if len(b.hooks.outcome) > 0 {
		b.hooks.ended(b.life, o, elapsed)
	}
}

// report sends what counts. An error is not the caller's: the call has ended,
// and the fallback has heard of it.
func (b *Breaker) report(ctx context.Context, t Ticket, o Outcome, at int64, d *engine.Detail) {
	if t.Counted() && (o != Ignored || t.Lease != 0) {
		_, _ = b.handle.Report(ctx, t, o, at, d)
	}
}

// clock reads the end of a call that was timed from start.
func (b *Breaker) clock(start int64) int64 {
	if start == 0 {
		return 0
	}
	return b.handle.Now()
}

// wholeMillis rounds up as every duration of a policy is.
func wholeMillis(d time.Duration) time.Duration {
	return time.Duration(engine.CeilMillis(d)) * time.Millisecond
}

// slowed is the outcome of a call that was slow.
func slowed(o Outcome) Outcome {
	switch o {
	case Success:
		return SlowSuccess
	case Failure:
		return SlowFailure
	}
	return o
}
