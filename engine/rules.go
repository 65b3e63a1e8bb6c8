package engine

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"
	"unique"
)

// scale is the unit of rates, multipliers and jitter. They are integers of
// 1/10 000 everywhere, so that Go and Lua calculate the same results: no float
// enters a decision.
const scale = 10_000

// Window kinds, as they are written in a record and in a policy's text.
const (
	windowNone  = "none"
	windowCount = "count"
	windowTime  = "time"
)

// WindowShape is the kind and size of a window: of calls, or of milliseconds.
type WindowShape struct {
	Kind string
	Size int64
}

// bucketMS is the length of one of the ten buckets of a time window, in ms.
func (s WindowShape) bucketMS() int64 { return (s.Size + buckets - 1) / buckets }

// Rules are a [Policy] as the machine reads it: after defaults, in whole
// milliseconds and in units of 1/10 000. Make them with [Policy.Rules].
type Rules struct {
	Consecutive int64 // failures in a row; 0: no such rule
	Window      WindowShape
	Count       int64 // failures in the window; 0: no such rule
	Rate        int64 // failure rate; 0: no such rule
	SlowRate    int64 // slow-call rate; 0: no such rule
	SlowMS      int64 // what makes a call slow
	MinCalls    int64
	OpenMS      int64
	Multiplier  int64
	MaxMS       int64
	Jitter      int64
	Probes      int64
	Successes   int64
	LeaseMS     int64
	AllowSlow   int64 // 0 or 1
	Initial     Initial
	RampMS      int64 // length of the ramp after recovery; 0: none
	RampFrom    int64 // share with which it begins
	Reporters   int64
	IdleMS      int64

	text unique.Handle[string] // thousands of handles may have it
}

// rulesLayout is the text of rules without their fingerprint, for writing and for
// reading. parse_rules in lib/rules.lua reads the same text.
const rulesLayout = "consecutive=%d window=%s/%d count=%d rate=%d slow=%d/%d min=%d open_for=%d " +
	"backoff=%d/%d/%d half_open=%d/%d/%d/%d initial=%s/%s ramp=%d/%d reporters=%d idle=%d"

// Rules returns the policy after defaults, or every fault it has, each wrapping [ErrInvalid].
func (p Policy) Rules() (Rules, error) {
	f := faults{subject: "policy"}
	r := Rules{
		Consecutive: f.count("ConsecutiveFailures", p.ConsecutiveFailures, p.defaultStreak(), MaxThreshold),
		Window:      f.windowShape(p.Window),
		OpenMS:      f.millis("OpenFor", p.OpenFor, DefaultOpenFor),
		Jitter:      f.share("Backoff.Jitter", p.Backoff.Jitter),
		Reporters:   f.count("MinReporters", p.MinReporters, 1, MaxReporters),
		IdleMS:      f.millis("IdleTTL", p.IdleTTL, DefaultIdleTTL),
	}
	f.windowRules(p.Window, &r)
	f.backoffRules(p.Backoff, &r)
	f.halfOpenRules(p.HalfOpen, &r)
	if p.HalfOpen.AllowSlow && p.Window.SlowCallRate == 0 {
		f.add("HalfOpen.AllowSlow has no effect without Window.SlowCallRate, set both or neither")
	}
	f.initialRules(p.Initial, &r)
	f.rampRules(p.Ramp, &r)
	if err := f.err(); err != nil {
		return Rules{}, err
	}
	r.text = unique.Make(r.encodeRules())
	return r, nil
}

// defaultStreak returns the streak rule of a policy that does not name one. A
// policy with a window has a rule already, and gets no second one.
func (p Policy) defaultStreak() int {
	if p.Window == (Window{}) {
		return DefaultConsecutiveFailures
	}
	return 0
}

// windowShape returns the window's kind and size.
func (f *faults) windowShape(w Window) WindowShape {
	switch {
	case w.Calls != 0 && w.Period != 0:
		f.add("Window has both Calls and Period, use one of them")
	case w.Calls != 0:
		return WindowShape{windowCount, f.count("Window.Calls", w.Calls, 0, MaxCalls)}
	case w.Period != 0:
		return WindowShape{windowTime, f.millis("Window.Period", w.Period, 0)}
	}
	return WindowShape{Kind: windowNone}
}

// windowRules sets the rules on the window. It refuses rules that could never hold
// and sizes without a rule: both are mistakes that would be found in an outage.
func (f *faults) windowRules(w Window, r *Rules) {
	r.Count = f.count("Window.FailureCount", w.FailureCount, 0, MaxThreshold)
	r.Rate = f.share("Window.FailureRate", w.FailureRate)
	r.SlowRate = f.share("Window.SlowCallRate", w.SlowCallRate)
	r.SlowMS = f.millis("Window.SlowCallDuration", w.SlowCallDuration, 0)
	unset := 0
	if r.Window.Kind != windowNone {
		unset = DefaultMinCalls
	}
	if w.Calls > 0 {
		unset = min(unset, w.Calls)
	}
	r.MinCalls = f.count("Window.MinCalls", w.MinCalls, unset, MaxThreshold)

	sized := w.Calls != 0 || w.Period != 0
	threshold := w.FailureRate != 0 || w.FailureCount != 0 || w.SlowCallRate != 0
	if threshold && !sized {
		f.add("Window has a threshold but no size, set Calls or Period")
	}
	if sized && !threshold {
		f.add("Window has a size but no threshold, set FailureRate, FailureCount or SlowCallRate")
	}
	if w.MinCalls != 0 && !sized {
		f.add("Window.MinCalls needs a window, set Calls or Period")
	}
	if w.Calls > 0 && w.MinCalls > w.Calls {
		f.add("Window.MinCalls is %d, above Calls (%d) no rate is ever judged, use %d or less", w.MinCalls, w.Calls, w.Calls)
	}
	if w.Calls > 0 && w.FailureCount > w.Calls {
		f.add("Window.FailureCount is %d, above Calls (%d) it never opens the circuit, use %d or less", w.FailureCount, w.Calls, w.Calls)
	}
	if w.SlowCallRate != 0 && w.SlowCallDuration == 0 {
		f.add("Window.SlowCallRate needs SlowCallDuration, set the time that makes a call slow")
	}
	if w.SlowCallDuration != 0 && w.SlowCallRate == 0 {
		f.add("Window.SlowCallDuration has no effect without SlowCallRate, set both or neither")
	}
}

// backoffRules sets how open periods grow.
func (f *faults) backoffRules(b Backoff, r *Rules) {
	r.Multiplier = scale
	switch m := b.Multiplier; {
	case m == 0:
	case math.IsNaN(m) || m < 1 || m > 10:
		f.add("Backoff.Multiplier is %v, use 1 to 10", m)
	default:
		r.Multiplier = int64(math.Round(m * scale))
	}
	unset := max(DefaultMaxOpenFor, time.Duration(r.OpenMS)*time.Millisecond)
	r.MaxMS = f.millis("Backoff.Max", b.Max, unset)
	if b.Max > 0 && r.MaxMS < r.OpenMS {
		f.add("Backoff.Max is %v, use OpenFor (%v) or more", b.Max, time.Duration(r.OpenMS)*time.Millisecond)
	}
}

// halfOpenRules sets the numbers of a round of probes.
func (f *faults) halfOpenRules(h HalfOpen, r *Rules) {
	r.Successes = f.count("HalfOpen.Successes", h.Successes, 1, MaxProbes)
	r.Probes = f.count("HalfOpen.Probes", h.Probes, max(1, h.Successes), MaxProbes)
	if h.Probes > 0 && h.Successes > h.Probes {
		f.add("HalfOpen.Successes is %d, above Probes (%d) the circuit can never close, use %d or less", h.Successes, h.Probes, h.Probes)
	}
	if h.AllowSlow {
		r.AllowSlow = 1
	}
	unset := max(DefaultLease, time.Duration(r.OpenMS)*time.Millisecond)
	r.LeaseMS = f.millis("HalfOpen.Lease", h.Lease, unset)
}

// rampRules sets the ramp after recovery.
func (f *faults) rampRules(ramp Ramp, r *Rules) {
	r.RampMS = f.millis("Ramp.Over", ramp.Over, 0)
	r.RampFrom = f.share("Ramp.From", ramp.From)
	if ramp.From != 0 && ramp.Over == 0 {
		f.add("Ramp.From needs Over, set how long the ramp lasts")
	}
	if ramp.From == 0 && r.RampMS > 0 {
		r.RampFrom = DefaultRampFrom * scale
	}
}

// initialRules sets how a new record begins.
func (f *faults) initialRules(i Initial, r *Rules) {
	r.Initial = i
	if !i.isSoundInitial() {
		f.add("Initial is %v in mode %v, use a known state and mode, and closed with a forced mode", i.State, i.Mode)
	}
}

// isSoundInitial reports whether a record can begin so: a forced mode pauses a closed
// circuit.
func (i Initial) isSoundInitial() bool {
	return i.State <= StateHalfOpen && i.Mode <= ModeShadow && (i.State == StateClosed || i.Mode == ModeAuto || i.Mode == ModeShadow)
}

// Text returns the compact encoding of the rules, their fingerprint first. Scripts
// get it as an argument, and a record keeps that of its last transition.
func (r *Rules) Text() string { return r.text.Value() }

// Fingerprint returns 8 hex digits that are equal for equal rules. A record carries
// those of the policy that wrote it, so that a process notices another policy
// without reading it.
func (r *Rules) Fingerprint() string { return r.Text()[:8] }

// encodeRules writes the text. The hash needs no strength: it detects configuration
// differences between processes of one owner.
func (r *Rules) encodeRules() string {
	body := fmt.Sprintf(rulesLayout, r.Consecutive, r.Window.Kind, r.Window.Size, r.Count, r.Rate,
		r.SlowRate, r.SlowMS, r.MinCalls, r.OpenMS, r.Multiplier, r.MaxMS, r.Jitter,
		r.Probes, r.Successes, r.LeaseMS, r.AllowSlow, r.Initial.State, r.Initial.Mode, r.RampMS, r.RampFrom, r.Reporters, r.IdleMS)
	h := fnv.New32a()
	h.Write([]byte(body))
	return fmt.Sprintf("%08x %s", h.Sum32(), body)
}

// isSoundShape reports whether the kind is known and the size is within its range.
func (s WindowShape) isSoundShape() bool {
	switch s.Kind {
	case windowNone:
		return s.Size == 0
	case windowCount:
		return within(s.Size, 1, MaxCalls)
	case windowTime:
		return within(s.Size, 1, maxMS)
	}
	return false
}

// parseRules reads what [Rules.Text] wrote. It reports false for text that no
// policy could have written.
func parseRules(text string) (Rules, bool) {
	r := Rules{text: unique.Make(text)}
	var fingerprint, state, mode string
	read := matchText(text, "%s "+rulesLayout, &fingerprint, &r.Consecutive, &r.Window.Kind, &r.Window.Size,
		&r.Count, &r.Rate, &r.SlowRate, &r.SlowMS, &r.MinCalls, &r.OpenMS, &r.Multiplier, &r.MaxMS,
		&r.Jitter, &r.Probes, &r.Successes, &r.LeaseMS, &r.AllowSlow, &state, &mode, &r.RampMS, &r.RampFrom, &r.Reporters, &r.IdleMS)
	st, md := slices.Index(stateNames[:], state), slices.Index(modeNames[:], mode)
	if !read || st < 0 || md < 0 {
		return Rules{}, false
	}
	r.Initial = Initial{State: State(st), Mode: Mode(md)}
	return r, len(fingerprint) == 8 && r.isSoundRules()
}

// isSoundRules reports whether the machine may calculate with the rules.
func (r *Rules) isSoundRules() bool {
	return r.Window.isSoundShape() && r.Consecutive <= MaxThreshold && r.Count <= MaxThreshold &&
		r.Rate <= scale && r.SlowRate <= scale && r.SlowMS <= maxMS && r.MinCalls <= MaxThreshold &&
		within(r.OpenMS, 1, maxMS) && within(r.Multiplier, scale, 10*scale) &&
		within(r.MaxMS, r.OpenMS, maxMS) && r.Jitter <= scale &&
		within(r.Probes, 1, MaxProbes) && within(r.Successes, 1, r.Probes) && within(r.LeaseMS, 1, maxMS) &&
		r.AllowSlow <= 1 && r.Initial.isSoundInitial() && r.RampMS <= maxMS && r.RampFrom <= scale && (r.RampMS > 0) == (r.RampFrom > 0) && within(r.Reporters, 1, MaxReporters) && within(r.IdleMS, 1, maxMS)
}

// Policy returns the policy that these rules came from, defaults filled in.
func (r *Rules) Policy() Policy {
	p := Policy{
		ConsecutiveFailures: int(r.Consecutive),
		Window: Window{
			FailureRate: float64(r.Rate) / scale, FailureCount: int(r.Count),
			SlowCallRate: float64(r.SlowRate) / scale, SlowCallDuration: ms(r.SlowMS), MinCalls: int(r.MinCalls),
		},
		OpenFor:      ms(r.OpenMS),
		Backoff:      Backoff{Multiplier: float64(r.Multiplier) / scale, Max: ms(r.MaxMS), Jitter: float64(r.Jitter) / scale},
		HalfOpen:     HalfOpen{Probes: int(r.Probes), Successes: int(r.Successes), Lease: ms(r.LeaseMS), AllowSlow: r.AllowSlow == 1},
		Initial:      r.Initial,
		Ramp:         Ramp{Over: ms(r.RampMS), From: float64(r.RampFrom) / scale},
		MinReporters: int(r.Reporters),
		IdleTTL:      ms(r.IdleMS),
	}
	switch r.Window.Kind {
	case windowCount:
		p.Window.Calls = int(r.Window.Size)
	case windowTime:
		p.Window.Period = ms(r.Window.Size)
	}
	return p
}
