package engine

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Snapshot is a record at one instant, for users: it has durations where the record
// has instants of the storage's clock.
type Snapshot struct {
	Name string `json:"name"`
	// Exists is false if there is no record; then only Name and Epoch are set.
	Exists bool `json:"exists"`
	// Epoch changes with every transition; -1 where there is no record.
	Epoch int64 `json:"epoch"`
	State State `json:"state"`
	Mode  Mode  `json:"mode"`
	// Age is how long the state has lasted.
	Age time.Duration `json:"age"`
	// RetryAfter is after how long a rejected call should come again: open, when
	// probes may start; half-open with no free slot, when the earliest lease ends, but
	// no later than the round has lasted so far, or 100 ms if that is longer.
	RetryAfter time.Duration `json:"retry_after"`
	// OpenFor is the length of this or the last open period.
	OpenFor time.Duration `json:"open_for"`
	// RampFor is how long the ramp after recovery still lasts, and RampShare the share of
	// calls that it admits now; zero without a ramp.
	RampFor   time.Duration `json:"ramp_for,omitzero"`
	RampShare float64       `json:"ramp_share,omitzero"`
	// Trips is the number of opens in a row, for backoff.
	Trips int `json:"trips"`
	// ModeFor is how long the mode still lasts; 0 in auto or until released.
	ModeFor time.Duration `json:"mode_for"`
	// ModeReason and ModeBy are the reason and the actor of the command that set the
	// mode; empty in auto.
	ModeReason string `json:"mode_reason,omitzero"`
	ModeBy     string `json:"mode_by,omitzero"`
	// Streak is the number of consecutive failures.
	Streak int64 `json:"streak"`
	// Calls, Failures and Slow are the tallies of the window; a slow failure is in both.
	Calls    int64 `json:"calls"`
	Failures int64 `json:"failures"`
	Slow     int64 `json:"slow"`
	// FailuresLeft is how many further failures open the circuit by the record's policy,
	// if they come now, one after another, from reporters that have reported none lately.
	// SlowLeft is the same for slow calls that succeed. Zero: more than 1000, none does, or
	// the circuit counts no outcomes now.
	FailuresLeft int64 `json:"failures_left,omitzero"`
	SlowLeft     int64 `json:"slow_left,omitzero"`
	// Reporters are the latest distinct reporters of failures and slow calls,
	// newest first, where a policy asks for MinReporters.
	Reporters []string `json:"reporters,omitzero"`
	// Probes is the round of probes, in half-open.
	Probes *ProbeRound `json:"probes,omitzero"`
	// Policy is the policy of the last transition, after defaults; nil if it
	// cannot be read.
	Policy *Policy `json:"policy,omitzero"`
	// Fingerprint identifies the policy: equal policies have equal fingerprints.
	Fingerprint string `json:"fingerprint,omitzero"`
	// Log holds the last transitions, oldest first, 16 at most.
	Log []Transition `json:"log,omitzero"`
	// Unreadable names the fields that are damaged. The next step that needs one of
	// them begins the record again.
	Unreadable []string `json:"unreadable,omitzero"`
}

// ProbeRound is the state of a half-open round.
type ProbeRound struct {
	Probes      int           `json:"probes"`      // n, the number of slots
	Successes   int           `json:"successes"`   // m, the number of successes that close the circuit
	Lease       time.Duration `json:"lease"`       // how long a probe may take
	Granted     int64         `json:"granted"`     // leases granted so far
	Outstanding int           `json:"outstanding"` // leases not settled and not past their end
	Succeeded   int64         `json:"succeeded"`
	Failed      int64         `json:"failed"`
	Lapsed      int64         `json:"lapsed"` // leases that ran out
	Late        int           `json:"late"`   // of these, the ones whose result would still count
}

// Transition is one change of state or mode, as the record's log keeps it.
type Transition struct {
	Name string `json:"name,omitzero"`
	// N is the number of the transition in its record, from 1. The count restarts
	// when the record is lost.
	N int64 `json:"n"`
	// Epoch is the epoch that the transition began, Was the one before it. Was is 0
	// if there was no record, and in the entries of a log, which do not keep it.
	Epoch int64 `json:"epoch"`
	Was   int64 `json:"was,omitzero"`
	// At is the instant on the storage's clock, in ms. It orders transitions; the
	// clock need not show the time of day.
	At int64 `json:"at_ms"`
	// Ago is how long before the snapshot the transition happened.
	Ago      time.Duration `json:"ago"`
	From     State         `json:"from"`
	To       State         `json:"to"`
	FromMode Mode          `json:"from_mode"`
	ToMode   Mode          `json:"to_mode"`
	Cause    Cause         `json:"cause"`
	// For is the planned length of the open period or mode that the transition
	// begins. 0 means none, or until released.
	For time.Duration `json:"for,omitzero"`
	// Tally holds the numbers that caused it, such as streak=5 calls=12 failures=7 slow=0.
	Tally string `json:"tally,omitzero"`
	// By is the reporter, or the actor of a command. Text is the error's text, or
	// the command's reason.
	By   string `json:"by,omitzero"`
	Text string `json:"text,omitzero"`
	// Own reports whether a step of this process made the transition and its reply
	// arrived. It is always true in a storage that delivers no other transitions.
	// The entries of a log do not keep it. A transition with Own and without Local is
	// the fleet's, and has Own in one process only.
	Own bool `json:"own,omitzero"`
	// Local is true if the fallback in this process made the transition, while the
	// storage did not answer. It is not in the record.
	Local bool `json:"local,omitzero"`
	// Err is the error of the call that made the transition, in the process that
	// reported it; nil elsewhere, and for other causes.
	Err error `json:"-"`
}

// String returns one line, such as: closed > open (consecutive) streak=5 by web-2. The
// numbers of a window that counted no call are left out. That of a transition of the
// fallback ends in "local".
func (t Transition) String() string {
	var b strings.Builder
	b.WriteString(formatPlace(t.From, t.FromMode) + " > " + formatPlace(t.To, t.ToMode) + " (" + string(t.Cause) + ")")
	// A policy without a window trips by its streak: "failures=0" beside it reads like a fault.
	if tally := strings.TrimSuffix(t.Tally, emptyWindow); tally != "" {
		b.WriteString(" " + tally)
	}
	if t.By != "" {
		b.WriteString(" by " + t.By)
	}
	if t.Text != "" {
		b.WriteString(" " + strconv.Quote(t.Text))
	}
	if t.Local {
		b.WriteString(" local")
	}
	return b.String()
}

// Snapshot returns the record at the time now, in ms of the storage's clock.
// Durations that are over are 0; after a clock that went back, a duration is at
// most its planned length. A mode whose time is over is shown as the next step
// leaves it: auto, closed, nothing counted. The tallies of a time window are those
// of the period that ends now.
func (r *Record) Snapshot(name string, now int64) Snapshot {
	if !r.exists {
		return Snapshot{Name: name, Epoch: -1}
	}
	s := Snapshot{
		Name: name, Exists: true, Epoch: r.epoch, State: r.state, Mode: r.mode,
		OpenFor: ms(r.openFor), Trips: int(r.trips), Streak: r.streak,
		ModeReason: r.modeReason, ModeBy: r.modeBy,
		Fingerprint: r.fingerprint, Log: r.readLog(),
	}
	if r.isFieldReadable(fieldHead) { // a damaged head has no time
		s.Age = ms(now - r.since)
	}
	if r.isModeOver(now) {
		s.State, s.Mode, s.ModeReason, s.ModeBy = StateClosed, ModeAuto, "", ""
		s.OpenFor, s.Trips, s.Streak, s.Age = 0, 0, 0, ms(now-r.modeUntil)
	} else {
		r.describeState(&s, now)
	}
	if rules, ok := r.Rules(); ok {
		s.FailuresLeft, s.SlowLeft = r.forecast(&rules, now, Failure), r.forecast(&rules, now, SlowSuccess)
		p := rules.Policy()
		s.Policy = &p
	}
	for i := range s.Log {
		s.Log[i].Name = name
		s.Log[i].Ago = ms(now - s.Log[i].At)
	}
	if len(r.junk) > 0 {
		s.Unreadable = slices.Sorted(maps.Keys(r.junk))
	}
	return s
}

// describeState sets the parts of a snapshot that the end of a mode clears.
func (r *Record) describeState(s *Snapshot, now int64) {
	switch {
	case r.state == StateOpen:
		s.RetryAfter = ms(min(r.until-now, r.openFor))
	case r.rampLeftMS(now) > 0:
		s.RampFor, s.RampShare = ms(r.rampLeftMS(now)), float64(r.rampShare(now))/scale
	case r.state == StateHalfOpen:
		s.Probes = r.round.snapshot(now)
		if s.Probes.isFull() {
			s.RetryAfter = ms(min(r.probeHintMS(now), r.round.leaseMS))
		}
	}
	if r.modeUntil > 0 {
		s.ModeFor = ms(min(r.modeUntil-now, r.modeFor))
	}
	s.Calls, s.Failures, s.Slow = r.talliesAt(now)
	for _, p := range r.reporters {
		s.Reporters = append(s.Reporters, unescapeToken(p.by))
	}
}

// isModeOver reports whether the time of the mode is over, though no step has
// ended it yet.
func (r *Record) isModeOver(now int64) bool {
	return r.mode != ModeAuto && r.modeUntil > 0 && now >= r.modeUntil
}

// talliesAt returns the tallies that an outcome would find at the time now: those
// of the buckets that a time window still covers.
func (r *Record) talliesAt(now int64) (calls, fails, slows int64) {
	if r.shape.Kind != windowTime || now/r.shape.bucketMS() == r.cell {
		return r.calls.all, r.fails.all, r.slows.all
	}
	if r.cell*r.shape.bucketMS() > now+r.shape.Size { // a clock that went back by more than the window
		return 0, 0, 0
	}
	current := max(r.cell, now/r.shape.bucketMS())
	add := func(c cell) {
		if within(c.bucket, current-buckets+1, r.cell) {
			calls, fails, slows = calls+c.calls, fails+c.fails, slows+c.slows
		}
	}
	add(cell{r.cell, r.calls.current, r.fails.current, r.slows.current})
	for _, c := range r.pastCells() {
		if c.bucket != r.cell {
			add(c)
		}
	}
	return calls, fails, slows
}

func (d *round) snapshot(now int64) *ProbeRound {
	p := &ProbeRound{
		Probes: int(d.probes), Successes: int(d.successes), Lease: ms(d.leaseMS),
		Granted: d.grants, Succeeded: d.succeeded, Failed: d.failed, Lapsed: d.lapsed,
		Late: len(d.late),
	}
	for _, l := range d.leases {
		if now < l.deadline {
			p.Outstanding++
		}
	}
	return p
}

// isFull reports whether no slot is free.
func (p *ProbeRound) isFull() bool {
	return int64(p.Outstanding)+p.Succeeded+p.Failed >= int64(p.Probes)
}

// ms returns n milliseconds, 0 if n is negative.
func ms(n int64) time.Duration { return time.Duration(max(0, n)) * time.Millisecond }
