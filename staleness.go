package redbreaker

import (
	"errors"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// minStaleness is the smallest bound above 0: times of the storage are whole ms.
const minStaleness = time.Millisecond

// WithMaxStaleness makes a breaker decide calls by what the storage said at most d
// before, without asking again, and send outcomes in bunches within d. Calls then run
// at in-process speed: while the circuit is closed, a process sends some two steps per
// d to the storage, however many calls it makes.
//
// An admission obeys a state that the storage held at most d before it; so does a
// rejection. A process that trips the circuit by its own outcomes is rejected at its
// next call; other processes learn of it within d. Probes of a half-open circuit are
// always decided by the storage. A process that dies loses the outcomes of its last d/2
// at most. Policies with a streak or a count window judge outcomes in bunches: fleets
// should use a time window. docs/staleness.md shows how to choose d.
//
// Zero, the default, is strict mode: the storage decides about each call. Else d is at
// least 1 ms, shorter than the shortest open period, OpenFor * (1 - Jitter), and with a
// time window at most a tenth of its Period. In memory, and over a storage whose handles
// are not [engine.Observable], the option has no effect.
func WithMaxStaleness(d time.Duration) Option {
	return func(o *settings) {
		if d < 0 || d > 0 && d < minStaleness {
			o.addFault("WithMaxStaleness got %v, use %v or more, or 0 for strict mode", d, minStaleness)
			return
		}
		o.staleness = d
	}
}

// checkStaleness returns the faults of the staleness together with a policy.
func (s *settings) checkStaleness(p Policy) error {
	rules, err := p.Rules()
	if s.staleness == 0 || err != nil { // a fault of the policy is reported by itself
		return nil
	}
	shortest := time.Duration(float64(rules.OpenMS) * (1 - float64(rules.Jitter)/rampScale) * float64(time.Millisecond))
	return errors.Join(s.checkOpenPeriod(shortest), s.checkWindow(p.Window.Period))
}

// checkOpenPeriod returns the fault of the staleness together with the shortest open period.
func (s *settings) checkOpenPeriod(shortest time.Duration) error {
	switch {
	case s.staleness < shortest:
		return nil
	case shortest <= minStaleness: // no staleness is less
		return engine.Invalid("WithMaxStaleness is %v, but the shortest open period, OpenFor * (1 - Backoff.Jitter), is %v, lower Jitter or raise OpenFor", s.staleness, shortest)
	}
	return engine.Invalid("WithMaxStaleness is %v, use less than the shortest open period, OpenFor * (1 - Backoff.Jitter), which is %v", s.staleness, shortest)
}

// checkWindow returns the fault of the staleness together with the period of a time window.
func (s *settings) checkWindow(period time.Duration) error {
	switch longest := period / 10; {
	case period == 0 || s.staleness <= longest:
		return nil
	case longest < minStaleness: // no staleness is that short
		return engine.Invalid("WithMaxStaleness is %v, but a tenth of Window.Period is %v, raise Period to %v or more", s.staleness, longest, 10*minStaleness)
	default:
		return engine.Invalid("WithMaxStaleness is %v, use at most %v, a tenth of Window.Period", s.staleness, longest)
	}
}

// checkPolicyOf returns the faults of the staleness together with the policy of a
// registry, if all breakers have one. Else Get finds them.
func (s *settings) checkPolicyOf(c *RegistryConfig) error {
	if c.PolicyFor != nil {
		return nil
	}
	return s.checkStaleness(c.Policy)
}

// viewParams are shared by the views of breakers with one policy.
type viewParams struct {
	scheduler *engine.Scheduler
	staleNS   int64
	quotaNS   int64 // length of the intervals of viewQuota
	maxRuns   int   // of one flush
	// limited is set if outcomes that are held back could bias a rule: all but a number of
	// failures within a time.
	limited bool
}

// viewParamsFor returns the parameters of views with a policy that was validated. The
// breakers of a registry mostly share them.
func (s *settings) viewParamsFor(p Policy, scheduler *engine.Scheduler) *viewParams {
	rules, _ := p.Rules()
	next := viewParams{
		scheduler: scheduler, staleNS: int64(s.staleness), quotaNS: 10 * int64(s.staleness), maxRuns: maxFlushRuns,
		limited: rules.Consecutive > 0 || rules.Rate > 0 || rules.SlowRate > 0 || p.Window.Calls > 0,
	}
	if p.Window.Calls > 0 {
		next.maxRuns = maxFlushRunsCount
	}
	if p.Window.Period > 0 {
		next.quotaNS = min(next.quotaNS, int64(p.Window.Period/2))
	}
	if last := s.lastParams.Load(); last != nil && *last == next {
		return last
	}
	s.lastParams.Store(&next)
	return &next
}

// addView puts a view around a handle and its fallback, if the options ask for one and
// the storage can keep it.
func (s *settings) addView(f *fallbackHandle, p Policy) engine.Handle {
	observed, canObserve := f.Handle.(observedHandle)
	storage, canSchedule := f.core.storage.(engine.Schedules)
	if s.staleness == 0 || !canObserve || !canSchedule {
		return f
	}
	return newView(f, observed, s.viewParamsFor(p, storage.Scheduler()))
}
