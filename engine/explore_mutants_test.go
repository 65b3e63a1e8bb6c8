package engine

import (
	"slices"
	"testing"
)

// Mutants: machines that break one promise each. The exploration must find every
// one of them, by the very check that is made for it: it makes no other.

// mutant is a machine made of the shipped one, with its input or output bent.
type mutant struct {
	name  string
	plan  string
	finds invariant
	step  func(r *Record, p *Rules, now, rnd int64, b Batch) Reply
}

// controlMutant is one whose commands are bent.
type controlMutant struct {
	name    string
	finds   invariant
	control func(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error)
}

var mutants = []mutant{
	{"no epoch check", "streaks", invFence, noEpochCheck},
	{"no lease check", "two probes", invFence, noLeaseCheck},
	{"a late result is dropped", "streaks", invFence, droppedLate},
	{"a late result counts for another round", "two probes", invFence, lateOfAnyRound},
	{"a late result counts twice", "two probes", invSpend, lateTwice},
	{"a late result frees a slot", "two probes", invLeases, lateFreesSlot},
	{"late probes never close the circuit", "two probes", invRecovery, droppedLate},
	{"a late failure prolongs the open period", "streaks", invFence, lateFailure},
	{"a lease over the limit", "two probes", invLeases, leaseOverLimit},
	{"lease numbers are slots", "two probes", invLeases, slotNumbers},
	{"a lease can be spent twice", "two probes", invSpend, spentTwice},
	{"open a moment longer", "streaks", invVerdict, openLonger},
	{"open a moment shorter", "streaks", invVerdict, openShorter},
	{"a rejection renews the TTL", "streaks", invQuiet, loudRejection},
	{"a rejection moves the end of the open period", "streaks", invQuiet, movingRejection},
	{"two transitions in a step", "streaks", invOne, twoTransitions},
	{"an initial state that is left out", "start half-open", invInitial, notInitial},
	{"an initial mode that is left out", "start in shadow", invInitial, notInitial},
	{"a slow success fails in spite of AllowSlow", "slow probes", invRecovery, strictProbes},
	{"a ramp's share is off by one", "ramp", invVerdict, higherShare},
	{"a ramp never ends", "ramp", invVerdict, endlessRamp},
	{"a ramp that is over stays", "ramp", invFence, stayingRamp},
	{"a trip during a ramp begins a row", "ramp", invRamp, forgetfulRamp},
	{"a demand is a failure like others", "streaks", invDemand, demandAsFailure},
	{"a demand waits for a second reporter", "two reporters", invDemand, gatedDemand},
	{"a demand of a probe is ignored", "two probes", invDemand, ignoredDemand},
	{"own time without Max", "backoff", invOwnTime, ownWithoutMax},
	{"own time only where it is longer", "streaks", invOwnTime, ownIfLonger},
	{"own time without backoff", "backoff", invOwnTime, ownWithoutBackoff},
	{"a number that stays", "streaks", invNumber, sameNumber},
	{"an event that leaves out the epoch before", "streaks", invNumber, unchained},
	{"an entry with the planned length only", "backoff", invNumber, plannedLength},
	{"an ended mode names a reporter", "shadow", invAuthor, namedEnd},
	{"an epoch that stays", "streaks", invEpoch, sameEpoch},
	{"tallies outlive their epoch", "two probes", invEpoch, oldTallies},
	{"a batch is judged at its end", "streaks", invBatch, judgedLast},
	{"a batch counts its successes first", "count window", invBatch, successesFirst},
	{"a window turns between runs only", "two policies", invBatch, turnBetweenRuns},
	{"a standing as of the last outcome", "time window", invStanding, staleStanding},
	{"a standing that does not see what leaves", "time window", invStanding, keepingStanding},
	{"a standing whose reporter vouches for itself", "two reporters", invStanding, countingStanding},
	{"a standing without the streak", "streaks", invStanding, streaklessStanding},
	{"a standing by another policy's window", "two policies", invStanding, foreignStanding},
	{"a question that renews the TTL", "streaks", invStanding, busyStanding},
	{"TTL is IdleTTL alone", "streaks", invTTL, shortTTL},
	{"a report renews no TTL", "time window", invTTL, silentReport},
	{"a trip without an open period", "streaks", invTrip, weakTrip},
	{"a round without an end", "two probes", invRecovery, noLapse},
	{"a probe that is ignored keeps its slot", "two probes", invRecovery, keptSlot},
	{"a mode without an end", "shadow", invRecovery, endlessMode},
	{"times ahead stay ahead", "streaks", invRecovery, noReanchor},
	{"an end that stays in closed", "streaks", invCodec, leftoverEnd},
	{"grants forget what lapsed", "two probes", invCodec, lapsesForgotten},
}

var controlMutants = []controlMutant{
	{"commands for any epoch", invControl, unfencedCommand},
	{"a trip in a forced mode", invControl, unforced},
	{"a trip of an open circuit does nothing", invControl, idleTrip},
	{"a trip without a new epoch", invEpoch, tripInSameEpoch},
	{"a reset that keeps the streak", invEpoch, keptStreak},
	{"an operator's trip that is over", invTrip, weakCommand},
	{"shadow keeps its leases", invEpoch, keptLeases},
	{"an ended mode names the next operator", invAuthor, blamedOperator},
}

func TestExplore_mutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			newExplorer(planNamed(m.plan), subject{m.step, (*Record).Control}).mustBreak(t, m.finds)
		})
	}
	for _, m := range controlMutants {
		t.Run(m.name, func(t *testing.T) {
			newExplorer(planNamed("streaks"), subject{(*Record).Step, m.control}).mustBreak(t, m.finds)
		})
	}
}

// mustBreak looks for a mutant by one check.
func (x *explorer) mustBreak(t *testing.T, by invariant) {
	t.Helper()
	x.only = by
	x.explore()
	if x.broken == nil {
		t.Fatalf("not found in %v", x)
	}
	t.Logf("found after %d states, %d steps: %v", len(x.seen), x.steps, x.broken)
}

func namedEnd(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	if reply.Transition.Cause == CauseModeEnded {
		reply.Transition.By = b.Reporter
	}
	return reply
}

func blamedOperator(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	moves, err := r.Control(p, now, rnd, c)
	for i := range moves {
		moves[i].By = c.Actor
	}
	return moves, err
}

// turnBetweenRuns keeps the window's shape within a run, as if its age stopped.
func turnBetweenRuns(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	single := len(b.Results) == 1 && len(b.Results[0].Runs) == 1 && b.Results[0].Runs[0].N == 1
	if !single && r.shape.Kind == windowCount && r.calls.all < r.shape.Size {
		r.shapeSince = max(r.shapeSince, now-minShapeMS+1)
	}
	return r.Step(p, now, rnd, b)
}

func noEpochCheck(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	return r.Step(p, now, rnd, eachResult(b, func(res *Result) { res.Epoch = r.epoch }))
}

// eachResult changes a copy of the batch.
func eachResult(b Batch, f func(*Result)) Batch {
	b.Results = slices.Clone(b.Results)
	for i := range b.Results {
		f(&b.Results[i])
	}
	return b
}

func noLeaseCheck(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	return r.Step(p, now, rnd, eachResult(b, func(res *Result) {
		if len(r.round.leases) > 0 && res.Lease > 0 {
			res.Lease = r.round.leases[0].grant
		}
	}))
}

// droppedLate takes results at or past the deadline as stale.
func droppedLate(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	r.round.late = nil
	return r.Step(p, now, rnd, eachResult(b, func(res *Result) {
		eachLease(r, func(l *lease) {
			if l.grant == res.Lease && now >= l.deadline {
				res.Epoch = 1
			}
		})
	}))
}

// lateOfAnyRound takes a lease of another epoch for the first late one.
func lateOfAnyRound(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	return r.Step(p, now, rnd, eachResult(b, func(res *Result) {
		if res.Lease > 0 && res.Epoch != r.epoch && len(r.round.late) > 0 {
			res.Ticket = Ticket{r.epoch, r.round.late[0].grant}
		}
	}))
}

func lateTwice(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	late := slices.Clone(r.round.late)
	reply := r.Step(p, now, rnd, b)
	if r.state == StateHalfOpen && reply.Applied > 0 {
		r.round.late = late
	}
	return reply
}

// lateFreesSlot does not count a late result as settled.
func lateFreesSlot(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	late, succeeded, failed := len(r.round.late), r.round.succeeded, r.round.failed
	reply := r.Step(p, now, rnd, b)
	if r.state == StateHalfOpen && reply.Applied > 0 && len(r.round.late) < late {
		r.round.succeeded, r.round.failed = succeeded, failed
	}
	return reply
}

func eachLease(r *Record, f func(*lease)) {
	for i := range r.round.leases {
		f(&r.round.leases[i])
	}
}

func lateFailure(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	failed := slices.ContainsFunc(b.Results, func(res Result) bool { return res.Runs[0].Outcome == Failure })
	if r.state == StateOpen && failed {
		r.until = now + r.openFor
	}
	return reply
}

func leaseOverLimit(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	full := r.state == StateHalfOpen && r.round.freeSlots(now) == 0
	if full {
		r.round.probes++
	}
	reply := r.Step(p, now, rnd, b)
	if full && reply.Transition.Cause == "" {
		r.round.probes--
	}
	return reply
}

// slotNumbers counts from 1 again once no lease is outstanding.
func slotNumbers(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if len(r.round.leases) == 0 {
		r.round.grants = 0
	}
	return r.Step(p, now, rnd, b)
}

func spentTwice(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	leases := slices.Clone(r.round.leases)
	reply := r.Step(p, now, rnd, b)
	if r.state == StateHalfOpen && reply.Applied > 0 && r.round.freeSlots(now) > 0 {
		r.round.leases = leases
	}
	return reply
}

func openLonger(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if r.state == StateOpen && now == r.until {
		b.Admissions = 0
	}
	return r.Step(p, now, rnd, b)
}

func openShorter(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if r.state == StateOpen && now == r.until-1 {
		r.until = now
	}
	return r.Step(p, now, rnd, b)
}

func loudRejection(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	if b.Admissions > reply.Granted && r.expires > 0 {
		r.expires = now + p.IdleMS + 2*r.openFor
	}
	return reply
}

func movingRejection(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	if b.Admissions > reply.Granted && r.state == StateOpen {
		r.until = now + r.openFor
	}
	return reply
}

// twoTransitions takes each result as a step of its own, and what belonged to
// the epoch at the beginning as of the present epoch.
func twoTransitions(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if !r.exists {
		return r.Step(p, now, rnd, b)
	}
	begun := r.epoch
	var reply Reply
	for _, res := range b.Results {
		if res.Epoch == begun && r.epoch != begun {
			res.Ticket = Ticket{Epoch: r.epoch}
		}
		strict := *p
		strict.Consecutive = 1
		reply = reply.plus(r.Step(&strict, now, rnd, Batch{Results: []Result{res}}))
	}
	return reply.plus(r.Step(p, now, rnd, Batch{Admissions: b.Admissions}))
}

func strictProbes(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	rules := *p
	rules.AllowSlow = 0
	return r.Step(&rules, now, rnd, b)
}

func higherShare(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if r.rampMS == 0 {
		return r.Step(p, now, rnd, b)
	}
	r.rampFrom++
	reply := r.Step(p, now, rnd, b)
	if r.rampMS > 0 {
		r.rampFrom--
	}
	return reply
}

func endlessRamp(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if r.rampMS > 0 && now >= r.since+r.rampMS {
		r.since = now
	}
	return r.Step(p, now, rnd, b)
}

func stayingRamp(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	length, from := r.rampMS, r.rampFrom
	reply := r.Step(p, now, rnd, b)
	if reply.Transition.Cause == "" {
		r.rampMS, r.rampFrom = length, from
	}
	return reply
}

func forgetfulRamp(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if len(b.Results) > 0 {
		r.rampMS, r.rampFrom = 0, 0
	}
	return r.Step(p, now, rnd, b)
}

func notInitial(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	rules := *p
	rules.Initial = Initial{}
	return r.Step(&rules, now, rnd, b)
}

func demandAsFailure(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	return r.Step(p, now, rnd, eachResult(b, func(res *Result) {
		if res.Runs[0].Outcome == TripNow {
			res.Runs = []Run{{Failure, 1}}
		}
	}))
}

func gatedDemand(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if r.state == StateClosed && len(r.reporters) == 0 {
		return demandAsFailure(r, p, now, rnd, b)
	}
	return r.Step(p, now, rnd, b)
}

func ignoredDemand(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	return r.Step(p, now, rnd, eachResult(b, func(res *Result) {
		if res.Lease > 0 && res.Runs[0].Outcome == TripNow {
			res.Runs = []Run{{Ignored, 1}}
		}
	}))
}

func ownWithoutMax(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	rules := *p
	if b.Detail.OpenFor > 0 {
		rules.MaxMS = maxMS
	}
	return r.Step(&rules, now, rnd, b)
}

func ownIfLonger(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	b.Detail.OpenFor = max(b.Detail.OpenFor, ms(p.OpenMS))
	return r.Step(p, now, rnd, b)
}

func ownWithoutBackoff(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	rules := *p
	if b.Detail.OpenFor > 0 {
		rules.Multiplier = scale
	}
	return r.Step(&rules, now, rnd, b)
}

func sameNumber(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	newest := r.newest
	reply := r.Step(p, now, rnd, b)
	if newest > 0 {
		r.newest = newest
		reply.Transition.N = newest
	}
	return reply
}

func unchained(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	reply.Transition.Was = reply.Transition.Epoch
	return reply
}

// plannedLength logs an open period without its jitter.
func plannedLength(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	if t := &reply.Transition; t.For > 0 {
		t.For = ms(p.plannedOpenMS(p.OpenMS, r.trips))
		r.setSlotEntry(t.N%logSlots, t.logEntry())
	}
	return reply
}

func sameEpoch(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	epoch := r.epoch
	reply := r.Step(p, now, rnd, b)
	if reply.Transition.Cause == CauseRecovered {
		r.epoch = epoch
	}
	return reply
}

func oldTallies(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	streak := r.streak + int64(len(b.Results))
	reply := r.Step(p, now, rnd, b)
	if reply.Transition.To == StateOpen {
		r.streak = streak
	}
	return reply
}

func judgedLast(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	lenient := *p
	lenient.Consecutive = MaxThreshold
	var reply Reply
	for i, res := range b.Results {
		rules := &lenient
		if i == len(b.Results)-1 {
			rules = p
		}
		reply = reply.plus(r.Step(rules, now, rnd, Batch{Results: []Result{res}, Reporter: b.Reporter, Detail: b.Detail}))
	}
	return reply.plus(r.Step(p, now, rnd, Batch{Admissions: b.Admissions}))
}

func successesFirst(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	b.Results = slices.Clone(b.Results)
	slices.SortStableFunc(b.Results, func(a, b Result) int { return int(a.Runs[0].Outcome) - int(b.Runs[0].Outcome) })
	return r.Step(p, now, rnd, b)
}

func shortTTL(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	if r.expires > 0 {
		r.expires = now + p.IdleMS
	}
	return reply
}

func silentReport(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	expires := r.expires
	reply := r.Step(p, now, rnd, b)
	if expires > 0 && len(b.Results) > 0 && reply.Transition.Cause == "" {
		r.expires = expires
	}
	return reply
}

func weakTrip(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	if reply.Transition.To == StateOpen && reply.Transition.Cause != "" {
		r.until = now
	}
	return reply
}

// noLapse gives every lease time again as soon as it has run out.
func noLapse(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	eachLease(r, func(l *lease) {
		if now >= l.deadline {
			l.deadline = now + r.round.leaseMS
		}
	})
	return r.Step(p, now, rnd, b)
}

// keptSlot counts an ignored probe as granted for good.
func keptSlot(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	for _, res := range b.Results {
		if r.state == StateHalfOpen && reply.Applied > 0 && res.Runs[0].Outcome == Ignored {
			r.round.probes--
		}
	}
	return reply
}

func endlessMode(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	if r.mode != ModeAuto && r.modeUntil > 0 && now >= r.modeUntil {
		r.modeUntil = now + 1
		r.mode = ModeForcedOpen
	}
	return r.Step(p, now, rnd, b)
}

func noReanchor(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	until := r.until
	reply := r.Step(p, now, rnd, b)
	if r.state == StateOpen && r.until < until && reply.Transition.Cause == "" {
		r.until = until
		reply.LeftMS = until - now
	}
	return reply
}

func leftoverEnd(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	until := r.until
	reply := r.Step(p, now, rnd, b)
	if until > 0 && reply.Transition.To != StateOpen {
		r.until = until
	}
	return reply
}

func lapsesForgotten(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	reply := r.Step(p, now, rnd, b)
	r.round.grants -= min(r.round.grants, r.round.lapsed)
	return reply
}

func unfencedCommand(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	c.IfEpoch = 0
	return r.Control(p, now, rnd, c)
}

func unforced(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	if c.Action == ActionTrip && r.mode == ModeForcedClosed {
		r.mode = ModeAuto
	}
	return r.Control(p, now, rnd, c)
}

func idleTrip(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	if c.Action == ActionTrip && r.state == StateOpen && now < r.until {
		return nil, nil
	}
	return r.Control(p, now, rnd, c)
}

func tripInSameEpoch(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	epoch, open := r.epoch, r.state == StateOpen
	moves, err := r.Control(p, now, rnd, c)
	if open && c.Action == ActionTrip {
		r.epoch = epoch
	}
	return moves, err
}

func keptStreak(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	t := r.tally
	moves, err := r.Control(p, now, rnd, c)
	if c.Action == ActionReset && r.isCounting() {
		r.streak, r.seq = t.streak, t.seq
	}
	return moves, err
}

func weakCommand(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	moves, err := r.Control(p, now, rnd, c)
	if r.state == StateOpen {
		r.until = now
	}
	return moves, err
}

func keptLeases(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error) {
	leases, grants := slices.Clone(r.round.leases), r.round.grants
	moves, err := r.Control(p, now, rnd, c)
	if c.Action == ActionShadow && r.state == StateHalfOpen {
		r.round.leases, r.round.grants = leases, grants
	}
	return moves, err
}
