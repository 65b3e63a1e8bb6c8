//go:build go1.25

package redbreaker_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// The worlds of simulated fleets: stores whose clock jumps, that hang, lose replies and
// lose records, and processes that are stopped and resumed, with timers that are late.
//
// A bubble cannot stop goroutines. A process that is stopped begins no call, ends none,
// and gets no reply of the store until it is resumed. Its timers are held up by a task
// of its scheduler that does not return: the timer's goroutine calls one task after
// another.

// worldStore is a store as one process of a fleet sees it.
type worldStore struct {
	*sharedStore
	process *simProcess
}

// Load implements cas.Store.
func (s *worldStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	s.process.awaitResume()
	blob, version, err := s.sharedStore.Load(ctx, name)
	s.process.awaitResume()
	return blob, version, err
}

// Swap implements cas.Store.
func (s *worldStore) Swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
	s.process.awaitResume()
	swapped, err := s.sharedStore.Swap(ctx, name, version, blob, ttl)
	s.process.awaitResume()
	return swapped, err
}

// Now implements cas.Clock.
func (s *worldStore) Now(context.Context) (time.Time, error) {
	return time.Now().Add(time.Duration(s.ahead.Load())), nil
}

// simProcess is a process that can be stopped.
type simProcess struct {
	mu      sync.Mutex
	resumed chan struct{} // nil while the process runs
	stops   []stopTime

	inFlight, mostInFlight atomic.Int64 // calls
	stripes                atomic.Int64 // the most that its view had
}

// stopTime is when a process was stopped, and when its timers ran again.
type stopTime struct{ from, to time.Time }

// awaitResume returns once the process runs.
func (p *simProcess) awaitResume() {
	for {
		p.mu.Lock()
		resumed := p.resumed
		p.mu.Unlock()
		if resumed == nil {
			return
		}
		<-resumed
	}
}

// stop stops the process for a time, and calls onResume then. Its timers stay late for
// another while.
func (p *simProcess) stop(s *engine.Scheduler, length, late time.Duration, onResume func()) {
	stop, timersRun := stopTime{from: time.Now()}, make(chan struct{})
	held := &heldTimers{until: timersRun, held: make(chan struct{})}
	held.task.Init(held)
	s.Schedule(&held.task, 0)
	<-held.held
	resumed := make(chan struct{})
	p.mu.Lock()
	p.resumed = resumed
	p.mu.Unlock()
	time.Sleep(length)
	p.mu.Lock()
	p.resumed = nil
	p.mu.Unlock()
	close(resumed)
	onResume()
	time.Sleep(late)
	close(timersRun)
	stop.to = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stops = append(p.stops, stop)
}

// heldTimers is a task that holds up the timers of its scheduler.
type heldTimers struct {
	task  engine.Task
	until chan struct{}
	held  chan struct{} // closed once they are held
}

// Due implements engine.Scheduled.
func (h *heldTimers) Due() {
	close(h.held)
	<-h.until
}

// Run implements engine.Scheduled.
func (h *heldTimers) Run() {}

// Drop implements engine.Scheduled.
func (h *heldTimers) Drop() {}

// stopAtTimes stops the process now and then, until ended is closed. Sometimes many
// requests wait for it when it is resumed, which burst serves.
func (p *simProcess) stopAtTimes(s *engine.Scheduler, rnd *rand.Rand, ended <-chan struct{}, burst func()) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(time.Duration(1000+rnd.IntN(8000)) * time.Millisecond):
			onResume := func() {}
			if rnd.IntN(4) == 0 {
				onResume = burst
			}
			p.stop(s, time.Duration(rnd.IntN(4000))*time.Millisecond, time.Duration(max(0, rnd.IntN(800)-400))*time.Millisecond, onResume)
		}
	}
}

// beginCall counts a call that was admitted.
func (p *simProcess) beginCall(b *redbreaker.Breaker) {
	n := p.inFlight.Add(1)
	raise(&p.mostInFlight, n)
	raise(&p.stripes, int64(b.StripesForTest()))
}

func raise(most *atomic.Int64, n int64) {
	for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
	}
}

// checkLate wants answers by an older state only at times when the timers of the process
// were held up, and no more than may pass before a success reads the clock.
func (p *simProcess) checkLate(t *testing.T, seed uint64, late []time.Time) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	most := 64*p.stripes.Load() + p.mostInFlight.Load()
	counts := make([]int64, len(p.stops))
next:
	for _, at := range late {
		for i, s := range p.stops {
			if !at.Before(s.from) && !at.After(s.to) {
				if counts[i]++; counts[i] == most+1 {
					t.Errorf("seed %d: more than %d calls were admitted by a decision that had ended, with timers held up from %v to %v", seed, most, s.from, s.to)
				}
				continue next
			}
		}
		t.Errorf("seed %d: a call was answered at %v by a state that had ended before the staleness; timers were held up %v", seed, at, p.stops)
		return
	}
}

// joinWorld returns a breaker of the process over the store.
func (s *sharedStore) joinWorld(t *testing.T, p *simProcess, reporter string, timeout time.Duration, policy redbreaker.Policy, opts ...redbreaker.Option) (*redbreaker.Breaker, *cas.Storage) {
	t.Helper()
	storage, err := cas.New(&worldStore{s, p}, cas.WithReporter(reporter), cas.WithTimeout(cmp.Or(timeout, cas.DefaultTimeout)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := redbreaker.New("dep", policy, append([]redbreaker.Option{redbreaker.WithStorage(storage)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return b, storage
}

// jumpClock makes a store's clock jump now and then, forwards and back, until ended is
// closed. set sets how far it is ahead.
func jumpClock(rnd *rand.Rand, ended <-chan struct{}, set func(time.Duration)) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(time.Duration(500+rnd.IntN(8000)) * time.Millisecond):
			set(time.Duration(rnd.IntN(40_000)-20_000) * time.Millisecond)
		}
	}
}

// forgetAtTimes makes the store lose its records now and then, until ended is closed.
func (s *sharedStore) forgetAtTimes(rnd *rand.Rand, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(time.Duration(2000+rnd.IntN(15_000)) * time.Millisecond):
			s.forget()
		}
	}
}

// forget loses all records, as a server does that starts again empty.
func (s *sharedStore) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.blobs)
	if len(s.heads) > 0 {
		s.heads = append(s.heads, headAt{at: time.Now(), state: "closed", mode: "auto"})
	}
}
