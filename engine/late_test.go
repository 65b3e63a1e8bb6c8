package engine

import "testing"

// TestLateProbes_slowDependency: 100 callers use a dependency whose calls take 61 s,
// under the zero policy, whose leases last 60 s. At most one lease is live at any
// time; the first success closes the circuit, a failure opens it again.
func TestLateProbes_slowDependency(t *testing.T) {
	for _, test := range []struct {
		outcome Outcome
		want    State
	}{{Success, StateClosed}, {Failure, StateOpen}} {
		p, err := Policy{}.Rules()
		if err != nil {
			t.Fatal(err)
		}
		r, now := Record{}, int64(1_000_000)
		if _, err := r.Control(&p, now, 0, Command{Action: ActionTrip}); err != nil {
			t.Fatal(err)
		}
		now += p.OpenMS
		type call struct {
			ticket Ticket
			ends   int64
		}
		var calls []call
		settled := 0
		for range 100 { // each caller a second after the other
			if len(calls) > 0 && calls[0].ends <= now {
				reply := r.Step(&p, now, 0, Batch{Results: []Result{{calls[0].ticket, []Run{{test.outcome, 1}}}}})
				settled++
				if reply.Applied != 1 || reply.State != test.want || reply.OverdueMS != 61_000 || reply.OverdueLeaseMS != p.LeaseMS {
					t.Fatalf("%v: the first result led to %+v, want %v", test.outcome, reply, test.want)
				}
				break
			}
			if reply := r.Step(&p, now, 0, Batch{Admissions: 1}); reply.Granted > 0 {
				calls = append(calls, call{Ticket{reply.Epoch, reply.FirstLease}, now + 61_000})
			}
			live := 0
			for _, l := range r.round.leases {
				if now < l.deadline {
					live++
				}
			}
			if live > 1 {
				t.Fatalf("%d leases are live", live)
			}
			now += 1000
		}
		if settled != 1 {
			t.Errorf("%v: no call of 100 ended", test.outcome)
		}
	}
}

// TestTracker_probeOverdue: the event comes once for each round.
func TestTracker_probeOverdue(t *testing.T) {
	p, err := Policy{}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	var got []Event
	tracker := NewTracker("payments", &p, func() int64 { return 1 }, func(e Event) {
		if e.Kind == EventProbeOverdue {
			got = append(got, e)
		}
	})
	for _, r := range []Reply{
		{Epoch: 7, State: StateHalfOpen},
		{Epoch: 7, State: StateHalfOpen, OverdueMS: 61_000, OverdueLeaseMS: 60_000},
		{Epoch: 7, State: StateHalfOpen, OverdueMS: 62_000, OverdueLeaseMS: 60_000},
		{Epoch: 8, OverdueMS: 62_000, OverdueLeaseMS: 60_000, Transition: Transition{Cause: CauseRecovered, Was: 7, Epoch: 8}},
		{Epoch: 10, OverdueMS: 70_000, OverdueLeaseMS: 60_000, Transition: Transition{Cause: CauseRecovered, Was: 9, Epoch: 10}},
	} {
		tracker.ApplyReply(Batch{}, r, 1)
	}
	want := []Event{
		{Kind: EventProbeOverdue, Name: "payments", Epoch: 7, Lease: ms(60_000), Took: ms(61_000)},
		{Kind: EventProbeOverdue, Name: "payments", Epoch: 9, Lease: ms(60_000), Took: ms(70_000)},
	}
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}
