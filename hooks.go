package redbreaker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Hooks are functions that a breaker calls when something happens in this
// process. All are optional; the hooks of several [WithHooks] are all called. A
// transition reaches the hooks of the process whose step made it: other processes
// see its effects, but their OnTransition is not called.
//
// OnOutcome and OnReject run on the caller's goroutine, so they must be quick.
// The others run on a goroutine of their own, without locks, one at a time, in
// the order of the events. Up to 256 events wait; then the oldest is dropped, and
// OnAnomaly reports how many were, so that the newest event always arrives.
//
// A hook may call the breaker and may stop it. The panic of a hook is recovered;
// the first one is logged to slog.Default. A runtime.Goexit of OnOutcome or
// OnReject ends the caller's goroutine after the call was counted.
type Hooks struct {
	// OnTransition is called for each change of state or mode.
	OnTransition func(Transition)
	// OnOutcome is called at the end of each admitted call, counted or not, with
	// the time that the call took. It costs two clock readings per call.
	OnOutcome func(name string, o Outcome, elapsed time.Duration)
	// OnReject is called for each rejected call. Do not change the error: other
	// calls get the same one.
	OnReject func(*RejectedError)
	// OnDegraded is called at the first failure of an outage of the storage
	// (EventDegraded). If no OnDegraded is set, it is logged to slog.Default as a
	// warning.
	OnDegraded func(Event)
	// OnRestored is called when the storage has answered for one second without a
	// failure (EventRestored). The event holds the length of the outage and how
	// many calls the fallback admitted and rejected. If no OnRestored is set, it
	// is logged to slog.Default.
	OnRestored func(Event)
	// OnAnomaly is called for what should not happen: a record that could not be
	// read (EventHealed, for which OnTransition is called too) or that was lost
	// (EventLost), another policy under this name (EventSkew), and events that
	// were dropped (EventDropped).
	OnAnomaly func(Event)
}

// Names of log attributes. They are those of the metrics.
const (
	attrName = "redbreaker.circuit_breaker.name"
)

// LogHooks returns hooks that log transitions, outages and anomalies, but no
// single calls. A circuit that opens, an outage and an anomaly are logged as
// warnings, the rest as information. If l is nil, they use slog.Default as it is
// at the time of the event.
func LogHooks(l *slog.Logger) Hooks {
	log := func(level slog.Level, msg, name string, attrs ...slog.Attr) {
		to := l
		if to == nil {
			to = slog.Default()
		}
		to.LogAttrs(context.Background(), level, msg, append([]slog.Attr{slog.String(attrName, name)}, attrs...)...)
	}
	return Hooks{
		OnTransition: func(t Transition) {
			level := slog.LevelInfo
			if t.To == StateOpen || t.ToMode == ModeForcedOpen {
				level = slog.LevelWarn
			}
			log(level, "redbreaker: transition", t.Name, slog.String("transition", t.String()))
		},
		OnDegraded: func(e Event) {
			log(slog.LevelWarn, "redbreaker: storage unavailable, the fallback decides", e.Name, slog.Any("error", e.Err))
		},
		OnRestored: func(e Event) {
			log(slog.LevelInfo, "redbreaker: storage available again", e.Name, slog.Duration("outage", e.Outage),
				slog.Int64("admitted", e.Admitted), slog.Int64("rejected", e.Rejected), slog.Int64("outcomes", e.Outcomes))
		},
		OnAnomaly: func(e Event) {
			log(slog.LevelWarn, "redbreaker: anomaly", e.Name, slog.String("kind", e.Kind.String()), anomalyAttr(e))
		},
	}
}

// anomalyAttr returns the attribute that is specific to the kind of an anomaly.
func anomalyAttr(e Event) slog.Attr {
	switch e.Kind {
	case EventLost:
		return slog.Int64("epoch", e.Epoch)
	case EventSkew:
		return slog.String("policy", e.Policy)
	case EventDropped:
		return slog.Int("dropped", e.Dropped)
	}
	return slog.String("transition", e.Transition.String())
}

// hooks are the functions of all WithHooks, by what they are called for.
type hooks struct {
	onOutcome []func(string, Outcome, time.Duration)
	onReject  []func(*RejectedError)
	onEvent   [EventDropped + 1][]func(Event) // by EventKind

	panicLogged sync.Once
}

// defaultHooks are shared by all breakers without WithHooks.
var defaultHooks = new(hooks).addDefaults()

func (h *hooks) add(u Hooks) {
	if u.OnOutcome != nil {
		h.onOutcome = append(h.onOutcome, u.OnOutcome)
	}
	if u.OnReject != nil {
		h.onReject = append(h.onReject, u.OnReject)
	}
	if u.OnTransition != nil {
		h.addListener(func(e Event) { u.OnTransition(e.Transition) }, EventTransition, EventHealed)
	}
	h.addListener(u.OnDegraded, EventDegraded)
	h.addListener(u.OnRestored, EventRestored)
	h.addListener(u.OnAnomaly, EventHealed, EventLost, EventSkew, EventDropped)
}

func (h *hooks) addListener(f func(Event), kinds ...EventKind) {
	if f == nil {
		return
	}
	for _, k := range kinds {
		h.onEvent[k] = append(h.onEvent[k], f)
	}
}

// addDefaults logs outages that no hook handles, so that a wrong password does
// not silently leave a program without a shared breaker.
func (h *hooks) addDefaults() *hooks {
	log := LogHooks(nil)
	if len(h.onEvent[EventDegraded]) == 0 {
		h.addListener(log.OnDegraded, EventDegraded)
	}
	if len(h.onEvent[EventRestored]) == 0 {
		h.addListener(log.OnRestored, EventRestored)
	}
	return h
}

// listenersOf returns the functions to call for an event. A storage may send a
// kind that this release does not know; nothing listens to it.
func (h *hooks) listenersOf(k EventKind) []func(Event) {
	if int(k) >= len(h.onEvent) {
		return nil
	}
	return h.onEvent[k]
}

// callOnReject calls the hooks if err is a rejection.
func (h *hooks) callOnReject(c *core, err error) {
	if len(h.onReject) == 0 || c.stopped.Load() {
		return
	}
	if r, ok := err.(*RejectedError); ok {
		for _, f := range h.onReject {
			h.callSafely(func() { f(r) })
		}
	}
}

// callOnOutcome calls the hooks at the end of a call.
func (h *hooks) callOnOutcome(c *core, o Outcome, elapsed time.Duration) {
	if c.stopped.Load() {
		return
	}
	for _, f := range h.onOutcome {
		h.callSafely(func() { f(c.name, o, elapsed) })
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
