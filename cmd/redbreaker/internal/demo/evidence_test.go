package demo

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
)

// sound returns the evidence of a demo of two replicas and two probes in which no
// promise was broken.
func sound() *evidence {
	start := time.Now()
	at := func(d time.Duration, t redbreaker.Transition) entry { return entry{Transition: t, elapsed: d} }
	e := &evidence{
		probes: 2, threshold: 2, start: start, recoveredAt: start.Add(3 * time.Second),
		rejected: [stages]int64{0, 40, 5},
		replicas: []tally{{name: "replica-1", admitted: 10}, {name: "replica-2", admitted: 6}},
		entries: []entry{
			at(0, redbreaker.Transition{Epoch: 1, Cause: redbreaker.CauseCreated}),
			at(1*time.Second, redbreaker.Transition{Epoch: 2, To: redbreaker.StateOpen, Cause: redbreaker.CauseConsecutive, Tally: "streak=5"}),
			at(2*time.Second, redbreaker.Transition{Epoch: 3, To: redbreaker.StateHalfOpen, Cause: redbreaker.CauseElapsed}),
			at(2*time.Second, redbreaker.Transition{Epoch: 4, To: redbreaker.StateOpen, Cause: redbreaker.CauseProbeFailed, Tally: "succeeded=0 failed=1 lapsed=0"}),
			at(4*time.Second, redbreaker.Transition{Epoch: 5, To: redbreaker.StateHalfOpen, Cause: redbreaker.CauseElapsed}),
			at(4500*time.Millisecond, redbreaker.Transition{Epoch: 6, Cause: redbreaker.CauseRecovered, Tally: "succeeded=1 failed=0 lapsed=0"}),
			{note: "redis answers again", by: "replica-1"},
		},
		visits: map[visit]int{
			{healthy, 1, redbreaker.Ticket{Epoch: 1}}:             4,
			{failing, 2, redbreaker.Ticket{Epoch: 1}}:             3,
			{failing, 1, redbreaker.Ticket{Epoch: 3, Lease: 1}}:   1,
			{failing, 2, redbreaker.Ticket{Epoch: 3, Lease: 2}}:   1,
			{recovered, 1, redbreaker.Ticket{Epoch: 5, Lease: 1}}: 1,
			{recovered, 2, redbreaker.Ticket{Epoch: 6}}:           2,
			{recovered, 1, redbreaker.Ticket{}}:                   1,
		},
	}
	for i, r := range e.replicas {
		log := []redbreaker.Transition{e.entries[4].Transition, e.entries[5].Transition}
		for j := range log {
			log[j].Ago = time.Duration(i) // each replica reads it at another time
		}
		e.records = append(e.records, record{r.name, redbreaker.Snapshot{Exists: true, Epoch: 6, Log: log}, nil})
	}
	return e
}

func TestJudge_sound(t *testing.T) {
	v := judgeEvidence(sound())
	want := [stages]row{
		{closed: 4},
		{rejected: 40, closed: 3, probes: 2},
		{rejected: 5, closed: 2, probes: 1, uncounted: 1},
	}
	if diff := cmp.Diff(want, v.rows, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if v.total.callsReached() != 13 || v.total.callsWanted() != 58 {
		t.Errorf("in all %d of %d", v.total.callsReached(), v.total.callsWanted())
	}
	if v.rounds != 2 || v.most != 2 || v.recovery != 1500*time.Millisecond || len(v.log) != 2 || len(v.faults) != 0 {
		t.Errorf("%+v", v)
	}
}

// Each broken promise is found and named.
func TestJudge_faults(t *testing.T) {
	for _, tt := range []struct {
		want string // empty: none
		bend func(*evidence)
	}{
		{"2 calls were admitted while the circuit was open", func(e *evidence) {
			e.visits[visit{failing, 1, redbreaker.Ticket{Epoch: 2}}] = 2
		}},
		{"1 calls were admitted in half-open without being probes", func(e *evidence) {
			e.visits[visit{failing, 1, redbreaker.Ticket{Epoch: 3}}] = 1
		}},
		{"1 calls have a ticket that no transition explains", func(e *evidence) {
			e.visits[visit{failing, 1, redbreaker.Ticket{Epoch: 7}}] = 1
		}},
		{"lease 1 of epoch 5 was used 2 times", func(e *evidence) {
			e.visits[visit{recovered, 1, redbreaker.Ticket{Epoch: 5, Lease: 1}}] = 2
		}},
		{"the round of epoch 3 admitted 3 probes, 2 are allowed", func(e *evidence) {
			e.visits[visit{failing, 1, redbreaker.Ticket{Epoch: 3, Lease: 3}}] = 1
		}},
		{"", func(e *evidence) { // a lapsed lease is granted again
			e.visits[visit{failing, 1, redbreaker.Ticket{Epoch: 3, Lease: 3}}] = 1
			e.entries[3].Tally = "succeeded=0 failed=1 lapsed=1"
		}},
		{"", func(e *evidence) { // the record has the lapsed leases of a round that has not ended
			e.entries = append(e.entries, entry{Transition: redbreaker.Transition{Epoch: 8, To: redbreaker.StateHalfOpen}})
			for lease := range int64(3) {
				e.visits[visit{recovered, 1, redbreaker.Ticket{Epoch: 8, Lease: lease + 1}}] = 1
			}
			for i := range e.records {
				e.records[i].Epoch, e.records[i].Probes = 8, &redbreaker.ProbeRound{Lapsed: 1}
			}
		}},
		{"the dependency saw 7 calls of replica-1, which admitted 6", func(e *evidence) {
			e.replicas[0].admitted = 6
		}},
		{"replica-2 and replica-1 read different logs", func(e *evidence) {
			e.records[1].Log[1].Epoch++
		}},
		{"replica-2 could not read the record: gone", func(e *evidence) {
			e.records[1].err = errors.New("gone")
		}},
	} {
		e := sound()
		tt.bend(e)
		got := judgeEvidence(e).faults
		if tt.want == "" && len(got) != 0 || tt.want != "" && (len(got) != 1 || got[0] != tt.want) {
			t.Errorf("found %q, want %q", got, tt.want)
		}
	}
}

func TestJudge_recovery(t *testing.T) {
	e := sound()
	e.recoveredAt = time.Time{}
	if got := judgeEvidence(e).recovery; got != 0 {
		t.Errorf("of a dependency that did not recover: %v", got)
	}
	e.recoveredAt = e.start.Add(5 * time.Second)
	if got := judgeEvidence(e).recovery; got != 0 {
		t.Errorf("of a circuit that closed before: %v", got)
	}
}
