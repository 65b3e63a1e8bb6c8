package storage

import (
	"context"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// joint is one turn at the storage: a step that several operations share, or
// something else that has the turn to itself.
type joint struct {
	ctx   context.Context // the first one's, for its values
	since time.Time       // when the first who still waits came: the bound counts from here
	parts []*part
	batch engine.Batch                              // what the parts add up to, once it has departed
	last  int64                                     // outcomes of the batch's last result
	alone func(ctx context.Context, from time.Time) // in place of a step; nil for one

	done  chan struct{} // closed when reply and err are there
	reply engine.Reply
	err   error
}

func newJoint(ctx context.Context, first *part) *joint {
	return &joint{ctx: context.WithoutCancel(ctx), parts: []*part{first}, done: make(chan struct{})}
}

// most is how many operations share a step: it holds the server up for as long
// as some 250 steps that do nothing, and is worth a thousand of them.
const most = 1000

// part is one operation of a joint step.
type part struct {
	verb  string // what errors call it
	batch engine.Batch
	since time.Time // when it came
	left  bool      // its caller has

	// Where it stands in the joint batch: the number of its admission, or that of
	// its outcome among those of a result.
	result int
	place  int64
}

// single reports whether it is one admission or one outcome. Other batches have
// a step of their own.
func (p *part) single() bool {
	results := p.batch.Results
	return p.batch.Admissions+p.batch.Outcomes() == 1 && len(results) <= 1
}

// detailed reports whether it ends a call that the batch's detail belongs to.
func (p *part) detailed() bool {
	if len(p.batch.Results) == 0 {
		return false
	}
	o := p.batch.Results[0].Runs[0].Outcome
	return o != engine.Success && o != engine.Ignored
}

// fits reports whether the step has room for one more: a step has one reporter,
// and one detail for all of its failures.
func (j *joint) fits(p *part) bool {
	if j.alone != nil || len(j.parts) >= most || !p.single() || !j.parts[0].single() {
		return false
	}
	if p.batch.Admissions > 0 {
		return true // a herd of them must not look at one another
	}
	return j.reportedBy(p) && (!p.detailed() || j.hasDetail(p))
}

// reportedBy reports whether the step has the part's reporter, or none yet.
func (j *joint) reportedBy(p *part) bool {
	i := slices.IndexFunc(j.parts, func(q *part) bool { return len(q.batch.Results) > 0 })
	return i < 0 || j.parts[i].batch.Reporter == p.batch.Reporter
}

// hasDetail reports whether the step has the part's detail, or none yet.
func (j *joint) hasDetail(p *part) bool {
	i := slices.IndexFunc(j.parts, (*part).detailed)
	return i < 0 || j.parts[i].batch.Detail == p.batch.Detail
}

// seal makes the batch of the parts, in their order.
func (j *joint) seal() {
	if first := j.parts[0]; len(j.parts) == 1 {
		j.batch = first.batch
		return
	}
	for _, p := range j.parts {
		j.add(p)
	}
}

func (j *joint) add(p *part) {
	b := &j.batch
	if p.batch.Admissions > 0 {
		p.place = b.Admissions
		b.Admissions++
		return
	}
	b.Reporter = p.batch.Reporter
	if p.detailed() {
		b.Detail = p.batch.Detail
	}
	one := p.batch.Results[0]
	if n := len(b.Results); n == 0 || b.Results[n-1].Ticket != one.Ticket {
		b.Results = append(b.Results, engine.Result{Ticket: one.Ticket})
		j.last = 0
	}
	p.result, p.place = len(b.Results)-1, j.last
	res := &b.Results[p.result]
	if n := len(res.Runs); n > 0 && res.Runs[n-1].Outcome == one.Runs[0].Outcome {
		res.Runs[n-1].N++
	} else {
		res.Runs = append(res.Runs, one.Runs[0])
	}
	j.last++
}

// of is the reply that the operation would have got in a step of its own.
func (p *part) of(r engine.Reply) engine.Reply {
	if !p.single() {
		return r
	}
	stale := r.AppliedPerResult != nil && p.batch.Admissions == 0 && p.place >= r.AppliedPerResult[p.result]
	granted := p.batch.Admissions > 0 && p.place < r.Granted
	lease := r.FirstLease
	r.Granted, r.FirstLease, r.Applied, r.Stale, r.AppliedPerResult = 0, 0, 0, 0, nil
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
