package engine

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// invariant is a promise that the exploration checks.
type invariant string

const (
	invLeases   invariant = "P2: never more leases than probes, no number twice"
	invFence    invariant = "P3: a result counts in its own epoch and, of a probe, once while its round lasts, and else changes nothing"
	invSpend    invariant = "P4: a lease is spent once"
	invRecovery invariant = "P6: a lone client that waits as long as each rejection says reaches closed"
	invVerdict  invariant = "admissions are decided by the record and the clock alone"
	invQuiet    invariant = "an admission that grants no lease writes nothing"
	invOne      invariant = "at most one transition a step, two a control"
	invAuthor   invariant = "what time or damage made has no author, and all else has its own"
	invRamp     invariant = "a trip during a ramp continues the row of opens"
	invInitial  invariant = "a new record begins as the policy says, a damaged one keeps its mode"
	invDemand   invariant = "a trip that a result demands opens at once"
	invOwnTime  invariant = "a failure's own open time, lengthened by the backoff up to Max, is the open period"
	invNumber   invariant = "transitions are numbered and chained by their epochs"
	invEpoch    invariant = "every transition has a new epoch, and nothing else has"
	invBatch    invariant = "a batch equals one by one"
	invTTL      invariant = "the TTL undercuts nothing"
	invTrip     invariant = "in auto a trip rejects the next call"
	invControl  invariant = "a command does what it says, or nothing"
	invCodec    invariant = "a record reads back as it was written"
)

func (x *explorer) checks(i invariant) bool { return x.only == "" || x.only == i }

// effectChecks are made after each operation; "" is no violation.
var effectChecks = []struct {
	invariant
	broken func(*explorer, *effect) string
}{
	{invLeases, (*explorer).leases},
	{invSpend, (*explorer).spend},
	{invDemand, (*explorer).demanded},
	{invInitial, (*explorer).initial},
	{invRamp, (*explorer).ramped},
	{invFence, (*explorer).fence},
	{invVerdict, (*explorer).verdict},
	{invQuiet, (*explorer).quiet},
	{invOne, (*explorer).one},
	{invNumber, (*explorer).numbered},
	{invAuthor, (*explorer).authored},
	{invEpoch, (*explorer).epoch},
	{invTTL, (*explorer).ttl},
	{invTrip, (*explorer).trip},
	{invControl, (*explorer).controlled},
}

// stateChecks are made in each state, and of each step from it that is not explored.
var stateChecks = []struct {
	invariant
	broken func(*explorer, *exploredState) string
}{
	{invCodec, (*explorer).codec},
	{invTTL, (*explorer).outlived},
	{invFence, (*explorer).foreign},
	{invOwnTime, (*explorer).ownTimes},
	{invControl, (*explorer).conflict},
	{invBatch, (*explorer).batches},
	{invOne, (*explorer).batchMoves},
	{invRecovery, (*explorer).recovery},
	{invStanding, (*explorer).standings},
}

func (x *explorer) checkEffect(n *node, e *effect) {
	for _, c := range effectChecks {
		if !x.checks(c.invariant) || !e.stepped && !e.commands {
			continue
		}
		if text := c.broken(x, e); text != "" {
			x.fail(c.invariant, text, &path{n.path, e.op}, "before: "+e.before.String()+"after: "+e.after.String())
		}
	}
}

func (x *explorer) checkState(n *node) {
	if x.visit != nil {
		x.visit(n)
	}
	for _, c := range stateChecks {
		if !x.checks(c.invariant) {
			continue
		}
		if text := c.broken(x, &n.exploredState); text != "" {
			x.fail(c.invariant, text, n.path, n.exploredState.String())
		}
	}
}

func (x *explorer) fail(i invariant, text string, p *path, worlds string) {
	if x.broken == nil {
		x.broken = &violation{i, text, p, worlds}
	}
}

// settled is the record as any step at this time would leave it, before it does
// its own work: times re-anchored after a clock that went back, an expired mode
// ended, an absent record made. In auto and closed only a report does so.
func (x *explorer) settled(w *exploredState, p *Rules) *Record {
	r := &x.base
	if w.rec.exists && w.rec.state == StateClosed && w.rec.mode == ModeAuto {
		r.become(&w.rec)
		r.since = min(r.since, w.now)
		return r
	}
	x.fresh(r, w, func(rnd int64) { r.Step(p, w.now, rnd, Batch{}) })
	return r
}

// leases is P2.
func (x *explorer) leases(e *effect) string {
	old, l, d := &e.before.ledger, &e.after.ledger, &e.after.rec.round
	if e.stepped && e.reply.FirstLease > 0 && old.epoch == l.epoch && e.reply.FirstLease <= old.top {
		return fmt.Sprintf("lease %d was granted before", e.reply.FirstLease)
	}
	if e.after.rec.state != StateHalfOpen {
		return ""
	}
	live := int64(0)
	for _, o := range l.live {
		if e.after.now < o.deadline {
			live++
		}
	}
	granted := e.stepped && e.reply.FirstLease > 0
	if live > d.probes || granted && live+l.settled > d.probes {
		return fmt.Sprintf("%d leases live and %d settled, of %d", live, l.settled, d.probes)
	}
	if n := int64(len(d.leases)); n > d.probes || granted && n+d.settled() > d.probes {
		return fmt.Sprintf("the record has %d leases and %d settled, of %d", n, d.settled(), d.probes)
	}
	return ""
}

// spend is P4.
func (x *explorer) spend(e *effect) string {
	for _, res := range e.batch.Results {
		l := &e.before.ledger
		if res.Lease > 0 && res.Epoch == l.epoch && e.reply.Applied > 0 && slices.Contains(l.spent, res.Lease) {
			return fmt.Sprintf("lease %d counted twice", res.Lease)
		}
	}
	return ""
}

// fence is P3, of a step with one result.
func (x *explorer) fence(e *effect) string {
	if len(e.batch.Results) != 1 {
		return ""
	}
	res := e.batch.Results[0]
	base := x.settled(e.before, e.p).withoutRamp(e.after.now)
	counts := res.Epoch == base.epoch &&
		(res.Lease == 0 && base.isCounting() ||
			base.state == StateHalfOpen && res.Lease > 0 && x.held(e, res.Lease))
	if counts {
		if e.reply.Applied != 1 || e.reply.Stale != 0 {
			return fmt.Sprintf("applied %d, stale %d", e.reply.Applied, e.reply.Stale)
		}
		return ""
	}
	if e.reply.Applied != 0 || e.reply.Stale != 1 {
		return fmt.Sprintf("applied %d, stale %d of a stale result", e.reply.Applied, e.reply.Stale)
	}
	if part := difference(base, &e.after.rec, butBounds); part != "" && base.epoch == e.before.rec.epoch {
		return "a stale result changed " + part
	}
	return ""
}

// held reports whether the ledger of before has the lease, live or late.
func (x *explorer) held(e *effect, grant int64) bool {
	l := &e.before.ledger
	return slices.Contains(l.late, grant) || slices.ContainsFunc(l.live, func(o lease) bool { return o.grant == grant })
}

// foreign is P3 with results of tickets that were never granted.
func (x *explorer) foreign(w *exploredState) string {
	p, r, base := x.rules(0), &w.rec, x.settled(w, x.rules(0)).withoutRamp(w.now)
	for _, t := range []Ticket{{1, 0}, {1, 1}, {r.epoch + 1, 0}, {r.epoch + 1, 1}, {r.epoch, r.round.grants + 1}, {r.epoch, 0}} {
		if t.Lease == 0 && t.Epoch == r.epoch && r.isCounting() {
			continue // as good as a ticket
		}
		for _, o := range [...]Outcome{Success, Failure} {
			var reply Reply
			x.fresh(&x.other, w, func(rnd int64) {
				reply = x.machine.step(&x.other, p, w.now, rnd, Batch{Results: []Result{result(t, o)}})
			})
			if reply.Applied != 0 || reply.Stale != 1 {
				return fmt.Sprintf("%v of %v: applied %d, stale %d", o, t, reply.Applied, reply.Stale)
			}
			if part := difference(base, &x.other, butBounds); part != "" && base.epoch == r.epoch {
				return fmt.Sprintf("%v of %v changed %s", o, t, part)
			}
		}
	}
	return ""
}

// verdict says who is admitted, in a second and shorter way than the machine.
func (x *explorer) verdict(e *effect) string {
	if !e.stepped || e.batch.Admissions == 0 {
		return ""
	}
	n, base, now := e.batch.Admissions, x.settled(e.before, e.p), e.after.now
	granted := int64(0)
	switch {
	case base.mode == ModeForcedOpen || base.mode == ModeForcedClosed:
	case base.state == StateClosed && base.rampMS > now-base.since:
		from := int64(base.rampFrom)
		share := n * (from + (scale-from)*(now-base.since)/base.rampMS) // of n calls, in 1/10 000
		granted = (share + scale/2 - 1) / scale                         // the random number is one half
	case base.state == StateClosed:
		granted = n
	case base.state == StateOpen && now >= base.until:
		granted = min(n, e.p.Probes)
	case base.state == StateHalfOpen:
		live := int64(0)
		for _, l := range base.round.leases {
			if now < l.deadline {
				live++
			}
		}
		granted = max(0, min(n, base.round.probes-live-base.round.settled()))
	}
	r := &e.reply
	if r.Granted != granted {
		return fmt.Sprintf("granted %d of %d, want %d", r.Granted, n, granted)
	}
	if r.AdmitsUncounted() != (base.mode == ModeForcedClosed || base.mode == ModeShadow) {
		return fmt.Sprintf("admits what has no ticket: %v", r.AdmitsUncounted())
	}
	if endless := base.mode == ModeForcedOpen && base.modeUntil == 0; granted < n && !r.AdmitsUncounted() && (r.LeftMS == 0) != endless {
		return fmt.Sprintf("rejected for %d ms", r.LeftMS)
	}
	return ""
}

// quiet: rejections, admissions in closed and uncounted ones leave the record as it is.
func (x *explorer) quiet(e *effect) string {
	if !e.stepped || e.batch.Admissions == 0 || e.reply.FirstLease > 0 || !e.before.rec.exists {
		return ""
	}
	want := &e.before.rec
	if want.mode != ModeAuto || want.state != StateClosed || want.rampMS > 0 {
		want = x.settled(e.before, e.p) // what had to be mended or ended is
	}
	part := difference(want, &e.after.rec, everything)
	if part != "" && e.reply.Transition.Cause != CauseModeEnded {
		return "changed " + part
	}
	return ""
}

// authored: a transition names the operator or the reporter that caused it; one of
// time or damage names none.
func (x *explorer) authored(e *effect) string {
	moves := e.moves
	if e.stepped && e.reply.Transition.Cause != "" {
		moves = []Transition{e.reply.Transition}
	}
	for _, t := range moves {
		want := hosts[e.op.by]
		switch t.Cause {
		case CauseModeEnded, CauseCreated, CauseHealed, CauseElapsed:
			want = ""
		case CauseOperator:
			want = operator
		}
		if t.By != want {
			return fmt.Sprintf("%v is by %q, want %q", t, t.By, want)
		}
	}
	return ""
}

// one counts transitions by the log.
func (x *explorer) one(e *effect) string {
	moves := logged(&e.before.rec, &e.after.rec)
	switch {
	case e.stepped && moves > 1:
		return fmt.Sprintf("%d transitions", moves)
	case e.stepped && (moves == 1) != (e.reply.Transition.Cause != ""):
		return fmt.Sprintf("%d transitions, the reply has %q", moves, e.reply.Transition.Cause)
	case e.commands && (moves > 2 || moves != len(e.moves)):
		return fmt.Sprintf("%d transitions, the reply has %d", moves, len(e.moves))
	case e.commands && moves == 2 && !slices.Contains([]Cause{CauseModeEnded, CauseHealed, CauseCreated}, e.moves[0].Cause):
		return fmt.Sprintf("two transitions, the first of them %q", e.moves[0].Cause)
	}
	return ""
}

// ramped: what opens the circuit during its ramp counts as one more trip.
func (x *explorer) ramped(e *effect) string {
	r, t := &e.before.rec, e.reply.Transition
	if r.rampMS == 0 || t.To != StateOpen || !t.Cause.isByOutcome() || e.after.now-min(r.since, e.after.now) >= r.rampMS {
		return ""
	}
	if e.after.rec.trips != r.trips+1 {
		return fmt.Sprintf("trip %d after trip %d", e.after.rec.trips, r.trips)
	}
	return ""
}

// withoutRamp is the record after a step with results at the time now, which removes
// a ramp that is over.
func (r *Record) withoutRamp(now int64) *Record {
	if r.rampMS > 0 && now >= r.since+r.rampMS {
		r.rampMS, r.rampFrom = 0, 0
	}
	return r
}

// initial: the step that creates a record begins it in the policy's state and mode;
// a round may have granted leases in the same step.
func (x *explorer) initial(e *effect) string {
	if !e.stepped || e.before.rec.exists {
		return ""
	}
	t, want := e.reply.Transition, e.p.Initial
	if t.Cause != CauseCreated || t.To != want.State || t.ToMode != want.Mode || e.after.rec.state != t.To || e.after.rec.mode != t.ToMode {
		return fmt.Sprintf("began by %v, want %v in %v", t, want.State, want.Mode)
	}
	return ""
}

// demanded: TripNow opens the circuit whenever it counts, and nothing else has that
// cause.
func (x *explorer) demanded(e *effect) string {
	demands := len(e.batch.Results) == 1 && e.batch.Results[0].Runs[0].Outcome == TripNow && e.reply.Applied > 0
	t := e.reply.Transition
	if demands != (t.Cause == CauseDemanded) || demands && (e.after.rec.state != StateOpen || t.By != e.batch.Reporter) {
		return fmt.Sprintf("demanded %v, made %v", demands, t)
	}
	return ""
}

// ownTimes: each failure that could open, with an own time shorter and longer than
// the policy's. The multipliers of the plans are whole numbers.
func (x *explorer) ownTimes(w *exploredState) string {
	for _, t := range w.tickets {
		p := x.rules(t.by)
		for _, own := range []int64{1, 7, 3_600_000} {
			b := Batch{Reporter: hosts[t.by], Results: []Result{result(t.Ticket, Failure)}, Detail: Detail{OpenFor: ms(own)}}
			var reply Reply
			x.fresh(&x.other, w, func(rnd int64) { reply = x.machine.step(&x.other, p, w.now, rnd, b) })
			if reply.Transition.Cause == "" || reply.Transition.To != StateOpen || reply.Applied == 0 {
				continue
			}
			want := own
			for range x.other.trips - 1 {
				want = min(want*p.Multiplier/scale, p.MaxMS)
			}
			if want = min(want, p.MaxMS); x.other.until != w.now+want || reply.LeftMS != want {
				return fmt.Sprintf("a failure's own %d ms opened for %d ms as trip %d, want %d", own, reply.LeftMS, x.other.trips, want)
			}
		}
	}
	return ""
}

// numbered: each transition has the next number, the epoch before, and its entry
// in the slot of its number.
func (x *explorer) numbered(e *effect) string {
	moves := e.moves
	if e.reply.Transition.Cause != "" {
		moves = []Transition{e.reply.Transition}
	}
	n, epoch := e.before.rec.newest, e.before.rec.epoch
	if !e.before.rec.exists {
		n, epoch = 0, 0
	}
	for i, move := range moves {
		if move.N != n+1 || move.Was != epoch {
			return fmt.Sprintf("transition %d of epoch %d follows %d of %d", move.N, move.Was, n, epoch)
		}
		n, epoch = move.N, move.Epoch
		kept, ok := ParseTransition(e.after.rec.slotEntry(n % logSlots))
		if kept.Was = move.Was; !ok || kept != move {
			return fmt.Sprintf("%+v is logged as %+v", move, kept)
		}
		if opens := move.To == StateOpen && move.Cause != CauseOperator && i == len(moves)-1; opens && move.For != ms(e.after.rec.openFor) {
			return fmt.Sprintf("opens for %d ms, logged as %v", e.after.rec.openFor, move.For)
		}
	}
	return ""
}

// logged is how many transitions were written between two records.
func logged(before, after *Record) int {
	if !after.exists {
		return 0
	}
	if !before.exists {
		return int(after.newest)
	}
	return int(after.newest - before.newest)
}

// epoch: it changes with each transition, and only then; a transition empties
// what belonged to the old one.
func (x *explorer) epoch(e *effect) string {
	before, after := &e.before.rec, &e.after.rec
	moved := logged(before, after) > 0 || before.state != after.state || before.mode != after.mode
	if moved != (before.epoch != after.epoch) {
		return fmt.Sprintf("moved %v, epoch %d and then %d", moved, before.epoch, after.epoch)
	}
	if !moved {
		return ""
	}
	if after.epoch <= before.epoch && before.exists {
		return "the epoch fell"
	}
	d := &after.round
	if after.streak > 0 || after.calls.all > 0 || len(after.reporters) > 0 || d.settled() > 0 || d.grants != e.reply.Granted && d.grants > 0 {
		return "a new epoch began with old tallies"
	}
	return ""
}

// ttl: what writes or reports leaves the record at least half of its TTL.
func (x *explorer) ttl(e *effect) string {
	r, now := &e.after.rec, e.after.now
	reports := len(e.batch.Results) > 0
	wrote := difference(&e.before.rec, r, butBounds) != ""
	if !r.exists || !reports && !wrote || r.mode != ModeAuto && r.modeUntil == 0 {
		return ""
	}
	longest := x.longest(r, e.p, now)
	if r.expires-now < e.p.IdleMS/2+longest {
		return fmt.Sprintf("TTL of %d ms, %d ms are to be remembered", r.expires-now, longest)
	}
	return ""
}

// longest returns how long the record must remember at least.
func (x *explorer) longest(r *Record, p *Rules, now int64) int64 {
	list := []int64{0, r.until - now, r.modeUntil - now}
	if r.state == StateHalfOpen {
		list = append(list, r.round.leaseMS)
	}
	if r.state == StateClosed && r.trips > 0 {
		list = append(list, r.since+r.openFor-now)
	}
	if p.Window.Kind == windowTime {
		list = append(list, p.Window.Size)
	}
	if r.shape.Kind == windowTime {
		list = append(list, r.shape.Size)
	}
	return slices.Max(list)
}

// outlived: a record never ends before what it says.
func (x *explorer) outlived(w *exploredState) string {
	r := &w.rec
	if !r.exists {
		return ""
	}
	if endless := r.mode != ModeAuto && r.modeUntil == 0; endless || r.expires == 0 {
		if endless != (r.expires == 0) {
			return fmt.Sprintf("expires %d in mode %v until %d", r.expires, r.mode, r.modeUntil)
		}
		return ""
	}
	ends := []int64{r.until, r.modeUntil, r.fastFrom, r.fastUntil}
	if r.state == StateClosed && r.trips > 0 {
		ends = append(ends, r.since+r.openFor)
	}
	for _, l := range r.round.leases {
		ends = append(ends, l.deadline)
	}
	if last := slices.Max(ends); last > r.expires {
		return fmt.Sprintf("expires at %d, before %d", r.expires, last)
	}
	return ""
}

// trip: what opens the circuit, or finds it open, rejects the next call.
func (x *explorer) trip(e *effect) string {
	tripped := e.reply.Transition.To == StateOpen && e.reply.Transition.Cause != "" ||
		e.commands && e.op.command.Action == ActionTrip && e.err == nil
	if !tripped || e.after.rec.mode != ModeAuto {
		return ""
	}
	x.other.become(&e.after.rec)
	next := x.machine.step(&x.other, e.p, e.after.now, x.random, Batch{Admissions: 1})
	if e.reply.Granted > 0 || next.Granted > 0 || next.AdmitsUncounted() {
		return "a call was admitted after it"
	}
	return ""
}

// controlled: a command that is accepted makes a transition to where it says,
// one that is refused or finds all as it wants it changes nothing.
func (x *explorer) controlled(e *effect) string {
	if !e.commands {
		return ""
	}
	base := &Record{}
	if e.before.rec.exists || e.p.Initial.Mode != ModeAuto {
		base = x.settled(e.before, e.p)
	}
	r, a := &e.after.rec, e.op.command.Action
	forced := base.mode == ModeForcedOpen || base.mode == ModeForcedClosed
	refused := forced && (a == ActionTrip || a == ActionHalfOpen)
	if refused != (e.err == ErrForced) || e.err != nil && e.err != ErrForced {
		return fmt.Sprintf("error %v", e.err)
	}
	idle := a == ActionRelease && base.mode == ModeAuto
	if refused || idle {
		if part := difference(base, r, butBounds); part != "" && base.epoch == e.before.rec.epoch {
			return "changed " + part
		}
		return ""
	}
	if len(e.moves) == 0 || e.moves[len(e.moves)-1].Cause != CauseOperator {
		return "no transition"
	}
	if s, m := aim(a, base); s != r.state || m != r.mode {
		return fmt.Sprintf("led to %v, %v", r.state, r.mode)
	}
	until := int64(0)
	if f := CeilMillis(e.op.command.For); f > 0 {
		until = e.after.now + f
	}
	if a == ActionTrip && until > 0 && r.until != until || mode(a) && r.modeUntil != until {
		return "lasts another time"
	}
	return ""
}

func mode(a Action) bool {
	return a == ActionForceOpen || a == ActionForceClosed || a == ActionShadow
}

// aim is where an action leads from a record.
func aim(a Action, r *Record) (State, Mode) {
	switch a {
	case ActionTrip:
		return StateOpen, r.mode
	case ActionHalfOpen:
		return StateHalfOpen, r.mode
	case ActionForceOpen:
		return StateClosed, ModeForcedOpen
	case ActionForceClosed:
		return StateClosed, ModeForcedClosed
	case ActionShadow:
		return r.state, ModeShadow
	case ActionReset:
		return StateClosed, r.mode
	}
	return StateClosed, ModeAuto
}

// conflict: a command for another epoch is refused and changes nothing.
func (x *explorer) conflict(w *exploredState) string {
	other := []int64{w.rec.epoch + 1, -1}
	if !w.rec.exists {
		other = []int64{1}
	}
	for _, epoch := range other {
		x.other.become(&w.rec)
		moves, err := x.machine.control(&x.other, x.rules(0), w.now, x.random, Command{Action: ActionReset, IfEpoch: epoch})
		if err != ErrConflict || len(moves) > 0 || difference(&w.rec, &x.other, everything) != "" {
			return fmt.Sprintf("a command for epoch %d: %v", epoch, err)
		}
	}
	return ""
}

// batches: one or two results of tickets at hand, then admissions, in one step
// and one by one.
func (x *explorer) batches(w *exploredState) string {
	singles, runs := x.results(w)
	for _, first := range singles {
		if text := x.batch(w, 2, first); text != "" {
			return text
		}
		for _, second := range singles {
			if text := x.batch(w, 1, first, second); text != "" {
				return text
			}
		}
	}
	for _, res := range runs {
		if text := x.batch(w, 1, res); text != "" {
			return text
		}
	}
	return ""
}

// results returns the results that may be reported: every outcome of every ticket,
// and runs.
func (x *explorer) results(w *exploredState) (singles, runs []Result) {
	for i, t := range w.tickets {
		same := func(o ticket) bool { return o.Ticket == t.Ticket }
		if slices.ContainsFunc(w.tickets[:i], same) {
			continue
		}
		if x.code(w, t) == 0 { // stale, whatever it is
			singles = append(singles, result(t.Ticket, Failure))
			continue
		}
		for _, o := range x.outcomes {
			singles = append(singles, result(t.Ticket, o))
		}
		if t.Lease == 0 {
			list := []Run{{Failure, 2}, {Success, 2}, {SlowSuccess, 1}, {Failure, 1}}
			runs = append(runs, Result{t.Ticket, list}, Result{t.Ticket, list[1:]}, Result{t.Ticket, list[2:]})
			if len(x.policies) > 1 { // runs that fill another policy's window and go on
				runs = append(runs, Result{t.Ticket, []Run{{Failure, 5}}}, Result{t.Ticket, []Run{{Success, 4}, {Failure, 3}}})
			}
		}
	}
	return singles, runs
}

// batch runs a batch whole and in parts.
func (x *explorer) batch(w *exploredState, admissions int64, results ...Result) string {
	for i := range x.ruled {
		if text := x.batchBy(w, &x.ruled[i], admissions, results...); text != "" {
			return text
		}
	}
	return ""
}

func (x *explorer) batchBy(w *exploredState, p *Rules, admissions int64, results ...Result) string {
	if w.rec.rampMS > 0 || p.RampMS > 0 {
		admissions = 0 // a share of a batch is not that of its calls one by one
	}
	b := Batch{Results: results, Admissions: admissions, Reporter: hosts[0], Detail: Detail{OpenFor: 7 * time.Millisecond, Text: "why"}}
	var got Reply
	rnd := x.fresh(&x.whole, w, func(rnd int64) { got = x.machine.step(&x.whole, p, w.now, rnd, b) })
	x.parts.become(&w.rec)
	want := singly(b, func(part Batch) Reply { return x.machine.step(&x.parts, p, w.now, rnd, part) })
	if got.Stale == 0 {
		want.AppliedPerResult = nil
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("%v:\n     %+v,\nsingly %+v", b, got, want)
	}
	if part := difference(&x.parts, &x.whole, butBounds); part != "" {
		return fmt.Sprintf("%v: another %s", b, part)
	}
	return ""
}

// singly takes a batch apart and adds up the replies.
func singly(b Batch, step func(Batch) Reply) Reply {
	var sum Reply
	part := Batch{Reporter: b.Reporter, Detail: b.Detail}
	fresh := make([]int64, len(b.Results))
	for i, res := range b.Results {
		for _, run := range res.Runs {
			part.Results = []Result{result(res.Ticket, run.Outcome)}
			for range run.N {
				reply := step(part)
				fresh[i] += reply.Applied
				sum = sum.plus(reply)
			}
		}
	}
	part.Results, part.Admissions = nil, 1
	for range b.Admissions {
		sum = sum.plus(step(part))
	}
	sum.AppliedPerResult = fresh
	return sum
}

// plus is the reply to what r and then the later reply answered.
func (r Reply) plus(later Reply) Reply {
	later.Granted += r.Granted
	later.Applied += r.Applied
	later.Stale += r.Stale
	later.OverdueMS, later.OverdueLeaseMS = max(r.OverdueMS, later.OverdueMS), max(r.OverdueLeaseMS, later.OverdueLeaseMS)
	if r.FirstLease > 0 {
		later.FirstLease = r.FirstLease
	}
	if r.Transition.Cause != "" {
		later.Transition = r.Transition
	}
	return later
}

// batchMoves is invOne of such batches.
func (x *explorer) batchMoves(w *exploredState) string {
	singles, _ := x.results(w)
	for _, first := range singles {
		for _, second := range singles {
			b := Batch{Results: []Result{first, second}, Admissions: 1}
			x.fresh(&x.other, w, func(rnd int64) { x.machine.step(&x.other, x.rules(0), w.now, rnd, b) })
			if n := logged(&w.rec, &x.other); n > 1 {
				return fmt.Sprintf("%v: %d transitions", b, n)
			}
		}
	}
	return ""
}

// recovery is P6, from a record in auto or in a mode that ends.
func (x *explorer) recovery(w *exploredState) string {
	if w.rec.mode != ModeAuto && w.rec.modeUntil == 0 {
		return ""
	}
	for i := range x.ruled {
		for _, overdue := range []bool{false, true} {
			if text := x.recovers(&w.rec, w.now, &x.ruled[i], overdue, Success); text != "" {
				return text
			}
		}
		if x.ruled[i].AllowSlow == 1 {
			if text := x.recovers(&w.rec, w.now, &x.ruled[i], false, SlowSuccess); text != "" {
				return text
			}
		}
	}
	return ""
}

// recovers lets a lone client try until the circuit is closed and it is admitted.
// Where it is overdue, each of its probes outlives its lease.
func (x *explorer) recovers(from *Record, now int64, p *Rules, overdue bool, o Outcome) string {
	r := &x.other
	r.become(from)
	steps := 6 + 3*max(p.Successes, from.round.successes)
	b := Batch{Admissions: 1}
	for range steps {
		reply := x.machine.step(r, p, now, x.random, b)
		if reply.State == StateClosed && (reply.Granted > 0 || reply.AdmitsUncounted()) {
			return ""
		}
		b = Batch{Admissions: 1}
		if reply.FirstLease > 0 {
			b.Results = []Result{result(Ticket{reply.Epoch, reply.FirstLease}, o)}
			if overdue {
				now += r.round.leaseMS + 1
			}
			continue
		}
		if longest := max(r.openFor, r.round.leaseMS, r.modeFor, r.rampMS); reply.LeftMS > longest {
			return fmt.Sprintf("asked to wait %d ms, longer than %d", reply.LeftMS, longest)
		}
		now += reply.LeftMS
	}
	return fmt.Sprintf("%v, %v after %d steps", r.state, r.mode, steps)
}

// codec: the record reads back, as nothing but what an honest step writes.
func (x *explorer) codec(w *exploredState) string {
	read, err := ParseRecord(w.rec.Fields())
	if err != nil {
		return err.Error()
	}
	for field, text := range read.junk {
		return fmt.Sprintf("%s is bad: %q", field, text)
	}
	if !w.rec.exists {
		return ""
	}
	return difference(&w.rec, &read, everything)
}

// How much of two records is compared.
type extent int

const (
	everything extent = iota
	butBounds         // not expires, at and next
)

// difference names the first part in which two records differ; "" if they do not.
func difference(a, b *Record, ext extent) string {
	at, bt := a.tally, b.tally
	if ext == butBounds {
		at.fastFrom, at.fastUntil, at.expires = bt.fastFrom, bt.fastUntil, bt.expires
	}
	switch {
	case a.exists != b.exists:
		return "existence"
	case a.head != b.head:
		return "head"
	case a.modeTerm != b.modeTerm:
		return "mode"
	case at != bt:
		return "tally"
	case !slices.Equal(a.window(), b.window()), !slices.Equal(a.ring, b.ring):
		return "window"
	case !slices.Equal(a.reporters, b.reporters):
		return "reporters"
	case !slices.Equal(a.round.leases, b.round.leases) || !slices.Equal(a.round.late, b.round.late) || a.round.counts() != b.round.counts():
		return "round"
	case a.slots() != b.slots():
		return "log"
	case a.policy != b.policy:
		return "policy"
	case !reflect.DeepEqual(a.junk, b.junk) && len(a.junk)+len(b.junk) > 0:
		return "junk"
	}
	return ""
}

func (d *round) counts() [7]int64 {
	return [...]int64{d.probes, d.successes, d.leaseMS, d.grants, d.succeeded, d.failed, d.lapsed}
}

// slots are the entries of the log, used or not.
func (r *Record) slots() (all [logSlots]string) {
	copy(all[:], r.log)
	return all
}

// window is the cells that the window reaches.
func (r *Record) window() []cell {
	var list []cell
	if r.shape.Kind != windowTime {
		return nil
	}
	for _, c := range r.pastCells() {
		if r.windowReaches(c.bucket) && c.calls > 0 {
			list = append(list, c)
		}
	}
	return list
}
