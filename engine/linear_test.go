package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Many goroutines call one breaker in memory. Whatever they were told must be
// what the pure machine would have told them one after another, in an order in
// which no call comes before one that had returned when it began.

var histories = flag.Int("histories", 60, "concurrent histories of each policy to check")

// calm is a policy that mostly stays closed.
var calm = Policy{Window: Window{Calls: 12, FailureRate: 0.5, MinCalls: 8}, OpenFor: time.Millisecond}

// linearPolicies have every phase, and pass through them in a few calls.
var linearPolicies = []Policy{
	calm,
	{ConsecutiveFailures: 2, OpenFor: 3 * time.Millisecond},
	{ConsecutiveFailures: 3, OpenFor: 2 * time.Millisecond, HalfOpen: HalfOpen{Probes: 3, Successes: 2, Lease: 4 * time.Millisecond}},
	{Window: Window{Calls: 4, FailureRate: 0.5, MinCalls: 2}, OpenFor: 2 * time.Millisecond},
	{Window: Window{Calls: 6, FailureCount: 3}, OpenFor: 2 * time.Millisecond, HalfOpen: HalfOpen{Probes: 2}},
	{Window: Window{Period: 30 * time.Millisecond, FailureRate: 0.4, MinCalls: 3}, OpenFor: 2 * time.Millisecond},
	{Window: Window{Period: 50 * time.Millisecond, FailureCount: 3, SlowCallRate: 0.7, SlowCallDuration: time.Millisecond}, OpenFor: 3 * time.Millisecond},
}

const (
	callers      = 4
	callsOfEach  = 12
	longestCheck = 20 * time.Second
)

// What a call does, and what it may be told but a reason of a rejection.
const (
	asks     = "acquire"
	reports  = "report"
	commands = "control"
	inspects = "inspect"

	admitted = "admitted"
	refused  = "forced mode"
	failed   = "failed" // which no call may
)

// call is one operation, with the time and the randomness that decided it.
type call struct {
	kind    string
	ticket  Ticket
	outcome Outcome
	command Command
	now     int64 // ms; 0: it looked at no clock
	rnd     int64
	locked  bool // it was a step, not decided by a phase
}

// told is what a call returned.
type told struct {
	ticket Ticket
	answer string
	stale  bool
	tally  [6]int64
}

// sea is a record in memory and those who call it: each through a handle of its
// own, whose clock and randomness tell what a call was decided with.
type sea struct {
	rules  Rules
	base   *Memory
	clock  atomic.Int64 // ns
	order  atomic.Int64 // numbers the beginnings and ends of calls
	mu     sync.Mutex
	shared []Ticket // tickets that others may settle, too
}

type caller struct {
	*sea
	Handle
	id   int
	rand *rand.Rand

	read  int64 // the clock as this call last saw it
	drawn call  // what its step was decided with
}

// fault makes a handle break a rule.
type fault func(*caller, *memoryHandle) Handle

// newSea makes callers on one record. A fault stands between them and the engine.
func newSea(t *testing.T, p Policy, seed uint64, breaks fault) (*sea, []*caller) {
	t.Helper()
	s := &sea{}
	s.clock.Store(int64(time.Hour))
	s.rules, _ = p.Rules()
	s.base = NewMemory(WithClock(func() time.Duration { return time.Duration(s.clock.Load()) }))
	var record *memoryRecord
	var all []*caller
	for id := range callers {
		c := &caller{sea: s, id: id, rand: rand.New(rand.NewPCG(seed, uint64(id)))}
		h := c.bind(t, p)
		if record == nil {
			record = h.record
			record.width = 1 + 3*int32(seed%2)
			s.base.records["sea"] = record
		}
		h.record = record
		c.Handle = h
		if breaks != nil {
			c.Handle = breaks(c, h)
		}
		all = append(all, c)
	}
	return s, all
}

// bind gives a handle whose engine is the caller's own, but for the record.
func (c *caller) bind(t *testing.T, p Policy) *memoryHandle {
	m := NewMemory(WithClock(func() time.Duration {
		c.read = c.clock.Load()
		c.giveWay()
		return time.Duration(c.read)
	}))
	m.random = func() int64 {
		c.drawn = call{now: c.read + 1, rnd: c.rand.Int64N(1 << 20), locked: true}
		c.giveWay()
		return c.drawn.rnd
	}
	h, err := m.Bind("sea", p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h.(*memoryHandle)
}

// giveWay lets others go first, with or without the seam.
func (c *caller) giveWay() {
	if c.rand.IntN(3) == 0 {
		runtime.Gosched()
	}
}

// ticks lets time pass.
func (c *caller) ticks() {
	c.giveWay()
	if c.rand.IntN(4) == 0 {
		c.clock.Add(c.rand.Int64N(int64(2 * time.Millisecond)))
	}
}

// run makes calls and returns their history.
func (c *caller) run() []porcupine.Operation {
	var history []porcupine.Operation
	var mine []Ticket
	for range callsOfEach {
		c.ticks()
		op := c.choose(&mine)
		o := porcupine.Operation{ClientId: c.id, Call: c.order.Add(1)}
		c.read, c.drawn = 0, call{}
		out := c.do(op)
		o.Return = c.order.Add(1)
		op.now, op.rnd, op.locked = c.drawn.now, c.drawn.rnd, c.drawn.locked
		if !op.locked && c.read != 0 {
			op.now = c.read + 1
		}
		op.now /= int64(time.Millisecond)
		if out.ticket.Counted() {
			mine = append(mine, out.ticket)
			c.share(out.ticket)
		}
		o.Input, o.Output = op, out
		history = append(history, o)
	}
	return history
}

// choose picks the next call: mostly admissions and their results, some late or
// doubled, now and then an operator's command.
func (c *caller) choose(mine *[]Ticket) call {
	switch n := c.rand.IntN(30); {
	case n == 0:
		return call{kind: commands, command: c.command()}
	case n == 1:
		return call{kind: inspects}
	case n < 4:
		if t, ok := c.borrow(); ok {
			return call{kind: reports, ticket: t, outcome: c.outcome()}
		}
	case n < 17 && len(*mine) > 0:
		t := (*mine)[0]
		*mine = (*mine)[1:]
		return call{kind: reports, ticket: t, outcome: c.outcome()}
	}
	return call{kind: asks}
}

func (c *caller) command() Command {
	cmd := Command{Action: Action(1 + c.rand.IntN(7)), For: time.Duration(c.rand.IntN(4)) * time.Millisecond}
	if cmd.Validate() != nil { // this one has no end
		cmd.For = 0
	}
	return cmd
}

func (c *caller) outcome() Outcome {
	return []Outcome{Success, Success, Success, Success, Success, Failure, Failure, Failure, Ignored, SlowFailure}[c.rand.IntN(10)]
}

func (s *sea) share(t Ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = append(s.shared, t)
}

func (c *caller) borrow() (Ticket, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.shared) == 0 {
		return Ticket{}, false
	}
	return c.shared[len(c.shared)-1-c.rand.IntN(min(len(c.shared), 4))], true
}

func (c *caller) do(op call) told {
	ctx := context.Background()
	switch op.kind {
	case asks:
		t, err := c.Acquire(ctx)
		return told{ticket: t, answer: answer(err)}
	case reports:
		at := int64(0)
		if c.rand.IntN(2) == 0 {
			at = c.Now()
		}
		stale, err := c.Report(ctx, op.ticket, op.outcome, at, nil)
		return told{stale: stale, answer: answer(err)}
	case commands:
		s, err := c.Control(ctx, op.command)
		return told{tally: tallyOf(s), answer: answer(err)}
	}
	s, err := c.base.Inspect(ctx, "sea")
	return told{tally: tallyOf(s), answer: answer(err)}
}

func answer(err error) string {
	var rejected *RejectedError
	switch {
	case err == nil:
		return admitted
	case errors.As(err, &rejected):
		return string(rejected.Reason)
	case errors.Is(err, ErrForced):
		return refused
	}
	return failed
}

func tallyOf(s Snapshot) [6]int64 {
	return [6]int64{s.Epoch, int64(s.State), s.Streak, s.Calls, s.Failures, s.Slow}
}

// sequence is the pure machine after some calls.
type sequence struct {
	record *Record
	text   string
	latest int64 // no call before was decided later
}

// model is the pure machine, which takes one call at a time.
func model(p *Rules) porcupine.Model {
	return porcupine.Model{
		Init:  func() any { return sequence{record: &Record{}} },
		Equal: func(a, b any) bool { return a.(sequence).text == b.(sequence).text },
		Step: func(state, input, output any) (bool, any) {
			s, op := state.(sequence), input.(call)
			next := sequence{record: s.record.apart(), latest: max(s.latest, op.now)}
			if got := next.apply(p, op); got != output.(told) {
				return false, nil
			}
			next.text = fmt.Sprint(next.latest, next.record.Fields())
			return true, next
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v %+v", in, out) },
		DescribeState:     func(s any) string { return s.(sequence).text },
	}
}

// apply is what the machine tells.
func (s *sequence) apply(p *Rules, op call) told {
	now := op.now
	if !op.locked && (now == 0 || op.kind == reports && s.record.shape.Kind != windowTime) {
		now = s.latest // it was decided without the clock, so at any time
	}
	switch op.kind {
	case asks:
		r := s.record.Step(p, now, op.rnd, Batch{Admissions: 1})
		switch {
		case r.Granted > 0:
			return told{ticket: Ticket{r.Epoch, r.FirstLease}, answer: admitted}
		case r.AdmitsUncounted():
			return told{answer: admitted}
		}
		return told{answer: string(r.reason())}
	case reports:
		if !op.ticket.Counted() || op.outcome == Ignored && op.ticket.Lease == 0 {
			return told{answer: admitted}
		}
		r := s.record.Step(p, now, op.rnd, Batch{Results: []Result{{op.ticket, []Run{{op.outcome, 1}}}}})
		return told{stale: r.Stale > 0, answer: admitted}
	case commands:
		_, err := s.record.Control(p, now, op.rnd, op.command)
		return told{tally: tallyOf(s.record.Snapshot("", now)), answer: answer(err)}
	}
	return told{tally: tallyOf(s.record.Snapshot("", now)), answer: admitted}
}

// apart is a record that shares nothing with r.
func (r *Record) apart() *Record {
	c := *r
	c.ring, c.cells, c.log = slices.Clone(r.ring), slices.Clone(r.cells), slices.Clone(r.log)
	c.round.leases, c.reporters = slices.Clone(r.round.leases), slices.Clone(r.reporters)
	return &c
}

// check runs histories until one is not linearizable, and returns how many it
// ran and whether all were.
func check(t *testing.T, p Policy, n int, breaks fault) (int, bool) {
	t.Helper()
	for i := range n {
		s, all := newSea(t, p, uint64(i), breaks)
		var mu sync.Mutex
		var history []porcupine.Operation
		var wg sync.WaitGroup
		together := make(chan struct{})
		for _, c := range all {
			wg.Add(1)
			go func() {
				defer wg.Done()
				<-together
				own := c.run()
				mu.Lock()
				defer mu.Unlock()
				history = append(history, own...)
			}()
		}
		close(together)
		wg.Wait()
		switch result, info := porcupine.CheckOperationsVerbose(model(&s.rules), history, longestCheck); result {
		case porcupine.Illegal:
			if breaks == nil && *visualize != "" {
				_ = porcupine.VisualizePath(model(&s.rules), info, *visualize)
			}
			return i + 1, false
		case porcupine.Unknown:
			t.Logf("history %d was not checked within %v", i, longestCheck)
		}
	}
	return n, true
}

var visualize = flag.String("visualize", "", "where to write a history that is not linearizable, as HTML")

func TestMemory_linearizable(t *testing.T) {
	if !shake(t) {
		t.Log("the schedule is the runtime's own; a build with the race detector shakes it")
	}
	for i, p := range linearPolicies {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if n, ok := check(t, p, *histories, nil); !ok {
				t.Fatalf("history %d is not linearizable", n)
			}
		})
	}
}
