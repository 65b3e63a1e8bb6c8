package engine

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// exploredState is a state of the exploration: a record, the clock, and what
// the processes that share the record remember. A exploredState is never changed once it
// is made; its successors share with it what they do not change.
type exploredState struct {
	rec     Record
	now     int64
	tickets []ticket
	ledger  ledger
	saved   *backup // an earlier record, for a rollback
}

// ticket is an admission that a process holds. Each is a process's of its own;
// by is the host that the process runs on.
type ticket struct {
	Ticket
	by    int
	spent bool // its result was sent once already
}

// ledger is the exploration's own account of the leases of one epoch, so
// that it need not believe the record's own books.
type ledger struct {
	epoch   int64
	top     int64   // the highest lease granted
	live    []lease // granted, neither settled nor taken back
	late    []int64 // taken back and not settled, of which the record keeps the last n
	settled int64   // but not as ignored
	spent   []int64 // leases whose result counted
}

// backup is a copy that a failover may bring back.
type backup struct {
	rec    Record
	ledger ledger
}

func (r *Record) clone() Record {
	var c Record
	c.become(r)
	return c
}

// become makes r a copy of another record, in the memory that r has.
func (r *Record) become(o *Record) {
	ring, reporters, leases, late, cells, log := r.ring, r.reporters, r.round.leases, r.round.late, r.cells, r.log
	*r = *o
	r.ring, r.reporters, r.round.leases = refill(ring, o.ring), refill(reporters, o.reporters), refill(leases, o.round.leases)
	r.round.late = refill(late, o.round.late)
	r.cells, r.log = copyCells(cells, o.cells), refill(log, o.log)
	r.junk = maps.Clone(o.junk)
}

func copyCells(into, from *[buckets]cell) *[buckets]cell {
	if from == nil {
		return nil
	}
	if into == nil {
		into = new([buckets]cell)
	}
	*into = *from
	return into
}

func refill[T any](into, from []T) []T { return append(into[:0], from...) }

// subject is the machine under exploration: the shipped one, or a mutant.
type subject struct {
	step    func(r *Record, p *Rules, now, rnd int64, b Batch) Reply
	control func(r *Record, p *Rules, now, rnd int64, c Command) ([]Transition, error)
}

var shipped = subject{(*Record).Step, (*Record).Control}

type opKind uint8

const (
	opAdmit opKind = iota
	opReport
	opDouble // report, and keep the ticket to report it again
	opLose   // the holder is gone
	opClock
	opFlush
	opSave
	opRollback
	opControl
)

// op is one thing that can happen in a state.
type op struct {
	kind    opKind
	by      int // the host that acts
	ticket  int
	outcome Outcome
	n       int64 // admissions, or ms of the clock
	command Command
}

func (o op) String() string {
	switch o.kind {
	case opAdmit:
		return fmt.Sprintf("host %d asks for %d", o.by, o.n)
	case opReport:
		return fmt.Sprintf("ticket %d ends in %v", o.ticket, o.outcome)
	case opDouble:
		return fmt.Sprintf("ticket %d ends in %v, and is kept", o.ticket, o.outcome)
	case opLose:
		return fmt.Sprintf("ticket %d is lost", o.ticket)
	case opClock:
		return fmt.Sprintf("clock %+d", o.n)
	case opControl:
		return fmt.Sprintf("%v for %v", o.command.Action, o.command.For)
	}
	return map[opKind]string{opFlush: "flush", opSave: "save", opRollback: "rollback"}[o.kind]
}

// effect describes one operation and its result.
type effect struct {
	op       op
	p        *Rules
	before   *exploredState
	after    exploredState
	batch    Batch // of a step
	reply    Reply
	moves    []Transition // of a control
	err      error
	stepped  bool
	commands bool
}

var hosts = [...]string{"a", "b"}

// operator gives the commands.
const operator = "o"

// apply does one operation. The record after it is good until the next one.
func (x *explorer) apply(w *exploredState, o op) effect {
	e := effect{op: o, p: x.rules(o.by), before: w, after: *w}
	switch o.kind {
	case opAdmit:
		x.step(&e, Batch{Admissions: o.n})
	case opReport:
		e.after.tickets = slices.Delete(slices.Clone(w.tickets), o.ticket, o.ticket+1)
		x.step(&e, Batch{Results: []Result{result(w.tickets[o.ticket].Ticket, o.outcome)}})
	case opDouble:
		e.after.tickets = slices.Clone(w.tickets)
		e.after.tickets[o.ticket].spent = true
		x.step(&e, Batch{Results: []Result{result(w.tickets[o.ticket].Ticket, o.outcome)}})
	case opLose:
		e.after.tickets = slices.Delete(slices.Clone(w.tickets), o.ticket, o.ticket+1)
	case opClock:
		e.after.now += o.n
	case opFlush:
		e.after.rec, e.after.ledger = Record{}, ledger{}
	case opSave:
		e.after.saved = &backup{w.rec, w.ledger}
	case opRollback:
		e.after.rec, e.after.ledger = w.saved.rec, w.saved.ledger
	case opControl:
		x.control(&e, o.command)
	}
	return e
}

func result(t Ticket, o Outcome) Result { return Result{t, []Run{{o, 1}}} }

// step runs a batch, and hands out the tickets that it grants.
func (x *explorer) step(e *effect, b Batch) {
	b.Reporter = hosts[e.op.by]
	e.batch, e.stepped = b, true
	x.fresh(&x.next, e.before, func(rnd int64) {
		e.reply = x.machine.step(&x.next, e.p, e.after.now, rnd, b)
	})
	e.after.rec = x.next
	e.after.ledger = e.before.ledger.after(e)
	for i := range e.reply.Granted {
		if len(e.after.tickets) == x.holders {
			break // no process is left to hold it: its caller is gone
		}
		t := Ticket{Epoch: e.reply.Epoch}
		if e.reply.FirstLease > 0 {
			t.Lease = e.reply.FirstLease + i
		}
		e.after.tickets = append(slices.Clip(e.after.tickets), ticket{Ticket: t, by: e.op.by})
	}
}

func (x *explorer) control(e *effect, c Command) {
	e.commands = true
	c.Actor = operator
	x.fresh(&x.next, e.before, func(rnd int64) {
		e.moves, e.err = x.machine.control(&x.next, e.p, e.after.now, rnd, c)
	})
	e.after.rec = x.next
	e.after.ledger = e.before.ledger.after(e)
}

// fresh runs the machine on a copy of the record, with a random number that
// gives no epoch that any ticket remembers: the one chance in 1024 is not explored.
func (x *explorer) fresh(r *Record, w *exploredState, run func(rnd int64)) int64 {
	for rnd := x.random; ; rnd++ {
		r.become(&w.rec)
		run(rnd)
		if r.epoch == w.rec.epoch || !w.knows(r.epoch) {
			return rnd
		}
	}
}

func (w *exploredState) knows(epoch int64) bool {
	return w.saved != nil && w.saved.rec.epoch == epoch ||
		slices.ContainsFunc(w.tickets, func(t ticket) bool { return t.Epoch == epoch })
}

// after is the ledger after a step or a control.
func (l ledger) after(e *effect) ledger {
	if e.after.rec.epoch != l.epoch || !e.after.rec.exists {
		l = ledger{epoch: e.after.rec.epoch}
	}
	l.live, l.late, l.spent = slices.Clone(l.live), slices.Clone(l.late), slices.Clone(l.spent)
	for i := range l.live { // after a clock that went back
		l.live[i].deadline = min(l.live[i].deadline, e.after.now+e.before.rec.round.leaseMS)
	}
	if !e.stepped {
		return l
	}
	for _, res := range e.batch.Results {
		if res.Lease > 0 && res.Epoch == l.epoch && e.reply.Applied > 0 {
			l.live = slices.DeleteFunc(l.live, func(o lease) bool { return o.grant == res.Lease })
			l.late = slices.DeleteFunc(l.late, func(grant int64) bool { return grant == res.Lease })
			l.spent = append(l.spent, res.Lease)
			if res.Runs[0].Outcome != Ignored {
				l.settled++
			}
		}
	}
	if e.batch.Admissions > 0 {
		for _, o := range l.live {
			if e.after.now >= o.deadline {
				l.late = append(l.late, o.grant)
			}
		}
		l.live = slices.DeleteFunc(l.live, func(o lease) bool { return e.after.now >= o.deadline })
		l.late = l.late[max(0, len(l.late)-int(e.after.rec.round.probes)):]
	}
	if e.reply.FirstLease > 0 {
		for i := range e.reply.Granted {
			grant := e.reply.FirstLease + i
			l.live = append(l.live, lease{grant, e.after.now + e.after.rec.round.leaseMS})
			l.top = max(l.top, grant)
		}
	}
	return l
}

// operations are all that can happen in a state.
func (x *explorer) operations(w *exploredState) []op {
	var ops []op
	for by := range x.hosts() {
		ops = append(ops, op{kind: opAdmit, by: by, n: 1}, op{kind: opAdmit, by: by, n: 2})
	}
	for i, t := range w.tickets {
		if slices.Contains(w.tickets[:i], t) {
			continue // the other one of its kind does the same
		}
		ops = append(ops, op{kind: opLose, ticket: i})
		if x.bounded(w, t) {
			continue
		}
		for _, o := range x.outcomes {
			ops = append(ops, op{kind: opReport, ticket: i, by: t.by, outcome: o})
			if t.Lease > 0 && !t.spent { // without a lease, two tickets do the same
				ops = append(ops, op{kind: opDouble, ticket: i, by: t.by, outcome: o})
			}
		}
	}
	for _, now := range x.instants(w) {
		ops = append(ops, op{kind: opClock, n: now - w.now})
	}
	for _, c := range x.commands {
		ops = append(ops, op{kind: opControl, command: c})
	}
	if w.rec.exists {
		ops = append(ops, op{kind: opFlush})
	}
	if x.rollback && w.rec.exists {
		ops = append(ops, op{kind: opSave})
	}
	if x.rollback && w.saved != nil {
		ops = append(ops, op{kind: opRollback})
	}
	return ops
}

// bounded reports whether the epoch has as many outcomes as are explored.
func (x *explorer) bounded(w *exploredState, t ticket) bool {
	r := &w.rec
	return x.tallied > 0 && t.Lease == 0 && t.Epoch == r.epoch && r.seq+r.calls.all-r.fails.all >= x.tallied
}

// instants are the times to which the clock may go from here: around everything
// that ends, and by fixed amounts.
func (x *explorer) instants(w *exploredState) []int64 {
	r := &w.rec
	var ends []int64
	switch {
	case r.state == StateOpen:
		ends = append(ends, r.until)
	case r.state == StateHalfOpen:
		for _, l := range r.round.leases {
			ends = append(ends, l.deadline)
		}
	case r.trips > 0:
		ends = append(ends, r.since+r.openFor)
	}
	if r.rampMS > 0 {
		ends = append(ends, r.since+r.rampMS)
	}
	if r.modeUntil > 0 {
		ends = append(ends, r.modeUntil)
	}
	if r.shape.Kind == windowTime {
		bucket := r.shape.bucketMS()
		ends = append(ends, (w.now/bucket+1)*bucket, (r.cell+buckets)*bucket)
	}
	var list []int64
	for _, end := range ends {
		list = append(list, end-1, end, end+1)
	}
	list = slices.DeleteFunc(list, func(t int64) bool { return t <= w.now })
	for _, by := range x.clocks {
		if by > 0 || !w.isAhead() {
			list = append(list, w.now+by)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// isAhead reports whether the clock went back and no step has noticed yet. Then
// it does not go back again, or times could lie ahead by any length.
func (w *exploredState) isAhead() bool {
	return w.rec.ahead(w.now) || w.saved != nil && w.saved.rec.ahead(w.now)
}

func (r *Record) ahead(now int64) bool {
	return r.since > now || r.until > now+r.openFor || r.modeUntil > now+r.modeFor ||
		r.shape.Kind == windowTime && r.cell > now/r.shape.bucketMS() ||
		slices.ContainsFunc(r.round.leases, func(l lease) bool { return l.deadline > now+r.round.leaseMS })
}

// key is the identity of a state: 128 bits of hash of its canonical text.
type key [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (x *explorer) key(w *exploredState) key {
	x.text = x.text[:0]
	x.writeRecord(&w.rec, w.now)
	x.writeLedger(w)
	if x.phase > 0 {
		x.write(w.now % x.phase)
	}
	if w.saved != nil {
		x.writeRecord(&w.saved.rec, w.now)
	}
	codes := make([]int64, 0, 4)
	for _, t := range w.tickets {
		codes = append(codes, x.code(w, t))
	}
	slices.Sort(codes)
	x.write(codes...)
	return key{maphash.Bytes(seeds[0], x.text), maphash.Bytes(seeds[1], x.text)}
}

func (x *explorer) write(numbers ...int64) {
	for _, n := range numbers {
		x.text = binary.AppendVarint(x.text, n)
	}
}

// left writes how long something still lasts. A time that is overdue by more than
// a clock goes back stays overdue.
func (x *explorer) left(end, now int64) { x.write(max(end-now, -x.furthestBack-1)) }

// writeRecord writes the record: times relative to now, epochs and lease numbers
// left out (the tickets refer to them by place), the log, expires, at and next
// left out.
func (x *explorer) writeRecord(r *Record, now int64) {
	if !r.exists {
		x.write(-1)
		return
	}
	x.write(int64(r.state), int64(r.mode), r.openFor, min(r.trips, x.longestRow), r.streak)
	switch {
	case r.state == StateOpen:
		x.left(r.until, now)
	case r.state == StateClosed && r.openFor > 0:
		x.left(r.since+r.openFor, now)
	case r.state == StateHalfOpen:
		x.write(r.round.probes, r.round.successes, r.round.leaseMS, r.round.succeeded, r.round.failed)
		for _, l := range r.round.leases {
			x.left(l.deadline, now)
		}
	}
	if x.tallied > 0 {
		x.write(min(r.seq, x.tallied))
	}
	if x.write(r.rampMS, int64(r.rampFrom)); r.rampMS > 0 {
		x.left(r.since+r.rampMS, now)
	}
	x.write(r.modeFor)
	if r.modeUntil > 0 {
		x.left(r.modeUntil, now)
	}
	x.writeWindow(r, now)
	for _, rep := range r.reporters {
		x.write(int64(rep.by[0]), r.seq-rep.seq, r.cell-rep.bucket)
	}
}

func (x *explorer) writeWindow(r *Record, now int64) {
	switch r.shape.Kind {
	case windowCount: // from the oldest outcome on
		full := r.calls.all == r.shape.Size
		x.write(1, r.shape.Size, r.calls.all)
		if full {
			x.text = append(x.text, r.ring[r.cell:]...)
			x.text = append(x.text, r.ring[:r.cell]...)
		} else {
			x.text = append(x.text, r.ring...)
		}
	case windowTime:
		x.write(2, r.shape.Size, max(r.cell-now/r.shape.bucketMS(), -buckets-x.furthestBack))
		x.write(r.calls.current, r.calls.all, r.fails.current, r.fails.all, r.slows.current, r.slows.all)
		for b := r.cell - buckets + 1; b < r.cell && r.cells != nil; b++ {
			if c := r.cells[b%buckets]; c.bucket == b && c.calls > 0 {
				x.write(r.cell-b, c.calls, c.fails, c.slows)
			}
		}
	}
	if len(x.policies) > 1 && r.shape.Kind != windowNone { // shapes take turns
		x.write(min(now-r.shapeSince, 3_600_001))
	}
}

// writeLedger adds nothing to the key as long as the ledger agrees with the record.
func (x *explorer) writeLedger(w *exploredState) {
	l := &w.ledger
	if w.rec.state == StateHalfOpen {
		x.write(l.top-w.rec.round.grants, l.settled-w.rec.round.settled())
		for _, o := range l.live {
			x.write(placeOf(&w.rec, Ticket{l.epoch, o.grant}))
			x.left(o.deadline, w.now)
		}
		same := slices.EqualFunc(l.late, w.rec.round.late, func(grant int64, o lease) bool { return grant == o.grant })
		if !same {
			x.write(l.late...)
		}
	}
}

// code returns the meaning of a ticket for the record and for the saved one. All
// tickets without a meaning for either are equal.
func (x *explorer) code(w *exploredState, t ticket) int64 {
	code := placeOf(&w.rec, t.Ticket)
	if w.saved != nil {
		code += 100 * placeOf(&w.saved.rec, t.Ticket)
	}
	if code > 0 && t.spent {
		code += 10_000
	}
	if code > 0 {
		code += 100_000 * int64(t.by)
	}
	return code
}

// placeOf is 0 for a ticket of another epoch or a lease that is not held, 1 for one
// without a lease, else 2 and the lease's place; of a late lease, 20 and how many
// would be forgotten after it.
func placeOf(r *Record, t Ticket) int64 {
	if !r.exists || t.Epoch != r.epoch {
		return 0
	}
	if t.Lease == 0 {
		return 1
	}
	held := func(l lease) bool { return l.grant == t.Lease }
	if i := slices.IndexFunc(r.round.leases, held); i >= 0 {
		return 2 + int64(i)
	}
	if i := slices.IndexFunc(r.round.late, held); i >= 0 {
		return 20 + int64(len(r.round.late)-i)
	}
	return 0
}

func (w *exploredState) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "now %d\n", w.now)
	for _, f := range w.rec.Fields() {
		fmt.Fprintf(&b, "  %-7s %s\n", f.Name, f.Value)
	}
	for i, t := range w.tickets {
		fmt.Fprintf(&b, "  ticket %d: epoch %d lease %d host %s spent %v\n", i, t.Epoch, t.Lease, hosts[t.by], t.spent)
	}
	return b.String()
}
