package demo

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker"
)

// evidence is everything that the verdict is computed from.
type evidence struct {
	replicas    []tally
	rejected    [phases]int64 // by all replicas
	visits      map[visit]int // what the dependency saw
	entries     []entry
	records     []record
	probes      int       // the policy's
	start       time.Time // of the demo
	recoveredAt time.Time // zero: the dependency never recovered
}

// record is the breaker's record as one replica read it through its own client,
// when all calls had ended.
type record struct {
	replica string
	redbreaker.Snapshot
	err error
}

// row is what became of the calls of one phase, or of all.
type row struct {
	rejected int64
	// What reached the dependency, by the state that let it through.
	closed, probes, open int64
	loose                int64 // in half-open, and no probe
	uncounted            int64 // by a mode, or without Redis
	unplaced             int64 // with the ticket of an epoch that nobody knows
}

func (r row) reached() int64 {
	return r.closed + r.probes + r.open + r.loose + r.uncounted + r.unplaced
}
func (r row) wanted() int64 { return r.reached() + r.rejected }

func (r *row) add(o row) {
	r.rejected += o.rejected
	r.closed += o.closed
	r.probes += o.probes
	r.open += o.open
	r.loose += o.loose
	r.uncounted += o.uncounted
	r.unplaced += o.unplaced
}

// verdict is what the evidence says.
type verdict struct {
	rows   [phases]row
	total  row
	rounds int // of probes
	most   int // probes of one round
	// recovery is how long after the dependency's recovery the circuit closed;
	// 0 if it did not, or was not open.
	recovery time.Duration
	opened   bool                    // ever
	log      []redbreaker.Transition // as every replica read it
	faults   []string                // what broke a promise
}

func (v *verdict) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// judge computes the verdict.
func judge(e *evidence) *verdict {
	v := &verdict{}
	v.place(e)
	v.probing(e)
	v.compareCounts(e)
	v.compareLogs(e)
	v.timeRecovery(e)
	return v
}

// place puts every call that reached the dependency under the state that let
// it through, which the epoch of its ticket tells.
func (v *verdict) place(e *evidence) {
	states := map[int64]redbreaker.State{}
	for _, t := range e.entries {
		if t.note == "" {
			states[t.Epoch] = t.To
			v.opened = v.opened || t.To == redbreaker.StateOpen
		}
	}
	for visit, times := range e.visits {
		n, r := int64(times), &v.rows[visit.phase]
		state, known := states[visit.ticket.Epoch]
		switch {
		case !visit.ticket.Counted():
			r.uncounted += n
		case !known:
			r.unplaced += n
		case state == redbreaker.StateOpen:
			r.open += n
		case state == redbreaker.StateHalfOpen && visit.ticket.Lease != 0:
			r.probes += n
		case state == redbreaker.StateHalfOpen:
			r.loose += n
		default:
			r.closed += n
		}
	}
	for p := range v.rows {
		v.rows[p].rejected = e.rejected[p]
		v.total.add(v.rows[p])
	}
	if v.total.open > 0 {
		v.fault("let through while the circuit was open: %d calls", v.total.open)
	}
	if v.total.loose > 0 {
		v.fault("let through in half-open without being probes: %d calls", v.total.loose)
	}
	if v.total.unplaced > 0 {
		v.fault("with a ticket that no transition explains: %d calls", v.total.unplaced)
	}
}

// probing counts the probes of each round. A lease is used once, and a round
// has no more than the policy grants, but for those whose leases ran out.
func (v *verdict) probing(e *evidence) {
	rounds := map[int64]int{}
	for visit, times := range e.visits {
		if visit.ticket.Lease == 0 {
			continue
		}
		rounds[visit.ticket.Epoch] += times
		if times > 1 {
			v.fault("lease %d of epoch %d was used %d times", visit.ticket.Lease, visit.ticket.Epoch, times)
		}
	}
	lapsed := lapses(e)
	v.rounds = len(rounds)
	for epoch, n := range rounds {
		v.most = max(v.most, n)
		if allowed := e.probes + lapsed[epoch]; n > allowed {
			v.fault("the round of epoch %d let %d probes through, %d are allowed", epoch, n, allowed)
		}
	}
}

// lapses counts the leases that ran out, by round: the transition that ended a
// round tells, and the record does of one that has not ended.
func lapses(e *evidence) map[int64]int {
	lapsed := map[int64]int{}
	var before int64
	for _, t := range e.entries {
		if t.note != "" {
			continue
		}
		var succeeded, failed, n int
		if _, err := fmt.Sscanf(t.Tally, "succeeded=%d failed=%d lapsed=%d", &succeeded, &failed, &n); err == nil {
			lapsed[before] = n
		}
		before = t.Epoch
	}
	for _, r := range e.records {
		if r.Probes != nil {
			lapsed[r.Epoch] = int(r.Probes.Lapsed)
		}
	}
	return lapsed
}

// compareCounts holds the two sides against each other. A call that was
// admitted may have got no connection; one that was not cannot have arrived.
func (v *verdict) compareCounts(e *evidence) {
	seen := map[int]int64{}
	for visit, times := range e.visits {
		seen[visit.replica] += int64(times)
	}
	for i, r := range e.replicas {
		if n := seen[i+1]; n > r.admitted {
			v.fault("the dependency saw %d calls of %s, which admitted %d", n, r.name, r.admitted)
		}
	}
}

// compareLogs compares what the replicas read, each through its own client.
func (v *verdict) compareLogs(e *evidence) {
	for i, r := range e.records {
		if r.err != nil {
			v.fault("%s could not read the record: %v", r.replica, r.err)
			return
		}
		log := slices.Clone(r.Log)
		for i := range log {
			log[i].Ago = 0 // each read it at another time
		}
		if i == 0 {
			v.log = log
		} else if !reflect.DeepEqual(log, v.log) {
			v.fault("%s reads another log than %s", r.replica, e.records[0].replica)
		}
	}
}

// timeRecovery finds the first time that the circuit closed after the
// dependency had recovered.
func (v *verdict) timeRecovery(e *evidence) {
	if e.recoveredAt.IsZero() {
		return
	}
	since := e.recoveredAt.Sub(e.start)
	for _, t := range e.entries {
		if t.note == "" && t.elapsed >= since && t.Cause == redbreaker.CauseRecovered {
			v.recovery = t.elapsed - since
			return
		}
	}
}
