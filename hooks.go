package redbreaker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Hooks are functions that a breaker calls when something happens in this
// process. All are optional; the hooks of several [WithHooks] are all called.
//
// OnCall and OnReject run on the caller's goroutine, so they must be quick. The
// others run on a goroutine of their own, without locks, one at a time, in the
// order of the events. Up to 256 events wait; then the oldest is dropped, and
// OnAnomaly reports how many were, so that the newest event always arrives.
// [Breaker.Shutdown] waits for them at the end of a program.
//
// A hook may call the breaker and may stop it. The panic of a hook is recovered;
// the first one is logged to slog.Default. A runtime.Goexit of OnCall or OnReject
// ends the caller's goroutine after the call was counted.
type Hooks struct {
	// OnTransition is called for each change of state or mode that a step of this
	// process made: then Own is true. Over a storage that watches the fleet
	// (storage.WithWatch) it is called for the transitions of other processes too.
	// It suits logs and counters: page and count on Own without Local, and each
	// transition of a fleet counts once. Local marks those that the fallback made in
	// this process while the storage failed. It does not suit a gauge: without
	// WithWatch it is not called when another process closes the circuit.
	OnTransition func(Transition)
	// OnStatus is called when this process learns of another state or mode, by
	// whatever way: its own step, a reply that shows another process's transition,
	// or the start and end of an outage with [FallbackLocal]. It suits a gauge. A
	// breaker begins closed and in auto, without a call. Changes that follow each
	// other faster than hooks run are joined: the last one always arrives.
	OnStatus func(name string, s Status)
	// OnCall is called at the end of each admitted call, counted or not. It costs
	// two clock readings per call, unless Untimed is set. ctx is the caller's, or
	// context.Background where a method of [Permit] takes none.
	OnCall func(ctx context.Context, r CallResult)
	// Untimed means that OnCall does not use CallResult.Elapsed. If no hook of the
	// breaker uses it, and the policy counts no slow calls, the clock is not read and
	// Elapsed is 0.
	Untimed bool
	// SuccessCounter makes these hooks count plain successes without a call of OnCall,
	// by one atomic addition. It returns the counter of the breaker with that name, and
	// is called once for each breaker. A plain success is a Success that was counted and
	// is not stale; OnCall is called for all other calls. Where it returns nil, OnCall is
	// called for all.
	SuccessCounter func(name string) *SuccessCounter
	// OnReject is called for each rejected call, with the caller's context. Do not
	// change the error: other calls get the same one.
	OnReject func(ctx context.Context, err *RejectedError)
	// OnDegraded is called at the first failure of an outage of the storage
	// (EventDegraded), for each breaker. If no OnDegraded is set, the first breaker
	// of a storage logs one warning to slog.Default.
	OnDegraded func(Event)
	// OnRestored is called when the storage has answered for one second without a
	// failure (EventRestored), for each breaker. The event holds the length of the
	// outage and how many calls the fallback admitted and rejected. If no OnRestored
	// is set, the first breaker of a storage logs one line to slog.Default.
	OnRestored func(Event)
	// OnAnomaly is called for what should not happen: a record that could not be
	// read (EventHealed, for which OnTransition is called too) or that was lost
	// (EventLost), another policy under this name (EventSkew), a probe that
	// outlived its lease (EventProbeOverdue, once for each round of probes), ten probes
	// of this process in a row that were ignored (EventProbesIgnored, as often), events
	// that were dropped (EventDropped), breakers that cannot be listed
	// (EventUnlisted), transitions that could not be delivered (EventMissed), and
	// push that does not work (EventPushLost).
	OnAnomaly func(Event)
}

// CallResult is the end of one admitted call, for [Hooks].OnCall.
type CallResult struct {
	// Name is the breaker's.
	Name    string
	Outcome Outcome
	// Err is the error that was judged: of the function, of the check of
	// [CallCheck], or of the [Permit]. It is [ErrPanicked] if the call did not
	// return, and nil where there is none.
	Err error
	// Elapsed is how long the call took, without the check of CallCheck, and up to
	// [Permit.StopClock].
	Elapsed time.Duration
	// Probe reports whether the call was a probe of a half-open circuit.
	Probe bool
	// Stale reports whether the result came too late to count: after a transition, or
	// after the outage whose local breaker admitted the call.
	Stale bool
	// Uncounted reports whether the call was admitted without being counted: forced
	// closed, in an outage with [FallbackAllow], or in shadow where the circuit would
	// have rejected it.
	Uncounted bool
	// WouldReject reports whether the call was admitted only because the mode is
	// shadow. It is read at the end of the call, so a mode that changed meanwhile is
	// seen as it is then.
	WouldReject bool
}

// ErrorType returns the type of Err, such as *net.OpError, without wrappers that only
// add words: the name that the record's log keeps. It is empty if there is no error,
// and "panic" for [ErrPanicked].
func (r CallResult) ErrorType() string {
	switch {
	case r.Err == nil:
		return ""
	case errors.Is(r.Err, ErrPanicked):
		return "panic"
	}
	return nameErrorType(r.Err)
}

// ErrPanicked is the error of a call that panicked or ended its goroutine, in
// [CallResult] and [Transition]. The caller gets the panic itself.
var ErrPanicked = errors.New("redbreaker: call panicked or ended its goroutine")

// Names of log attributes. They are those of the metrics; package metrics lists them.
const (
	attrName        = "redbreaker.circuit_breaker.name"
	attrFrom        = "redbreaker.circuit_breaker.from"
	attrTo          = "redbreaker.circuit_breaker.to"
	attrMode        = "redbreaker.circuit_breaker.mode"
	attrCause       = "redbreaker.circuit_breaker.cause"
	attrAnomaly     = "redbreaker.circuit_breaker.anomaly"
	attrStorageKind = "redbreaker.storage.kind"
)

// LogHooks returns hooks that log transitions, outages and anomalies: one line for
// each, and none for single calls. The attributes have the names of the metrics. A
// circuit that opens, an outage and an anomaly are logged as warnings, the rest as
// information. Transitions that other processes made are logged at Debug, so that a
// fleet logs each once; the text of one that the fallback made ends in "local". For a
// gauge use OnStatus instead. If l is nil, the hooks use slog.Default as it is at the
// time of the event.
func LogHooks(l *slog.Logger) Hooks {
	log := func(level slog.Level, msg, name string, attrs ...slog.Attr) {
		to := l
		if to == nil {
			to = slog.Default()
		}
		to.LogAttrs(context.Background(), level, msg, append([]slog.Attr{slog.String(attrName, engine.PrintableName(name))}, attrs...)...)
	}
	return Hooks{
		OnTransition: func(t Transition) {
			level := slog.LevelInfo
			if t.To == StateOpen || t.ToMode == ModeForcedOpen {
				level = slog.LevelWarn
			}
			if !t.Own {
				level = slog.LevelDebug
			}
			log(level, "redbreaker: transition", t.Name, slog.String(attrFrom, t.From.String()), slog.String(attrTo, t.To.String()),
				slog.String(attrMode, t.ToMode.String()), slog.String(attrCause, string(t.Cause)), slog.String("transition", t.String()))
		},
		OnDegraded: func(e Event) {
			log(slog.LevelWarn, "redbreaker: storage unavailable, the fallback decides", e.Name, slog.Any("error", e.Err))
		},
		OnRestored: func(e Event) {
			log(slog.LevelInfo, "redbreaker: storage available again", e.Name, slog.Duration("outage", e.Outage),
				slog.Int64("admitted", e.Admitted), slog.Int64("rejected", e.Rejected), slog.Int64("outcomes", e.Outcomes))
		},
		OnAnomaly: func(e Event) {
			log(slog.LevelWarn, "redbreaker: anomaly", e.Name, slog.String(attrAnomaly, e.Kind.String()), anomalyAttr(e))
		},
	}
}

// anomalyAttr returns the attribute that is specific to the kind of an anomaly.
func anomalyAttr(e Event) slog.Attr {
	switch e.Kind {
	case EventLost, EventProbesIgnored:
		return slog.Int64("epoch", e.Epoch)
	case EventSkew:
		return slog.String("policy", e.Policy)
	case EventProbeOverdue:
		return slog.Group("probe", slog.Duration("took", e.Took), slog.Duration("lease", e.Lease))
	case EventDropped:
		return slog.Int("dropped", e.Dropped)
	case EventMissed:
		return slog.Int64("missed", e.Missed)
	case EventUnlisted, EventPushLost:
		return slog.Any("error", e.Err)
	}
	return slog.String("transition", e.Transition.String())
}

// hooks are the functions of all WithHooks, by what they are called for.
type hooks struct {
	onCall   []callHook
	onReject []func(context.Context, *RejectedError)
	onStatus []func(string, Status)
	onEvent  map[EventKind][]listener
	isTimed  bool // a function of onCall uses the length of calls

	panicLogged sync.Once
	// common are these hooks with the counters of the first breaker. Most breakers share
	// their counters, and so the hooks.
	common atomic.Pointer[hooks]
}

// callHook is the OnCall of one Hooks.
type callHook struct {
	call      func(context.Context, CallResult) // nil if there is only a counter
	counterOf func(name string) *SuccessCounter
	counter   *SuccessCounter // of plain successes, instead of call; nil: call gets them
}

// listener is called for an event of the breaker of c.
type listener func(c *core, e Event)

// defaultHooks are shared by all breakers without WithHooks.
var defaultHooks = &hooks{}

// defaultListeners are called where no hook listens, so that a wrong password does
// not silently leave a program without a shared breaker.
var defaultListeners = map[EventKind][]listener{
	EventDegraded: {func(c *core, e Event) { outages.logDegraded(c.storage, e) }},
	EventRestored: {func(c *core, _ Event) { outages.logRestored(c.storage) }},
}

func (h *hooks) add(u Hooks) {
	if u.OnCall != nil || u.SuccessCounter != nil {
		h.onCall = append(h.onCall, callHook{call: u.OnCall, counterOf: u.SuccessCounter})
		h.isTimed = h.isTimed || u.OnCall != nil && !u.Untimed
	}
	if u.OnReject != nil {
		h.onReject = append(h.onReject, u.OnReject)
	}
	if u.OnStatus != nil {
		h.onStatus = append(h.onStatus, u.OnStatus)
	}
	if u.OnTransition != nil {
		h.addListener(func(e Event) { u.OnTransition(e.Transition) }, EventTransition, EventHealed)
	}
	h.addListener(u.OnDegraded, EventDegraded)
	h.addListener(u.OnRestored, EventRestored)
	h.addListener(u.OnAnomaly, EventHealed, EventLost, EventSkew, EventProbeOverdue, EventProbesIgnored,
		EventDropped, EventUnlisted, EventMissed, EventPushLost)
}

func (h *hooks) addListener(f func(Event), kinds ...EventKind) {
	if f == nil {
		return
	}
	if h.onEvent == nil {
		h.onEvent = map[EventKind][]listener{}
	}
	for _, k := range kinds {
		h.onEvent[k] = append(h.onEvent[k], func(_ *core, e Event) { f(e) })
	}
}

// with returns these hooks and u. It changes nothing that other breakers use.
func (h *hooks) with(u Hooks) *hooks {
	sum := &hooks{
		onCall: slices.Clone(h.onCall), onReject: slices.Clone(h.onReject), onStatus: slices.Clone(h.onStatus),
		onEvent: map[EventKind][]listener{}, isTimed: h.isTimed,
	}
	for k, list := range h.onEvent {
		sum.onEvent[k] = slices.Clone(list)
	}
	sum.add(u)
	return sum
}

// withCounters returns these hooks with the counters of the breaker with that name.
func (h *hooks) withCounters(name string) *hooks {
	onCall := slices.Clone(h.onCall)
	hasCounter := false
	for i := range onCall {
		if f := onCall[i].counterOf; f != nil {
			onCall[i].counter = f(name)
			hasCounter = hasCounter || onCall[i].counter != nil
		}
	}
	if !hasCounter {
		return h
	}
	if common := h.common.Load(); common != nil && slices.EqualFunc(common.onCall, onCall, hasSameCounter) {
		return common
	}
	own := h.with(Hooks{})
	own.onCall = onCall
	h.common.CompareAndSwap(nil, own)
	return own
}

func hasSameCounter(a, b callHook) bool { return a.counter == b.counter }

// countsOnly reports whether all hooks count plain successes and none is called for
// them.
func (h *hooks) countsOnly() bool {
	return len(h.onCall) > 0 && !slices.ContainsFunc(h.onCall, func(f callHook) bool { return f.counter == nil })
}

// addToCounters counts a plain success where countsOnly is true.
func (h *hooks) addToCounters(c *core) {
	if c.stopped.Load() {
		return
	}
	for i := range h.onCall {
		h.onCall[i].counter.Add()
	}
}

// listenersOf returns what to call for an event. A storage may send a kind that
// this release does not know; nothing listens to it.
func (h *hooks) listenersOf(k EventKind) []listener {
	if list := h.onEvent[k]; len(list) > 0 {
		return list
	}
	return defaultListeners[k]
}

// listenTo reports whether an event of this kind leads to a call. Every kind may
// come with a new status.
func (h *hooks) listenTo(k EventKind) bool {
	return len(h.onStatus) > 0 || len(h.listenersOf(k)) > 0
}

// callOnReject calls the hooks if err is a rejection.
func (h *hooks) callOnReject(ctx context.Context, c *core, err error) {
	if c.stopped.Load() {
		return
	}
	if r, ok := err.(*RejectedError); ok {
		for _, f := range h.onReject {
			h.callSafely(func() { f(ctx, r) })
		}
	}
}

// callOnCall calls the hooks at the end of a call.
func (h *hooks) callOnCall(ctx context.Context, c *core, r CallResult) {
	if c.stopped.Load() {
		return
	}
	isPlain := r.Outcome == Success && !r.Stale && !r.Uncounted
	for i := range h.onCall {
		switch f := &h.onCall[i]; {
		case isPlain && f.counter != nil:
			f.counter.Add()
		case f.call != nil:
			h.callSafely(func() { f.call(ctx, r) })
		}
	}
}

// callSafely calls a hook and recovers its panic.
func (h *hooks) callSafely(hook func()) {
	defer func() {
		if r := recover(); r != nil {
			h.panicLogged.Do(func() {
				slog.Default().Error("redbreaker: a hook panicked; later panics are not logged", slog.Any("panic", r))
			})
		}
	}()
	hook()
}
