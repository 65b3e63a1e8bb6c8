package storage

import (
	"context"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// sharedStep is one turn at the storage: a step that several operations share,
// or, if exclusive is set, a function that has the turn to itself.
type sharedStep struct {
	ctx   context.Context // of the operation that came first, for its values
	since time.Time       // when the first operation came that still waits: the timeout counts from here
	ops   []*pendingOp
	batch engine.Batch // of all operations, once the step is sealed
	// lastOutcomes is how many outcomes the last result of the batch has.
	lastOutcomes int64
	exclusive    func(ctx context.Context, since time.Time)

	done  chan struct{} // closed when reply and err are set
	reply engine.Reply
	err   error
}

func newSharedStep(ctx context.Context, first *pendingOp) *sharedStep {
	return &sharedStep{ctx: context.WithoutCancel(ctx), ops: []*pendingOp{first}, done: make(chan struct{})}
}

// maxShared is the most operations that share a step: that step holds up the
// server for as long as some 250 steps that do nothing, and does the work of a
// thousand.
const maxShared = 1000

// pendingOp is one operation that waits for a shared step.
type pendingOp struct {
	op    string // its name in errors
	batch engine.Batch
	since time.Time // when it came
	left  bool      // its caller has

	// Where its reply is found: the number of its admission among those of the
	// step, or the result that has its outcome and the number of the outcome
	// there.
	result int
	place  int64
}

// isSingle reports whether the operation is one admission or one outcome. Other
// batches have a step of their own.
func (p *pendingOp) isSingle() bool {
	results := p.batch.Results
	return p.batch.Admissions+p.batch.Outcomes() == 1 && len(results) <= 1
}

// needsDetail reports whether the operation ends a call that the batch's detail
// belongs to.
func (p *pendingOp) needsDetail() bool {
	if len(p.batch.Results) == 0 {
		return false
	}
	o := p.batch.Results[0].Runs[0].Outcome
	return o != engine.Success && o != engine.Ignored
}

// accepts reports whether the operation fits into the step: a batch has one
// reporter, and one detail for all of its failures.
func (s *sharedStep) accepts(p *pendingOp) bool {
	if s.exclusive != nil || len(s.ops) >= maxShared || !p.isSingle() || !s.ops[0].isSingle() {
		return false
	}
	if p.batch.Admissions > 0 {
		return true // a thousand admissions must not search each other
	}
	return s.hasReporterOf(p) && (!p.needsDetail() || s.hasDetailOf(p))
}

// hasReporterOf reports whether the step has the operation's reporter, or none yet.
func (s *sharedStep) hasReporterOf(p *pendingOp) bool {
	i := slices.IndexFunc(s.ops, func(q *pendingOp) bool { return len(q.batch.Results) > 0 })
	return i < 0 || s.ops[i].batch.Reporter == p.batch.Reporter
}

// sharesDetail reports whether two failures send the same detail to the storage.
// Their errors stay in this process and may differ: those of one type are one to
// the log.
func sharesDetail(a, b *engine.Detail) bool { return a.OpenFor == b.OpenFor && a.Text == b.Text }

// hasDetailOf reports whether the step has the operation's detail, or none yet.
func (s *sharedStep) hasDetailOf(p *pendingOp) bool {
	i := slices.IndexFunc(s.ops, (*pendingOp).needsDetail)
	return i < 0 || sharesDetail(&s.ops[i].batch.Detail, &p.batch.Detail)
}

// sealBatch makes the batch of the operations, in their order. None is added later.
func (s *sharedStep) sealBatch() {
	if first := s.ops[0]; len(s.ops) == 1 {
		s.batch = first.batch
		return
	}
	for _, p := range s.ops {
		s.addToBatch(p)
	}
}

func (s *sharedStep) addToBatch(p *pendingOp) {
	b := &s.batch
	b.AskStanding = b.AskStanding || p.batch.AskStanding
	if b.Reporter == "" {
		b.Reporter = p.batch.Reporter
	}
	if p.batch.Admissions > 0 {
		p.place = b.Admissions
		b.Admissions++
		return
	}
	b.Reporter = p.batch.Reporter
	if p.needsDetail() {
		b.Detail = p.batch.Detail
	}
	own := p.batch.Results[0]
	// Only neighbors are joined: outcomes of one ticket in a row become runs of one result,
	// and their order in the batch stays that of their arrival, on which a streak depends.
	if n := len(b.Results); n == 0 || b.Results[n-1].Ticket != own.Ticket {
		b.Results = append(b.Results, engine.Result{Ticket: own.Ticket})
		s.lastOutcomes = 0
	}
	p.result, p.place = len(b.Results)-1, s.lastOutcomes
	last := &b.Results[p.result]
	if n := len(last.Runs); n > 0 && last.Runs[n-1].Outcome == own.Runs[0].Outcome {
		last.Runs[n-1].N++
	} else {
		last.Runs = append(last.Runs, own.Runs[0])
	}
	s.lastOutcomes++
}

// replyFrom returns the reply that the operation would have had in a step of its
// own.
func (p *pendingOp) replyFrom(r engine.Reply) engine.Reply {
	if !p.isSingle() {
		return r
	}
	stale := r.AppliedPerResult != nil && p.batch.Admissions == 0 && p.place >= r.AppliedPerResult[p.result]
	granted := p.batch.Admissions > 0 && p.place < r.Granted
	// Leases are granted in the order of the admissions: the first Granted of them have
	// FirstLease and those that follow it.
	lease := r.FirstLease
	// State, epoch and times are the same for all operations of the step and stay. The
	// counts are those of the whole step and are made those of this operation.
	r.Granted, r.FirstLease, r.Applied, r.Stale, r.AppliedPerResult = 0, 0, 0, 0, nil
	if !p.batch.AskStanding {
		r.Standing = engine.Standing{}
	}
	switch {
	case granted:
		r.Granted = 1
		if lease != 0 {
			r.FirstLease = lease + p.place
		}
	case stale:
		r.Stale, r.AppliedPerResult = 1, []int64{0}
	case p.batch.Admissions == 0:
		r.Applied = 1
	}
	return r
}
