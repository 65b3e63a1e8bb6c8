package demo

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// evidence is the data from which the verdict is computed.
type evidence struct {
	replicas    []tally
	rejected    [stages]int64 // by all replicas
	visits      map[visit]int // what the dependency saw
	entries     []entry
	records     []record
	probes      int       // of the policy
	threshold   int64     // the policy's failures in a row
	start       time.Time // of the demo
	recoveredAt time.Time // zero if the dependency did not recover
}

// record is the breaker's record as one replica read it through its own client, after
// all calls had ended.
type record struct {
	replica string
	redbreaker.Snapshot
	err error
}

// row counts the calls of one stage, or of all.
type row struct {
	rejected int64
	// The calls that reached the dependency, by the state that admitted them.
	closed, probes, open int64
	loose                int64 // in half-open without being probes
	uncounted            int64 // by a mode, or without Redis
	unplaced             int64 // with a ticket of an unknown epoch
}

// callsReached returns the calls that reached the dependency.
func (r row) callsReached() int64 {
	return r.closed + r.probes + r.open + r.loose + r.uncounted + r.unplaced
}

// callsWanted returns the calls that the replicas wanted to make.
func (r row) callsWanted() int64 { return r.callsReached() + r.rejected }

func (r *row) addRow(o row) {
	r.rejected += o.rejected
	r.closed += o.closed
	r.probes += o.probes
	r.open += o.open
	r.loose += o.loose
	r.uncounted += o.uncounted
	r.unplaced += o.unplaced
}

// verdict is the result of the evidence.
type verdict struct {
	rows   [stages]row
	total  row
	rounds int // of probes
	most   int // probes of one round
	// recovery is the time from the dependency's recovery until the circuit closed; 0
	// if it did not close, or was not open.
	recovery time.Duration
	opened   bool                    // ever
	log      []redbreaker.Transition // as every replica read it
	faults   []string                // broken promises
}

// addFault adds a broken promise.
func (v *verdict) addFault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// judgeEvidence computes the verdict.
func judgeEvidence(e *evidence) *verdict {
	v := &verdict{}
	v.placeVisits(e)
	v.countProbes(e)
	v.compareCounts(e)
	v.compareLogs(e)
	v.timeRecovery(e)
	return v
}

// placeVisits counts every call that reached the dependency under the state that
// admitted it, which follows from the epoch of its ticket.
func (v *verdict) placeVisits(e *evidence) {
	states := map[int64]redbreaker.State{}
	for _, t := range e.entries {
		if t.note == "" {
			states[t.Epoch] = t.To
			v.opened = v.opened || t.To == redbreaker.StateOpen
		}
	}
	for visit, times := range e.visits {
		n, r := int64(times), &v.rows[visit.stage]
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
		v.total.addRow(v.rows[p])
	}
	if v.total.open > 0 {
		v.addFault("%d calls were admitted while the circuit was open", v.total.open)
	}
	if v.total.loose > 0 {
		v.addFault("%d calls were admitted in half-open without being probes", v.total.loose)
	}
	if v.total.unplaced > 0 {
		v.addFault("%d calls have a ticket that no transition explains", v.total.unplaced)
	}
}

// countProbes counts the probes of each round. A lease may be used once, and a round
// may have as many probes as the policy says and one more for each lapsed lease.
func (v *verdict) countProbes(e *evidence) {
	rounds := map[int64]int{}
	for visit, times := range e.visits {
		if visit.ticket.Lease == 0 {
			continue
		}
		rounds[visit.ticket.Epoch] += times
		if times > 1 {
			v.addFault("lease %d of epoch %d was used %d times", visit.ticket.Lease, visit.ticket.Epoch, times)
		}
	}
	lapsed := lapsedLeases(e)
	v.rounds = len(rounds)
	for epoch, n := range rounds {
		v.most = max(v.most, n)
		if allowed := e.probes + lapsed[epoch]; n > allowed {
			v.addFault("the round of epoch %d admitted %d probes, %d are allowed", epoch, n, allowed)
		}
	}
}

// lapsedLeases counts the lapsed leases by round. The transition that ended a round has
// the number; for a round that has not ended it is in the record.
func lapsedLeases(e *evidence) map[int64]int {
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

// compareCounts compares the counts of the replicas with those of the dependency. An
// admitted call may have got no connection, but no other call can have arrived.
func (v *verdict) compareCounts(e *evidence) {
	seen := map[int]int64{}
	for visit, times := range e.visits {
		seen[visit.replica] += int64(times)
	}
	for i, r := range e.replicas {
		if n := seen[i+1]; n > r.admitted {
			v.addFault("the dependency saw %d calls of %s, which admitted %d", n, r.name, r.admitted)
		}
	}
}

// compareLogs compares the logs that the replicas read.
func (v *verdict) compareLogs(e *evidence) {
	for i, r := range e.records {
		if r.err != nil {
			v.addFault("%s could not read the record: %s", r.replica, plaintext.Replace(r.err.Error()))
			return
		}
		log := slices.Clone(r.Log)
		for i := range log {
			log[i].Ago = 0 // each replica read it at another time
		}
		if i == 0 {
			v.log = log
		} else if !reflect.DeepEqual(log, v.log) {
			v.addFault("%s and %s read different logs", r.replica, e.records[0].replica)
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
