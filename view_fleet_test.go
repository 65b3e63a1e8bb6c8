//go:build go1.25

package redbreaker_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
)

var (
	fleetSeeds = flag.Int("fleets", seeds(12, 6), "seeds of simulated fleets that TestFleet_staleness runs")
	fleetFrom  = flag.Int("fleets.from", 0, "the first of them")
)

// fleet is a number of processes over one store, in a bubble. Calls arrive at random
// and fail with a share that the test sets.
type fleet struct {
	store     *sharedStore
	rnd       *rand.Rand
	policy    redbreaker.Policy
	staleness time.Duration
	processes int
	perSecond float64 // calls of a process
	takes     time.Duration
	failing   func(process int, since time.Duration) float64 // share of calls that fail
	pauses    bool                                           // no calls for two minutes, now and then
	world     fleetWorld

	mu       sync.Mutex
	admitted []answer
	rejected []answer
	members  []*simProcess
}

// fleetWorld says what goes wrong around a fleet, see view_world_test.go.
type fleetWorld struct {
	stops   bool          // processes are stopped and resumed
	jumps   bool          // the store's clock jumps
	forgets bool          // the store loses its records
	timeout time.Duration // of an operation; 0: the default
}

// quietHooks keep outages of the store out of the log.
var quietHooks = redbreaker.Hooks{
	OnDegraded: func(redbreaker.Event) {},
	OnRestored: func(redbreaker.Event) {},
}

// answer is how a call was answered, and when.
type answer struct {
	came, at time.Time
	process  int
	degraded bool // the fallback decided
}

// run lets the fleet work for so long.
func (f *fleet) run(t *testing.T, length time.Duration) {
	t.Helper()
	var all, faults sync.WaitGroup
	ended := make(chan struct{})
	if f.world.jumps {
		rnd := rand.New(rand.NewPCG(f.rnd.Uint64(), 5))
		faults.Go(func() { jumpClock(rnd, ended, func(ahead time.Duration) { f.store.ahead.Store(int64(ahead)) }) })
	}
	if f.world.forgets {
		rnd := rand.New(rand.NewPCG(f.rnd.Uint64(), 6))
		faults.Go(func() { f.store.forgetAtTimes(rnd, ended) })
	}
	for range f.processes {
		f.members = append(f.members, &simProcess{}) // before any of them reads the list
	}
	for i := range f.processes {
		seed := f.rnd.Uint64()
		all.Go(func() { f.runProcess(t, i, rand.New(rand.NewPCG(seed, 1)), length) })
	}
	all.Wait()
	close(ended)
	faults.Wait()
}

// runProcess makes the calls of one process. A call does not wait for the one before.
func (f *fleet) runProcess(t *testing.T, process int, rnd *rand.Rand, length time.Duration) {
	b, storage := f.store.joinWorld(t, f.members[process], fmt.Sprint("host", process), f.world.timeout, f.policy,
		redbreaker.WithMaxStaleness(f.staleness), redbreaker.WithHooks(quietHooks))
	start := time.Now()
	ended := make(chan struct{})
	var calls, stops sync.WaitGroup
	if f.world.stops {
		stopping := rand.New(rand.NewPCG(rnd.Uint64(), 2))
		stops.Go(func() {
			f.members[process].stopAtTimes(storage.Scheduler(), stopping, ended, func() {
				for range 200 {
					f.call(b, process, false, 0)
				}
			})
		})
	}
	for {
		time.Sleep(time.Duration(rnd.ExpFloat64() / f.perSecond * float64(time.Second)))
		since := time.Since(start)
		if since > length {
			break
		}
		if f.pauses && since%(7*time.Second) < time.Second {
			time.Sleep(time.Until(start.Add(since.Truncate(time.Second) + 2*time.Minute)))
			start = start.Add(2 * time.Minute)
			continue
		}
		fails, takes := rnd.Float64() < f.failing(process, since), time.Duration(rnd.Float64()*2*float64(f.takes))
		calls.Go(func() { f.call(b, process, fails, takes) })
	}
	calls.Wait()
	close(ended)
	stops.Wait()
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	closeAll(t, storage)
}

func (f *fleet) call(b *redbreaker.Breaker, process int, fails bool, takes time.Duration) {
	p := f.members[process]
	p.awaitResume()
	degraded, came := b.Status().Degraded, time.Now()
	permit, err := b.Acquire(ctx)
	at := time.Now()
	// The outage may begin with this call, or end by another before the second look.
	degraded = degraded || b.Status().Degraded
	f.mu.Lock()
	if a := (answer{came, at, process, degraded}); err != nil {
		f.rejected = append(f.rejected, a)
	} else {
		f.admitted = append(f.admitted, a)
	}
	f.mu.Unlock()
	if err != nil {
		return
	}
	p.beginCall(b)
	defer p.inFlight.Add(-1)
	time.Sleep(takes)
	p.awaitResume()
	if fails {
		permit.Failure(errDown)
	} else {
		permit.Success()
	}
}

// TestFleet_staleness runs fleets with random policies and faults. Each admission and each
// rejection must obey a state that the record had at most d before.
func TestFleet_staleness(t *testing.T) {
	admitted, after, late := 0, 0, 0
	for seed := *fleetFrom; seed < *fleetFrom+*fleetSeeds; seed++ {
		synctest.Test(t, func(t *testing.T) {
			f := drawFleet(uint64(seed))
			f.run(t, 20*time.Second)
			a, l := f.checkAnswers(t, uint64(seed))
			after, late = after+a, late+l
			admitted += len(f.admitted)
		})
	}
	t.Logf("%d calls admitted, %d of them while the record was open, %d with late timers", admitted, after, late)
	if after == 0 || late == 0 {
		t.Error("no call was admitted by an older state: the fleets show nothing")
	}
}

// checkAnswers wants each answer to obey a state of the last d before the call came. Calls
// by an older state are allowed while the timers of a process are held up. It returns how
// many calls were admitted by a state that had ended, and by one that had ended before d.
func (f *fleet) checkAnswers(t *testing.T, seed uint64) (after, tooLate int) {
	t.Helper()
	late := make([][]time.Time, len(f.members))
	for _, a := range f.admitted {
		if !a.degraded && !f.store.admits(a.came.Add(-f.staleness), a.at) {
			late[a.process] = append(late[a.process], a.at)
		}
		if !f.store.admits(a.at, a.at) {
			after++
		}
	}
	for i, p := range f.members {
		p.checkLate(t, seed, late[i])
		tooLate += len(late[i])
	}
	for _, a := range f.rejected {
		// A rejection reads the clock, so late timers do not matter.
		if f.policy.Ramp.Over == 0 && !a.degraded && !f.store.rejects(a.came.Add(-f.staleness), a.at) {
			t.Errorf("seed %d: a call was rejected at %v, though the record had rejected none for %v: %+v", seed, a.at, f.staleness, f.store.heads)
			break
		}
	}
	return after, tooLate
}

// drawFleet draws a fleet that fails, recovers and fails again, with a store that does
// not always work.
func drawFleet(seed uint64) *fleet {
	rnd := rand.New(rand.NewPCG(seed, 0))
	f := &fleet{
		store: newSharedStore(time.Duration(1+rnd.IntN(4)) * time.Millisecond), rnd: rnd, processes: 1 + rnd.IntN(20),
		perSecond: 1 + 40*rnd.Float64(), takes: time.Duration(rnd.IntN(300)) * time.Millisecond,
		staleness: time.Duration(20+rnd.IntN(980)) * time.Millisecond,
	}
	f.policy = redbreaker.Policy{OpenFor: time.Duration(1100+rnd.IntN(3000)) * time.Millisecond}
	switch rnd.IntN(3) {
	case 0:
		f.policy.ConsecutiveFailures = 1 + rnd.IntN(10)
	case 1:
		f.policy.Window = redbreaker.Window{Calls: 10 + rnd.IntN(100), FailureRate: 0.3 + 0.5*rnd.Float64()}
	case 2:
		f.policy.Window = redbreaker.Window{Period: 10 * time.Second, FailureRate: 0.3 + 0.5*rnd.Float64()}
	}
	if rnd.IntN(3) == 0 {
		f.policy.Ramp = redbreaker.Ramp{Over: time.Second}
	}
	dead := time.Duration(2+rnd.IntN(6)) * time.Second
	f.failing = func(_ int, since time.Duration) float64 {
		if since%(2*dead) > dead {
			return 0.9
		}
		return 0.1
	}
	if rnd.IntN(2) == 0 {
		f.breakStoreAtTimes(rnd.Uint64())
	}
	f.world = fleetWorld{stops: rnd.IntN(2) == 0, jumps: rnd.IntN(2) == 0, forgets: rnd.IntN(4) == 0}
	if rnd.IntN(2) == 0 {
		f.world.timeout = time.Minute // the fallback decides less often
	}
	return f
}

// breakStoreAtTimes makes operations of the store fail, time out or get lost now and then.
func (f *fleet) breakStoreAtTimes(seed uint64) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 2))
	kind, until := 0, time.Time{}
	f.store.breaks(func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(until) {
			kind, until = rnd.IntN(8), now.Add(time.Duration(rnd.IntN(2000))*time.Millisecond)
		}
		switch {
		case kind == 0, kind == 1 && op == "swap":
			return errStore
		case kind == 2:
			return errHangs
		case kind == 3 && op == "swap":
			return errReplyLost
		}
		return nil
	})
}
