//go:build go1.25

package redbreaker_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

var (
	oracleSeeds = flag.Int("oracles", 6, "seeds of simulated fleets that TestOracle_staleness runs")
	oracleFrom  = flag.Int("oracles.from", 0, "the first of them")
)

// oracleStore is a store that keeps each record that it ever had. The oracle asks the
// machine what a step at an instant would have answered.
type oracleStore struct {
	*sharedStore
	rules engine.Rules

	mu      sync.Mutex
	records []recordAt
	ahead   time.Duration // its clock, against that of the bubble
}

// recordAt is a record from a time on, by a clock that does not jump.
type recordAt struct {
	at     time.Time
	ahead  time.Duration // the store's clock
	fields []engine.Field
	// constant is the answer at any instant, if it does not depend on the time.
	constant oracleAnswer
}

// oracleAnswer is the result of Acquire: a ticket, the zero ticket, or a rejection.
type oracleAnswer struct {
	ticket   engine.Ticket
	rejected bool
}

func (a oracleAnswer) String() string {
	switch {
	case a.rejected:
		return "rejected"
	case a.ticket == engine.Ticket{}:
		return "admitted uncounted"
	}
	return fmt.Sprintf("admitted in epoch %d", a.ticket.Epoch)
}

// Swap implements cas.Store.
func (s *oracleStore) Swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error) {
	swapped, err := s.sharedStore.Swap(ctx, name, version, blob, ttl)
	if swapped {
		s.noteRecord(blob)
	}
	return swapped, err
}

// Now implements cas.Clock.
func (s *oracleStore) Now(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead), nil
}

// setAhead makes the clock jump. The record then is another one to the oracle.
func (s *oracleStore) setAhead(ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = ahead
	if n := len(s.records); n > 0 {
		r := s.records[n-1]
		r.at, r.ahead = time.Now(), ahead
		s.records = append(s.records, r)
	}
}

var unescapeBlob = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\s`, " ")

func (s *oracleStore) noteRecord(blob []byte) {
	r := recordAt{at: time.Now()}
	for _, line := range bytes.Split(bytes.TrimSpace(blob), []byte("\n")) {
		name, value, _ := strings.Cut(string(line), " ")
		r.fields = append(r.fields, engine.Field{Name: unescapeBlob.Replace(name), Value: unescapeBlob.Replace(value)})
		if name == "head" && strings.HasPrefix(value, "1 closed auto ") && !strings.Contains(value, " ramp=") {
			var epoch int64
			fmt.Sscanf(value, "1 closed auto epoch=%d", &epoch)
			r.constant = oracleAnswer{ticket: engine.Ticket{Epoch: epoch}}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ahead = s.ahead
	s.records = append(s.records, r)
}

// allows reports whether a step at some instant from one time to another would have
// given that answer.
func (s *oracleStore) allows(t *testing.T, a oracleAnswer, from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.records) - 1; i >= 0; i-- {
		r, end := &s.records[i], to
		if i+1 < len(s.records) && s.records[i+1].at.Before(to) {
			end = s.records[i+1].at
		}
		if end.Before(from) {
			return false
		}
		begin := r.at
		if begin.Before(from) {
			begin = from
		}
		if !begin.After(end) && (s.gives(t, r, a, begin) || s.gives(t, r, a, end)) {
			return true
		}
	}
	return false
}

// gives reports whether a step on the record at an instant would give that answer. The
// random number of a step matters for the share of a ramp only: both ends are tried.
func (s *oracleStore) gives(t *testing.T, r *recordAt, a oracleAnswer, at time.Time) bool {
	if r.constant != (oracleAnswer{}) {
		return r.constant == a
	}
	for _, rnd := range []int64{0, 1<<20 - 1} {
		record, err := engine.ParseRecord(r.fields)
		if err != nil {
			t.Error(err)
			return true
		}
		reply := record.Step(&s.rules, at.Add(r.ahead).UnixMilli(), rnd, engine.Batch{Admissions: 1})
		given := oracleAnswer{rejected: reply.Granted == 0 && !reply.AdmitsUncounted()}
		if reply.Granted > 0 {
			given.ticket = engine.Ticket{Epoch: reply.Epoch, Lease: reply.FirstLease}
		}
		if given == a {
			return true
		}
	}
	return false
}

// oracleFleet is a fleet whose every answer the oracle checks.
type oracleFleet struct {
	t         *testing.T
	seed      uint64
	store     *oracleStore
	policy    redbreaker.Policy
	staleness time.Duration
	takes     time.Duration
	perSecond float64
	dead      time.Duration // how long the dependency lives, and then is dead

	mu      sync.Mutex
	leases  map[engine.Ticket]int // admissions by lease
	answers map[string]int
	older   int // answers by a state that had ended
}

// oracleTimeout is long enough for each operation to win a race in the end: the fallback
// must not decide, because the oracle knows nothing of it.
const oracleTimeout = time.Minute

// TestOracle_staleness runs fleets with random policies, failures and commands, and a
// store's clock that jumps. Each answer must be one that the storage would have given at
// an instant of the last d: a ticket, a rejection, and an admission uncounted alike.
// Leases come from the storage, and none is given twice.
func TestOracle_staleness(t *testing.T) {
	answers, older := map[string]int{}, 0
	for seed := *oracleFrom; seed < *oracleFrom+*oracleSeeds; seed++ {
		synctest.Test(t, func(t *testing.T) {
			f := drawOracleFleet(t, uint64(seed))
			f.run(12 * time.Second)
			for kind, n := range f.answers {
				answers[kind] += n
			}
			older += f.older
		})
	}
	t.Logf("%v, %d by a state that had ended", answers, older)
	for _, kind := range []string{"ticket", "lease", "uncounted", "rejected"} {
		if answers[kind] == 0 {
			t.Errorf("no answer was of the kind %s: the fleets show nothing of it", kind)
		}
	}
	if older == 0 {
		t.Error("no answer followed from an older state: the fleets show nothing")
	}
}

func drawOracleFleet(t *testing.T, seed uint64) *oracleFleet {
	rnd := rand.New(rand.NewPCG(seed, 77))
	f := &oracleFleet{
		t: t, seed: seed, staleness: time.Duration(5+rnd.IntN(995)) * time.Millisecond, takes: time.Duration(rnd.IntN(400)) * time.Millisecond,
		perSecond: 1 + 30*rnd.Float64(), dead: time.Duration(500+rnd.IntN(4000)) * time.Millisecond,
		leases: map[engine.Ticket]int{}, answers: map[string]int{},
	}
	f.policy = redbreaker.Policy{OpenFor: time.Duration(2100+rnd.IntN(2000)) * time.Millisecond, MinReporters: 1 + rnd.IntN(2)}
	f.policy.HalfOpen.Probes = 1 + rnd.IntN(4)
	f.policy.HalfOpen.Successes = 1 + rnd.IntN(f.policy.HalfOpen.Probes)
	f.policy.HalfOpen.Lease = time.Duration(100+rnd.IntN(3000)) * time.Millisecond
	if rnd.IntN(2) == 0 {
		f.policy.Backoff = redbreaker.Backoff{Multiplier: 1.5, Jitter: 0.5}
	}
	if rnd.IntN(3) == 0 {
		f.policy.Ramp = redbreaker.Ramp{Over: time.Duration(500+rnd.IntN(3000)) * time.Millisecond, From: 0.2}
	}
	if rnd.IntN(3) == 0 {
		f.policy.ConsecutiveFailures = 1 + rnd.IntN(8)
	}
	switch window := rnd.IntN(3); {
	case window == 0:
		f.policy.Window = redbreaker.Window{Calls: 5 + rnd.IntN(100), FailureRate: 0.3 + 0.5*rnd.Float64()}
	case window == 1 || f.policy.ConsecutiveFailures == 0:
		f.policy.Window = redbreaker.Window{Period: 10 * time.Second, FailureRate: 0.3 + 0.5*rnd.Float64()}
	}
	if f.policy.Window != (redbreaker.Window{}) && rnd.IntN(2) == 0 {
		f.policy.Window.SlowCallRate, f.policy.Window.SlowCallDuration = 0.5, time.Second
	}
	rules, err := f.policy.Rules()
	if err != nil {
		t.Fatal(err)
	}
	f.store = &oracleStore{sharedStore: newSharedStore(time.Duration(1+rnd.IntN(5)) * time.Millisecond), rules: rules}
	return f
}

// run lets the processes of the fleet work for so long.
func (f *oracleFleet) run(length time.Duration) {
	rnd := rand.New(rand.NewPCG(f.seed, 78))
	var all, faults sync.WaitGroup
	ended := make(chan struct{})
	if f.seed%3 == 0 {
		jumping := rand.New(rand.NewPCG(f.seed, 80))
		faults.Go(func() { jumpClock(jumping, ended, f.store.setAhead) })
	}
	for i := range 1 + rnd.IntN(12) {
		source := rand.New(rand.NewPCG(rnd.Uint64(), 1))
		all.Go(func() { f.runProcess(fmt.Sprint("host", i), source, length) })
	}
	if f.seed%2 == 0 {
		f.runOperator(rand.New(rand.NewPCG(f.seed, 79)), length)
	}
	all.Wait()
	close(ended)
	faults.Wait()
}

func (f *oracleFleet) runProcess(host string, rnd *rand.Rand, length time.Duration) {
	storage, err := cas.New(f.store, cas.WithReporter(host), cas.WithTimeout(oracleTimeout))
	if err != nil {
		f.t.Error(err)
		return
	}
	b, err := redbreaker.New("dep", f.policy, redbreaker.WithStorage(storage), redbreaker.WithMaxStaleness(f.staleness), redbreaker.WithHooks(quietHooks))
	if err != nil {
		f.t.Error(err)
		return
	}
	start := time.Now()
	var calls sync.WaitGroup
	for {
		time.Sleep(time.Duration(rnd.ExpFloat64() / f.perSecond * float64(time.Second)))
		since := time.Since(start)
		if since > length {
			break
		}
		outcome := engine.Success
		if draw := rnd.Float64(); draw < 0.05 || since/f.dead%2 == 1 && draw < 0.9 {
			outcome = []engine.Outcome{engine.Failure, engine.Failure, engine.SlowFailure, engine.SlowSuccess, engine.Ignored}[rnd.IntN(5)]
		}
		takes := time.Duration(rnd.Float64() * 2 * float64(f.takes))
		calls.Go(func() { f.call(b.HandleForTest(), outcome, takes) })
	}
	calls.Wait()
	if err := b.Shutdown(ctx); err != nil {
		f.t.Error(err)
	}
	closeAll(f.t, storage)
}

func (f *oracleFleet) call(h engine.Handle, o engine.Outcome, takes time.Duration) {
	from := time.Now()
	ticket, err := h.Acquire(ctx)
	to := time.Now()
	a := oracleAnswer{ticket: ticket, rejected: errors.Is(err, redbreaker.ErrRejected)}
	if err != nil && !a.rejected {
		f.t.Errorf("seed %d: %v", f.seed, err)
		return
	}
	f.check(a, from, to)
	if a.rejected {
		return
	}
	time.Sleep(takes)
	if _, err := h.Report(ctx, ticket, o, 0, nil); err != nil {
		f.t.Errorf("seed %d: report: %v", f.seed, err)
	}
}

// check asks the oracle about an answer to a call that came and was answered then.
func (f *oracleFleet) check(a oracleAnswer, from, to time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[a.kind()]++
	if a.ticket.Epoch < 0 {
		f.t.Errorf("seed %d: the fallback decided", f.seed)
		return
	}
	if a.ticket.Lease > 0 {
		if f.leases[a.ticket]++; f.leases[a.ticket] > 1 {
			f.t.Errorf("seed %d: the lease %+v was given twice", f.seed, a.ticket)
		}
		return
	}
	if !f.store.allows(f.t, a, from.Add(-f.staleness), to) {
		f.t.Errorf("seed %d: %v at %v, which the storage would not have answered for %v", f.seed, a, to, f.staleness)
	}
	if !f.store.allows(f.t, a, from, to) {
		f.older++
	}
}

func (a oracleAnswer) kind() string {
	switch {
	case a.rejected:
		return "rejected"
	case a.ticket.Lease > 0:
		return "lease"
	case a.ticket.Epoch > 0:
		return "ticket"
	}
	return "uncounted"
}

// runOperator gives commands by name, of which processes learn by their steps only.
func (f *oracleFleet) runOperator(rnd *rand.Rand, length time.Duration) {
	storage, err := cas.New(f.store, cas.WithTimeout(oracleTimeout))
	if err != nil {
		f.t.Error(err)
		return
	}
	defer closeAll(f.t, storage)
	for start := time.Now(); time.Since(start) < length; time.Sleep(time.Duration(200+rnd.IntN(3000)) * time.Millisecond) {
		c := engine.Command{Action: engine.Action(1 + rnd.IntN(int(engine.ActionRelease)))}
		switch c.Action {
		case engine.ActionForceOpen, engine.ActionForceClosed, engine.ActionShadow, engine.ActionTrip:
			c.For = time.Duration(1+rnd.IntN(3000)) * time.Millisecond
		}
		if _, err := storage.Control(ctx, "dep", c); err != nil && !errors.Is(err, engine.ErrForced) {
			f.t.Errorf("seed %d: %v: %v", f.seed, c.Action, err)
		}
	}
}
