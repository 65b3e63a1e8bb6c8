package storagetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

var concurrency = []test{
	{"no_outcome_is_lost", noneLost},
	{"one_transition_opens", oneTransition},
	{"n_probes_of_a_herd", herd},
	{"a_probe_is_settled_once", settledOnce},
	{"one_of_many_commands_wins", oneCommandWins},
	{"breakers_do_not_disturb_each_other", manyBreakers},
}

const (
	herdSize = 32 // goroutines, on both clients
	eachDoes = 4  // calls
)

// turns gives the i-th goroutine its client.
func turns(i int, a, b *breaker) *breaker { return []*breaker{a, b}[i%2] }

func noneLost(t *testEnv) {
	a, b := t.pair(engine.Policy{
		ConsecutiveFailures: 10_000,
		Window:              engine.Window{Calls: 10_000, FailureCount: 10_000},
	})
	atOnce(herdSize, func(i int) {
		c := turns(i, a, b)
		for range eachDoes {
			ticket, err := c.Acquire(t.Context())
			if err != nil {
				t.Errorf("Acquire: %v", err)
				return
			}
			if stale, err := c.Report(t.Context(), ticket, engine.Failure, 0, nil); stale || err != nil {
				t.Errorf("Report: stale %v, error %v", stale, err)
			}
		}
	})
	s := t.inspect()
	want := int64(herdSize * eachDoes)
	t.checkEqual("streak, calls, failures", [3]int64{want, want, want}, [3]int64{s.Streak, s.Calls, s.Failures})
}

func oneTransition(t *testEnv) {
	a, b := t.pair(engine.Policy{ConsecutiveFailures: herdSize / 2, OpenFor: time.Hour})
	tickets := a.step(engine.Batch{Admissions: herdSize})
	var applied atomic.Int64
	atOnce(herdSize, func(i int) {
		ticket := engine.Ticket{Epoch: tickets.Epoch}
		stale, err := turns(i, a, b).Report(t.Context(), ticket, engine.Failure, 0, nil)
		if err != nil {
			t.Errorf("Report: %v", err)
		}
		if !stale {
			applied.Add(1)
		}
	})
	t.checkEqual("applied", int64(herdSize/2), applied.Load())
	t.checkEqual("transitions", 2, len(t.inspect().Log))
	transitions := 0
	for _, e := range append(a.events.take(), b.events.take()...) {
		if e.Kind == engine.EventTransition {
			transitions++
		}
	}
	t.checkEqual("events of transitions", 2, transitions)
	t.checkState(engine.StateOpen)
}

func herd(t *testEnv) {
	a, b := t.pair(engine.Policy{
		ConsecutiveFailures: 1, OpenFor: shortTime,
		HalfOpen: engine.HalfOpen{Probes: 3, Lease: time.Hour},
	})
	a.fail(1)
	t.advance(shortTime)
	var mu sync.Mutex
	leases := map[int64]bool{}
	atOnce(herdSize, func(i int) {
		c := turns(i, a, b)
		for range eachDoes {
			ticket, err := c.Acquire(t.Context())
			if err != nil && !errors.Is(err, engine.ErrRejected) {
				t.Errorf("Acquire: %v", err)
			}
			if err == nil {
				mu.Lock()
				leases[ticket.Lease] = true
				mu.Unlock()
			}
		}
	})
	t.checkEqual("leases granted", map[int64]bool{1: true, 2: true, 3: true}, leases)
	t.checkEqual("granted by the record", int64(3), t.inspect().Probes.Granted)
	t.checkEqual("transitions", 3, len(t.inspect().Log))
}

func settledOnce(t *testEnv) {
	a, b := t.probing(3, 3)
	probe := a.admit()
	var applied atomic.Int64
	atOnce(herdSize, func(i int) {
		stale, err := turns(i, a, b).Report(t.Context(), probe, engine.Success, 0, nil)
		if err != nil {
			t.Errorf("Report: %v", err)
		}
		if !stale {
			applied.Add(1)
		}
	})
	t.checkEqual("applied", int64(1), applied.Load())
	t.checkEqual("succeeded", int64(1), t.inspect().Probes.Succeeded)
}

func oneCommandWins(t *testEnv) {
	a, b := t.pair(threeFailures)
	epoch := a.admit().Epoch
	var won atomic.Int64
	atOnce(herdSize, func(i int) {
		_, err := turns(i, a, b).Control(t.Context(), engine.Command{Action: engine.ActionReset, IfEpoch: epoch})
		switch {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, engine.ErrConflict):
			t.Errorf("Control: %v", err)
		}
	})
	t.checkEqual("commands that were taken", int64(1), won.Load())
	t.checkEqual("transitions", 2, len(t.inspect().Log))
}

func manyBreakers(t *testEnv) {
	names := []string{"north", "east", "south", "west"}
	atOnce(herdSize, func(i int) {
		s := []engine.Storage{t.A, t.B}[i%2]
		h, err := s.Bind(names[i/2%4], engine.Policy{ConsecutiveFailures: 10_000}, nil)
		if err != nil {
			t.Errorf("Bind: %v", err)
			return
		}
		for range eachDoes {
			ticket, err := h.Acquire(t.Context())
			if err == nil {
				_, err = h.Report(t.Context(), ticket, engine.Failure, 0, nil)
			}
			if err != nil {
				t.Errorf("Acquire or Report: %v", err)
			}
		}
	})
	for _, name := range names {
		t.checkEqual("streak of "+name, int64(herdSize/4*eachDoes), t.inspectName(name).Streak)
	}
}
