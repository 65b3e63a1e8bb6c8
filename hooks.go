package redbreaker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Hooks are told what happens in this process; all are optional, and repeated
// [WithHooks] add up. A transition is told where the step that made it ran:
// other processes of the fleet see its effects, not its hook.
//
// OnOutcome and OnReject run inline, on the caller's path: be quick. The others
// run on a goroutine of their own, outside every lock, one after the other in
// the order of events. Up to 256 events wait; beyond that the oldest are dropped
// and OnAnomaly is told how many, so that the last state always arrives.
//
// A hook may call the breaker and may stop it. One that panics is recovered
// (the first time is logged to slog.Default); one that calls runtime.Goexit
// ends, inline, the goroutine of its caller, but only after the call was counted.
type Hooks struct {
	// OnTransition is told each change of state or mode.
	OnTransition func(Transition)
	// OnOutcome is told how each call that was let through ended, counted or
	// not, and how long it took. It costs two readings of the clock a call.
	OnOutcome func(name string, o Outcome, elapsed time.Duration)
	// OnReject is told each rejection. Do not change the error: it is shared.
	OnReject func(*RejectedError)
	// OnDegraded is told when the storage stops answering (EventDegraded), once
	// an outage. Unset everywhere, it is logged to slog.Default as a warning.
	OnDegraded func(Event)
	// OnRestored is told when the storage has answered again for a second
	// (EventRestored): how long the outage was, and what the fallback decided
	// meanwhile. Unset everywhere, it is logged to slog.Default.
	OnRestored func(Event)
	// OnAnomaly is told what should not happen: a record that could not be read
	// (EventHealed, which OnTransition is told too) or was lost (EventLost),
	// another policy under this name (EventSkew), events dropped (EventDropped).
	OnAnomaly func(Event)
}

// LogHooks logs transitions, outages and anomalies, not the single call. A
// circuit that opens, an outage and an anomaly are warnings, the rest is
// information. nil: slog.Default, as it is when something happens.
func LogHooks(l *slog.Logger) Hooks {
	log := func(level slog.Level, msg, name string, attrs ...slog.Attr) {
		to := l
		if to == nil {
			to = slog.Default()
		}
		to.LogAttrs(context.Background(), level, msg, append([]slog.Attr{slog.String("breaker", name)}, attrs...)...)
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
			log(slog.LevelWarn, "redbreaker: the storage does not answer, the fallback decides", e.Name, slog.Any("error", e.Err))
		},
		OnRestored: func(e Event) {
			log(slog.LevelInfo, "redbreaker: the storage answers again", e.Name, slog.Duration("outage", e.Outage),
				slog.Int64("admitted", e.Admitted), slog.Int64("rejected", e.Rejected), slog.Int64("outcomes", e.Outcomes))
		},
		OnAnomaly: func(e Event) {
			log(slog.LevelWarn, "redbreaker: anomaly", e.Name, slog.String("kind", e.Kind.String()), particular(e))
		},
	}
}

// particular is what an anomaly of this kind has to say.
func particular(e Event) slog.Attr {
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

// hooks are those of all WithHooks, by what they listen to.
type hooks struct {
	outcome []func(string, Outcome, time.Duration)
	reject  []func(*RejectedError)
	events  [EventDropped + 1][]func(Event)

	grumble sync.Once // one line for all panics
}

func (h *hooks) add(u Hooks) {
	if u.OnOutcome != nil {
		h.outcome = append(h.outcome, u.OnOutcome)
	}
	if u.OnReject != nil {
		h.reject = append(h.reject, u.OnReject)
	}
	if u.OnTransition != nil {
		h.listen(func(e Event) { u.OnTransition(e.Transition) }, EventTransition, EventHealed)
	}
	h.listen(u.OnDegraded, EventDegraded)
	h.listen(u.OnRestored, EventRestored)
	h.listen(u.OnAnomaly, EventHealed, EventLost, EventSkew, EventDropped)
}

func (h *hooks) listen(f func(Event), kinds ...EventKind) {
	if f == nil {
		return
	}
	for _, k := range kinds {
		h.events[k] = append(h.events[k], f)
	}
}

// unhooked are the hooks of all breakers that were given none.
var unhooked = new(hooks).complete()

// complete logs an outage that nobody listens to, so that a wrong password is
// not silently no breaker.
func (h *hooks) complete() *hooks {
	log := LogHooks(nil)
	if len(h.events[EventDegraded]) == 0 {
		h.listen(log.OnDegraded, EventDegraded)
	}
	if len(h.events[EventRestored]) == 0 {
		h.listen(log.OnRestored, EventRestored)
	}
	return h
}

// listeners of an event; none for a kind that is not known here.
func (h *hooks) listeners(k EventKind) []func(Event) {
	if int(k) >= len(h.events) {
		return nil
	}
	return h.events[k]
}

// rejected tells a rejection; err may be another error.
func (h *hooks) rejected(l *life, err error) {
	if len(h.reject) == 0 || l.stopped.Load() {
		return
	}
	if r, ok := err.(*RejectedError); ok {
		for _, f := range h.reject {
			h.shield(func() { f(r) })
		}
	}
}

// ended tells the end of a call.
func (h *hooks) ended(l *life, o Outcome, elapsed time.Duration) {
	if l.stopped.Load() {
		return
	}
	for _, f := range h.outcome {
		h.shield(func() { f(l.name, o, elapsed) })
	}
}

// shield calls a hook and survives its panic.
func (h *hooks) shield(f func()) {
	defer func() {
		if r := recover(); r != nil {
			h.grumble.Do(func() {
				slog.Default().Error("redbreaker: a hook panicked; later panics are not logged", slog.Any("panic", r))
			})
		}
	}()
	f()
}
