package follow

import (
	"fmt"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// simulation is one record in a fleet, and one process that follows it. Messages are
// lost, delayed and reordered; the record is flushed and rolled back; another
// database publishes events of a record of the same key. Every choice is drawn,
// so that a run can be repeated.
type simulation struct {
	draw func(n int) int // 0 to n-1
	mix  mix

	now   time.Duration
	clock int64 // the server's, in ms
	rec   record
	twin  record
	saved []record // what a failover can go back to

	given    map[int64]bool  // epochs that were given out, to either record
	born     map[int64]int64 // epoch -> its place among all moves of the record
	moves    int64
	began    int64 // moves before the process began to follow
	based    int64 // moves up to the epoch that the follower began with; -1: not yet
	lossless bool  // no flush, no rollback

	f        sequencer
	inFlight []message
	polledAt time.Duration

	own       map[int64]bool // epochs that own steps made, and whether their reply arrives
	delivered map[int64]bool
	last      int64 // delivered
	missed    int64
	shown     int64 // the epoch that Status shows
	unknown   bool  // a missed count of -1
	fault     string

	ignoresOwn bool
}

// mix selects the misfortunes of a world.
type mix struct{ loss, flush, rollback, slowClock, twin bool }

// sequencer is a Follower, or a mutant of one.
type sequencer interface {
	Push(now time.Duration, t engine.Transition, out *Output)
	BeginStep(now time.Duration) StepID
	EndStep(now time.Duration, id StepID, out *Output)
	Reply(now time.Duration, id StepID, epoch int64, own []engine.Transition, unpublished bool, out *Output) bool
	ReadDue() time.Duration
	SendRead(now time.Duration) int64
	FailRead(again time.Duration)
	Read(now time.Duration, r Record, out *Output)
	SendPoll() uint32
	Polled(now time.Duration, changes uint32, k Known, n int64, out *Output)
	Tick(now time.Duration, out *Output)
	PollDue() time.Duration
	Epoch() (epoch, n int64, ok bool)
}

// record is the server's side: epoch, number and log.
type record struct {
	epoch, n int64
	log      []engine.Transition
}

// message is something that arrives at the process at its time.
type message struct {
	at      time.Duration
	arrives func()
}

func newTestWorld(draw func(n int) int, m mix, f sequencer) *simulation {
	w := &simulation{
		draw: draw, mix: m, f: f, now: time.Second, clock: 1_000_000, lossless: true,
		given: map[int64]bool{}, born: map[int64]int64{}, own: map[int64]bool{}, delivered: map[int64]bool{}, based: -1,
	}
	for range w.draw(20) {
		w.makeTransition(&w.rec)
	}
	w.began = w.moves
	return w
}

// runWorld lets n things happen, then lets all messages arrive, and returns the fault in the end.
func (w *simulation) runWorld(n int) string {
	for range n {
		w.actOnce()
		if w.fault != "" {
			return w.fault
		}
	}
	w.letSettle()
	return w.finalFault()
}

func (w *simulation) actOnce() {
	switch w.draw(12) {
	case 0, 1, 2:
		w.publishEvent(w.makeTransition(&w.rec))
	case 3:
		for range w.draw(40) {
			w.publishEvent(w.makeTransition(&w.rec))
		}
	case 4, 5, 6:
		w.runOwnStep()
	case 7:
		w.sufferFrom(w.draw(4))
	default:
		w.passTime(time.Duration(w.draw(40)*w.draw(40)) * time.Millisecond)
	}
	w.passTime(time.Duration(w.draw(4)) * time.Millisecond)
}

// sufferFrom is a misfortune of the world's mix.
func (w *simulation) sufferFrom(what int) {
	switch {
	case what == 0 && w.mix.flush:
		w.rec, w.lossless = record{}, false
	case what == 1 && w.mix.rollback && len(w.saved) > 0:
		w.rec, w.lossless = w.saved[w.draw(len(w.saved))], false
		if w.mix.slowClock {
			w.clock -= int64(w.draw(100))
		}
	case what == 2 && w.mix.twin:
		w.publishEvent(w.makeTransition(&w.twin)) // of the record of that key in another database
	}
	w.saved = append(w.saved, w.rec.cloneRecord())
}

func (r record) cloneRecord() record {
	r.log = slices.Clone(r.log)
	return r
}

// makeTransition makes a transition in the record.
func (w *simulation) makeTransition(r *record) engine.Transition {
	was := r.epoch
	epoch := w.giveEpoch(max(w.clock*1024, was+1) + int64(w.draw(1024)))
	r.epoch, r.n = epoch, r.n+1
	t := engine.Transition{Epoch: epoch, N: r.n, At: w.clock, Cause: engine.CauseOperator}
	r.log = append(slices.Clone(r.log), t)
	if len(r.log) > 16 {
		r.log = r.log[1:]
	}
	if r == &w.rec {
		w.moves++
		w.born[epoch] = w.moves
	}
	t.Was = was
	return t
}

// giveEpoch returns the first epoch from drawn on that was not given out before. The random
// part of an epoch keeps two records, or a record and its past, apart but for 1 case in 1024.
// No follower can see through that case, and rapid, which prefers small numbers, would draw it
// all the time. What identifies a transition in this world must therefore be its own.
func (w *simulation) giveEpoch(drawn int64) int64 {
	epoch := drawn
	for w.given[epoch] {
		epoch++
	}
	w.given[epoch] = true
	return epoch
}

// publishEvent lets the event arrive, now or later, unless it is lost.
func (w *simulation) publishEvent(t engine.Transition) {
	for range w.drawCopies() {
		w.sendLater(w.draw(3)*w.draw(60), func() { w.applyInput(func(out *Output) { w.f.Push(w.now, t, out) }) })
	}
}

// drawCopies returns how often an event arrives: subscriptions that overlap receive
// it twice.
func (w *simulation) drawCopies() int {
	switch what := w.draw(8); {
	case what == 0:
		return 2
	case what < 3 && w.mix.loss:
		return 0
	}
	return 1
}

func (w *simulation) sendLater(afterMS int, arrives func()) {
	w.inFlight = append(w.inFlight, message{w.now + time.Duration(afterMS)*time.Millisecond, arrives})
}

// runOwnStep is an own step: it reaches the server at once, and its reply comes later
// or never.
func (w *simulation) runOwnStep() {
	id := w.f.BeginStep(w.now)
	var own []engine.Transition
	if w.draw(2) == 0 {
		own = append(own, w.makeTransition(&w.rec))
		w.publishEvent(own[0])
	}
	epoch, lost := w.rec.epoch, w.mix.loss && w.draw(8) == 0
	if epoch == 0 {
		own = append(own, w.makeTransition(&w.rec)) // a step creates the record that it does not find
		w.publishEvent(own[0])
		epoch = w.rec.epoch
	}
	for _, t := range own {
		w.own[t.Epoch] = !lost
	}
	w.sendLater(w.draw(3)*w.draw(60), func() {
		w.applyInput(func(out *Output) {
			if lost {
				w.f.EndStep(w.now, id, out)
			} else if w.f.Reply(w.now, id, epoch, own, false, out) {
				w.shown = epoch
			}
		})
	})
}

// passTime lets time pass: messages arrive, and the process reads and polls when due.
func (w *simulation) passTime(d time.Duration) {
	for end := w.now + d; ; {
		next := end
		for _, m := range w.inFlight {
			next = min(next, max(w.now, m.at))
		}
		if due := w.f.ReadDue(); due > 0 {
			next = min(next, max(w.now, due))
		}
		if at := w.pollAt(); at > 0 {
			next = min(next, max(w.now, at))
		}
		w.clock += int64((next - w.now) / time.Millisecond)
		w.now = next
		if !w.progress() && w.now >= end {
			return
		}
	}
}

// pollAt returns when the record is polled: at first at once, then when it was
// silent.
func (w *simulation) pollAt() time.Duration {
	if epoch, n, ok := w.f.Epoch(); !ok || epoch != 0 && n == 0 {
		return w.polledAt + time.Second
	}
	return max(w.f.PollDue(), w.polledAt+time.Second)
}

// progress lets due messages arrive, in an order that is drawn.
func (w *simulation) progress() bool {
	var due []int
	for i, m := range w.inFlight {
		if m.at <= w.now {
			due = append(due, i)
		}
	}
	if len(due) > 0 {
		i := due[w.draw(len(due))]
		m := w.inFlight[i]
		w.inFlight = slices.Delete(w.inFlight, i, i+1)
		m.arrives()
		return true
	}
	if at := w.f.ReadDue(); at > 0 && at <= w.now {
		w.readRecord()
		return true
	}
	if at := w.pollAt(); at <= w.now {
		w.pollHead()
		return true
	}
	return false
}

// readRecord sends a read, which sees the record at once and returns later.
func (w *simulation) readRecord() {
	known := w.f.SendRead(w.now)
	r := Record{Known: w.currentState(), N: w.rec.n, Log: slices.Clone(w.rec.log)}
	if i := slices.IndexFunc(r.Log, func(t engine.Transition) bool { return t.Epoch == known }); i >= 0 {
		r.Log = r.Log[i:]
	}
	failed := w.mix.loss && w.draw(8) == 0
	w.sendLater(w.draw(3)*w.draw(60), func() {
		if failed {
			w.f.FailRead(w.now + time.Second)
			return
		}
		w.applyInput(func(out *Output) { w.f.Read(w.now, r, out) })
	})
}

func (w *simulation) pollHead() {
	w.polledAt = w.now
	changes, k, n := w.f.SendPoll(), w.currentState(), w.rec.n
	w.sendLater(w.draw(60), func() { w.applyInput(func(out *Output) { w.f.Polled(w.now, changes, k, n, out) }) })
}

func (w *simulation) currentState() Known { return Known{Exists: w.rec.epoch != 0, Epoch: w.rec.epoch} }

// applyInput takes in what the process delivers.
func (w *simulation) applyInput(input func(out *Output)) {
	var out Output
	before, number, _ := w.f.Epoch()
	input(&out)
	w.f.Tick(w.now, &out)
	if out.Known != nil {
		w.shown = out.Known.Epoch
	}
	if out.Status.Cause != "" {
		w.shown = out.Status.Epoch
	}
	for _, e := range out.Events {
		switch e.Kind {
		case engine.EventTransition:
			w.checkDelivery(e.Transition)
		case engine.EventMissed:
			w.missed += max(0, e.Missed)
			w.unknown = w.unknown || e.Missed < 0
			// A short reply has no number; until the next poll, none can be counted.
			w.lossless = w.lossless && (before == 0 || number != 0)
		}
	}
	if epoch, _, ok := w.f.Epoch(); ok && w.based < 0 {
		w.based = w.born[epoch] - int64(len(w.delivered))
	}
}

func (w *simulation) checkDelivery(t engine.Transition) {
	place, born := w.born[t.Epoch]
	switch {
	case !born:
		w.recordFault("delivered a transition of another record: epoch %d", t.Epoch)
	case place <= w.began:
		w.recordFault("delivered move %d, which was made before the process began to follow", place)
	case w.delivered[t.Epoch]:
		w.recordFault("delivered epoch %d twice", t.Epoch)
	case t.Epoch < w.last:
		w.recordFault("delivered epoch %d after %d", t.Epoch, w.last)
	case t.Own != w.own[t.Epoch] && !w.ignoresOwn:
		w.recordFault("delivered epoch %d with Own %v", t.Epoch, t.Own)
	}
	if place == w.based {
		w.based-- // an own transition whose reply came after the baseline
	}
	w.delivered[t.Epoch], w.last = true, t.Epoch
}

func (w *simulation) recordFault(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
	}
}

// letSettle lets all messages arrive, and the record be silent until it was polled.
func (w *simulation) letSettle() {
	w.mix = mix{}
	w.passTime(time.Minute)
	w.passTime(2 * PollAfter)
}

// finalFault compares what the process knows in the end with the record.
func (w *simulation) finalFault() string {
	if w.fault != "" {
		return w.fault
	}
	if epoch, _, ok := w.f.Epoch(); !ok || epoch != w.rec.epoch {
		return fmt.Sprintf("in the end the follower is at epoch %d (%v), the record at %d", epoch, ok, w.rec.epoch)
	}
	if w.shown != w.rec.epoch {
		return fmt.Sprintf("in the end Status shows epoch %d, the record is at %d", w.shown, w.rec.epoch)
	}
	made, counted := w.moves-w.based, int64(len(w.delivered))+w.missed
	switch {
	case w.lossless && w.unknown:
		return "an unknown number of transitions was missed, though the record was never lost"
	case w.lossless && made != counted:
		return fmt.Sprintf("of %d transitions %d were delivered and %d counted as missed", made, len(w.delivered), w.missed)
	}
	return ""
}
