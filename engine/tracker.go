package engine

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Tracker keeps the last known state of one record for one handle. It turns
// replies into tickets, rejections, statuses and events. All storages use it, so
// that a breaker behaves alike over each of them. Use [NewTracker] to make one.
// Safe for concurrent use.
type Tracker struct {
	notifier
	nowNS      func() int64
	rejections rejectionCache

	// observer receives what steps find, under mu. It is read without it to see whether
	// there is one.
	observer atomic.Pointer[func(Observation)]

	mu        sync.Mutex // guards the fields below, and the notifier
	last      knownState
	opened    atomic.Pointer[Transition] // the one that opened the circuit; nil while closed, or if it is unknown
	learnedNS int64                      // when last was learned; 0: never
	// keptUntilNS is a time up to which the record cannot have expired.
	keptUntilNS int64
}

// notifier raises the events that follow from a reply alone.
type notifier struct {
	name    string
	rules   *Rules
	sink    func(Event)
	reports *anomalyReports
}

// anomalyReports notes what was reported and must not be reported again. Few breakers
// have any, so it is apart from the notifier, of which each has one.
type anomalyReports struct {
	policies     map[string]bool // fingerprints of other policies
	overdueRound int64           // epoch of the last round with an overdue probe
	ignoredRound int64           // epoch of the last round with an ignored probe
	ignored      int64           // results in a row that were ignored in that round
}

// rejectionCache keeps the last rejection, so that equal ones share an error.
type rejectionCache struct{ last atomic.Pointer[RejectedError] }

// knownState is the part of a reply that a tracker keeps.
type knownState struct {
	state                 State
	mode                  Mode
	epoch                 int64
	leftMS, modeLeftMS    int64
	rampLeftMS, rampShare int64
}

func knownFromReply(r *Reply) knownState {
	return knownState{state: r.State, mode: r.Mode, epoch: r.Epoch, leftMS: r.LeftMS, modeLeftMS: r.ModeLeftMS, rampLeftMS: r.RampLeftMS, rampShare: r.RampShare}
}

func knownFromSnapshot(s *Snapshot) knownState {
	k := knownState{state: s.State, mode: s.Mode, epoch: s.Epoch, leftMS: CeilMillis(s.RetryAfter), modeLeftMS: CeilMillis(s.ModeFor),
		rampLeftMS: CeilMillis(s.RampFor), rampShare: int64(math.Round(s.RampShare * scale))}
	if s.Mode == ModeForcedOpen {
		k.leftMS = k.modeLeftMS
	}
	return k
}

// NewTracker returns the tracker of a handle. now returns the handle's clock in
// nanoseconds, above 0. sink receives the events, in order and with a lock held;
// it may be nil.
func NewTracker(name string, rules *Rules, now func() int64, sink func(Event)) *Tracker {
	return &Tracker{notifier: newNotifier(name, rules, sink), nowNS: now}
}

func newNotifier(name string, rules *Rules, sink func(Event)) notifier {
	if sink == nil {
		sink = func(Event) {}
	}
	return notifier{name: name, rules: rules, sink: sink}
}

// ApplyReply records the reply to a batch and raises the events that follow from
// it. asked is the handle's clock just before the step was sent.
func (t *Tracker) ApplyReply(b Batch, r Reply, asked int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.observeReplyLocked(b, r, asked) // last: the observer may need the opening of the circuit
	now := t.nowNS()
	if r.Transition.Cause == CauseCreated {
		t.emitLostLocked(r.Epoch, now)
	}
	before, known := t.last, t.learnedNS != 0
	t.learnLocked(knownFromReply(&r), now, len(b.Results) > 0)
	t.emitOverdue(&r)
	t.emitIgnored(b.Results)
	t.noteOpenedLocked(before, t.emitTransition(r.Transition, b.Detail.Err))
	t.emitSkew(r.Policy)
	if before.epoch != r.Epoch && r.Transition.Cause == "" {
		t.emitStatus(known, r.State, r.Mode)
	}
}

// noteOpenedLocked keeps the transition that opened the circuit as long as the
// circuit is known to be in the period that it began, or in the round of probes
// after that period. move is the transition of this process's own step, if any.
func (t *Tracker) noteOpenedLocked(before knownState, move Transition) {
	opened := t.opened.Load()
	switch {
	case move.Cause != "" && move.To == StateOpen:
		t.opened.Store(&move)
	case opened == nil:
	case t.last.epoch == before.epoch: // nothing has changed
	case t.last.state == StateHalfOpen && move.Was == opened.Epoch:
		// A step of this process ended the open period that it knows.
	default:
		t.opened.Store(nil)
	}
}

// ApplyCommand records the snapshot that a command returned, and raises an event
// for each of the transitions that it made.
func (t *Tracker) ApplyCommand(s Snapshot, moves []Transition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.observeLocked(Observation{})
	before, known, now := t.last, t.learnedNS != 0, t.nowNS()
	if createsRecord(moves) {
		t.emitLostLocked(s.Epoch, now)
	}
	var last Transition
	for _, move := range moves {
		last = t.emitTransition(move, nil)
	}
	if !s.Exists {
		return
	}
	t.learnLocked(knownFromSnapshot(&s), now, len(moves) > 0)
	t.noteOpenedLocked(before, last)
	if before.epoch != s.Epoch && len(moves) == 0 {
		t.emitStatus(known, s.State, s.Mode)
	}
}

// createsRecord reports whether the transitions of a command began a record.
func createsRecord(moves []Transition) bool {
	return len(moves) > 0 && moves[0].Was == 0 && moves[0].Cause == CauseOperator
}

// emitLostLocked raises EventLost if the epoch begins a record in the place of one
// that this process knew and that cannot have expired.
func (t *Tracker) emitLostLocked(epoch, now int64) {
	if t.last.epoch != 0 && t.last.epoch != epoch && now <= t.keptUntilNS {
		t.sink(Event{Kind: EventLost, Name: t.name, Epoch: t.last.epoch})
	}
}

// learnLocked records the state after a step or command of this process, and for
// how long the record is kept. Its time to live is at least IdleTTL and twice the
// time that it has to remember, renewed when half of it is spent. So it is kept for
// half of IdleTTL after a step that reports or changes something, and as long after
// the end of an open period or a mode. A mode without an end does not expire.
func (t *Tracker) learnLocked(k knownState, now int64, renews bool) {
	half := nanosOf(t.rules.IdleMS / 2)
	if renews || t.learnedNS == 0 || t.keptUntilNS == math.MaxInt64 {
		t.keptUntilNS = now + half
	}
	if left := max(k.leftMS, k.modeLeftMS); left > 0 {
		t.keptUntilNS = max(t.keptUntilNS, now+nanosOf(left)+half)
	}
	if k.mode != ModeAuto && k.modeLeftMS == 0 {
		t.keptUntilNS = math.MaxInt64
	}
	t.last, t.learnedNS = k, now
}

// emitTransition raises the event of a transition, if there was one, and returns
// the transition as the event carries it. err is the error of the outcomes of the
// step that made it.
func (n *notifier) emitTransition(move Transition, err error) Transition {
	if move.Cause == "" {
		return move
	}
	kind := EventTransition
	if move.Cause == CauseHealed {
		kind = EventHealed
	}
	move.Name, move.Own = n.name, true
	if move.Cause.isByOutcome() {
		move.Err = err
	}
	n.sink(Event{Kind: kind, Name: n.name, Transition: move})
	return move
}

// emitStatus raises EventStatus for an epoch that a step of another process began.
// An epoch of this process's own step has the event of its transition. If nothing
// was known before, a closed circuit is no news.
func (n *notifier) emitStatus(known bool, s State, m Mode) {
	if known || s != StateClosed || m != ModeAuto {
		n.sink(Event{Kind: EventStatus, Name: n.name})
	}
}

// emitOverdue raises EventProbeOverdue once for each round: one that is slower than
// its lease is likely to have many such probes.
func (n *notifier) emitOverdue(r *Reply) {
	if r.OverdueMS == 0 {
		return
	}
	round := r.Epoch
	if r.Transition.Cause != "" { // the result ended the round
		round = r.Transition.Was
	}
	if n.reports == nil {
		n.reports = &anomalyReports{}
	}
	if round != n.reports.overdueRound {
		n.reports.overdueRound = round
		n.sink(Event{Kind: EventProbeOverdue, Name: n.name, Epoch: round, Lease: ms(r.OverdueLeaseMS), Took: ms(r.OverdueMS)})
	}
}

// manyIgnored is how many ignored probes in a row raise EventProbesIgnored.
const manyIgnored = 10

// emitIgnored raises EventProbesIgnored once for each round in which this process ended
// manyIgnored probes in a row as ignored. An ignored probe proves nothing, so nothing but
// this event shows that a circuit stays half-open because of what its callers report.
func (n *notifier) emitIgnored(results []Result) {
	for i := range results {
		t := results[i].Ticket
		if t.Lease == 0 {
			continue
		}
		if n.reports == nil {
			n.reports = &anomalyReports{}
		}
		if n.reports.ignoredRound != t.Epoch {
			n.reports.ignoredRound, n.reports.ignored = t.Epoch, 0
		}
		for _, run := range results[i].Runs {
			n.countIgnored(run)
		}
	}
}

// countIgnored counts results of probes. A result that counts begins the row again,
// unless the event was raised: a round has one.
func (n *notifier) countIgnored(run Run) {
	before := n.reports.ignored
	switch {
	case before >= manyIgnored:
	case run.Outcome != Ignored:
		n.reports.ignored = 0
	default:
		n.reports.ignored += run.N
		if n.reports.ignored >= manyIgnored {
			n.sink(Event{Kind: EventProbesIgnored, Name: n.name, Epoch: n.reports.ignoredRound})
		}
	}
}

// emitSkew raises EventSkew once for each other policy under this name. The
// number of policies that it remembers is bounded, whatever a record contains.
func (n *notifier) emitSkew(fingerprint string) {
	if fingerprint == n.rules.Fingerprint() || fingerprint == "" {
		return
	}
	if n.reports == nil {
		n.reports = &anomalyReports{}
	}
	if n.reports.policies == nil {
		n.reports.policies = map[string]bool{}
	}
	if !n.reports.policies[fingerprint] && len(n.reports.policies) < MaxReporters {
		n.reports.policies[fingerprint] = true
		n.sink(Event{Kind: EventSkew, Name: n.name, Policy: fingerprint})
	}
}

// Decision returns the outcome of the i-th admission of a reply, counted from 0: a
// ticket, the zero ticket if the call is admitted uncounted, or a *RejectedError.
func (t *Tracker) Decision(r *Reply, i int64) (Ticket, error) {
	if ticket, admitted := r.ticket(i); admitted {
		return ticket, nil
	}
	e := RejectedError{Name: t.name, Reason: r.reason(), State: r.State, Mode: r.Mode, Opened: t.openingOf(r)}
	endNS := int64(0)
	if r.LeftMS > 0 {
		endNS = t.nowNS() + nanosOf(r.LeftMS)
	}
	return Ticket{}, t.rejections.share(e, endNS, endSlackNS, t.nowNS)
}

// ticket returns the ticket of the i-th admission, and whether it was admitted.
func (r *Reply) ticket(i int64) (Ticket, bool) {
	switch {
	case i < r.Granted && r.FirstLease == 0:
		return Ticket{Epoch: r.Epoch}, true
	case i < r.Granted:
		return Ticket{Epoch: r.Epoch, Lease: r.FirstLease + i}, true
	}
	return Ticket{}, r.AdmitsUncounted()
}

// openingOf returns the transition that opened the circuit, if the reply is of the
// period that it began or of the round after it.
func (t *Tracker) openingOf(r *Reply) *Transition {
	opened := t.opened.Load()
	if opened != nil && r.State == StateOpen && r.Epoch != opened.Epoch {
		return nil
	}
	return opened
}

// endSlackNS is by how much a shared rejection may end later than the reply says:
// the order of a network's jitter. It never ends earlier, since a caller that honors
// its RetryAfter would be rejected again.
const endSlackNS = int64(10 * time.Millisecond)

// share returns the rejection e with its end, 0 if no end is known: the last error
// if it says the same and ends then or up to slackNS later, so that a burst of
// rejections allocates few errors. If the ends creep forward, as they do over a
// network, the next error ends slackNS later and serves those that follow.
func (c *rejectionCache) share(e RejectedError, endNS, slackNS int64, nowNS func() int64) *RejectedError {
	for {
		last, end := c.last.Load(), endNS
		if last != nil && last.Reason == e.Reason && last.State == e.State && last.Opened == e.Opened {
			switch late := last.endNS - endNS; {
			case within(late, 0, slackNS):
				return last
			case within(late, -slackNS, -1):
				end += slackNS
			}
		}
		if next := NewRejected(e, end, nowNS); c.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

func (r *Reply) reason() Reason {
	switch {
	case r.Mode == ModeForcedOpen:
		return ReasonForced
	case r.State == StateHalfOpen:
		return ReasonProbing
	case r.State == StateClosed:
		return ReasonRamping
	}
	return ReasonOpen
}

// Status returns the last known state, its times reduced by the time since it was
// learned.
func (t *Tracker) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.learnedNS == 0 {
		return Status{Age: -1}
	}
	age := time.Duration(t.nowNS() - t.learnedNS)
	modeLeft := ms(t.last.modeLeftMS)
	if modeLeft > 0 && age >= modeLeft { // the mode ended: auto, closed
		return Status{Age: age}
	}
	s := Status{State: t.last.state, Mode: t.last.mode, ModeFor: max(0, modeLeft-age), Age: age}
	if t.last.mode == ModeAuto || t.last.mode == ModeForcedOpen {
		s.RetryAfter = max(0, ms(t.last.leftMS)-age)
	}
	if s.RampFor = max(0, ms(t.last.rampLeftMS)-age); s.RampFor > 0 {
		s.RampShare = float64(t.last.rampShare) / scale
	}
	return s
}
