package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Many goroutines call one breaker in memory. Their results must be those that the
// pure machine gives to the same calls one after another, in an order in which no
// call precedes one that had returned when it began.

var histories = flag.Int("histories", 60, "concurrent histories of each policy to check")

// mostlyClosed is a policy that mostly stays closed.
var mostlyClosed = Policy{Window: Window{Calls: 12, FailureRate: 0.5, MinCalls: 8}, OpenFor: time.Millisecond}

// linearPolicies reach every state and kind of window within a few calls.
var linearPolicies = []Policy{
	mostlyClosed,
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

// The kinds of calls, and the answers that are not the reason of a rejection.
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
	now     int64 // ms; 0: it read no clock
	rnd     int64
	locked  bool // a step decided it, not a published decision
}

// callResult holds the values that a call returned.
type callResult struct {
	ticket Ticket
	answer string
	stale  bool
	tally  [6]int64
}

// sharedRecord is a record in memory and its callers, each with a handle of its own.
// The handle's clock and randomness record the values that decided a call.
type sharedRecord struct {
	rules  Rules
	base   *Memory
	clock  atomic.Int64 // ns
	order  atomic.Int64 // numbers the begins and ends of calls
	mu     sync.Mutex
	shared []Ticket // tickets that any caller may settle
}

type caller struct {
	*sharedRecord
	Handle
	own  *memoryHandle // the Handle without a fault
	id   int
	rand *rand.Rand

	read  int64 // the clock as this call last read it
	drawn call  // time and randomness of its step
}

// fault makes a handle break a rule.
type fault func(*caller, *memoryHandle) Handle

// newSharedRecord returns a record and its callers. A fault wraps each handle.
func newSharedRecord(t *testing.T, p Policy, seed uint64, breaks fault) (*sharedRecord, []*caller) {
	t.Helper()
	s := &sharedRecord{}
	s.clock.Store(int64(time.Hour))
	s.rules, _ = p.Rules()
	s.base = NewMemory(WithClock(func() time.Duration { return time.Duration(s.clock.Load()) }))
	var record *memoryRecord
	var all []*caller
	for id := range callers {
		c := &caller{sharedRecord: s, id: id, rand: rand.New(rand.NewPCG(seed, uint64(id)))}
		h := c.bind(t, p)
		if record == nil {
			record = h.record
			record.stripeCount = 1 + 3*int32(seed%2)
			s.base.records["linear"] = record
		}
		h.record = record
		c.Handle, c.own = h, h
		if breaks != nil {
			c.Handle = breaks(c, h)
		}
		all = append(all, c)
	}
	return s, all
}

// bind returns a handle of an engine that belongs to this caller.
func (c *caller) bind(t *testing.T, p Policy) *memoryHandle {
	m := NewMemory(WithClock(func() time.Duration {
		c.read = c.clock.Load()
		c.yieldSometimes()
		return time.Duration(c.read)
	}))
	m.random = func() int64 {
		c.drawn = call{now: c.read + 1, rnd: c.rand.Int64N(1 << 20), locked: true}
		c.yieldSometimes()
		return c.drawn.rnd
	}
	h, err := m.Bind("linear", p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h.(*memoryHandle)
}

// yieldSometimes lets other goroutines run, with or without yield points.
func (c *caller) yieldSometimes() {
	if c.rand.IntN(3) == 0 {
		runtime.Gosched()
	}
}

// advanceClock sometimes advances the clock, by less than 2 ms.
func (c *caller) advanceClock() {
	c.yieldSometimes()
	if c.rand.IntN(4) == 0 {
		c.clock.Add(c.rand.Int64N(int64(2 * time.Millisecond)))
	}
}

// run makes the calls and returns their history.
func (c *caller) run() []porcupine.Operation {
	var history []porcupine.Operation
	var mine []Ticket
	for range callsOfEach {
		c.advanceClock()
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

// choose picks the next call: mostly admissions and results, some of them late or
// repeated, and sometimes a command.
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
	if cmd.Validate() != nil { // the action takes no duration
		cmd.For = 0
	}
	return cmd
}

func (c *caller) outcome() Outcome {
	return []Outcome{Success, Success, Success, Success, Success, Failure, Failure, Failure, Ignored, SlowFailure}[c.rand.IntN(10)]
}

func (s *sharedRecord) share(t Ticket) {
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

func (c *caller) do(op call) callResult {
	ctx := context.Background()
	switch op.kind {
	case asks:
		t, err := c.Acquire(ctx)
		return callResult{ticket: t, answer: answer(err)}
	case reports:
		at := int64(0)
		if c.rand.IntN(2) == 0 {
			at = c.Now()
		}
		stale, err := c.Report(ctx, op.ticket, op.outcome, at, nil)
		return callResult{stale: stale, answer: answer(err)}
	case commands:
		s, err := c.Control(ctx, op.command)
		return callResult{tally: tallyOf(s), answer: answer(err)}
	}
	return callResult{tally: tallyOf(c.inspect()), answer: answer(nil)}
}

// inspect is Memory.Inspect on the caller's own clock, which the history records.
func (c *caller) inspect() Snapshot {
	h := c.own
	h.record.lockAndFold()
	defer h.record.publishAndUnlock(h.memory, h.name)
	return h.record.record.Snapshot(h.name, h.memory.nowMS())
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

// sequence is the pure machine after a sequence of calls.
type sequence struct {
	record *Record
	text   string
	latest int64 // the latest time at which a call was decided
}

// model returns the pure machine as a sequential specification.
func model(p *Rules) porcupine.Model {
	return porcupine.Model{
		Init:  func() any { return sequence{record: &Record{}} },
		Equal: func(a, b any) bool { return a.(sequence).text == b.(sequence).text },
		Step: func(state, input, output any) (bool, any) {
			s, op := state.(sequence), input.(call)
			next := sequence{record: s.record.deepCopy(), latest: max(s.latest, op.now)}
			if got := next.apply(p, op); got != output.(callResult) {
				return false, nil
			}
			next.text = fmt.Sprint(next.latest, next.record.Fields())
			return true, next
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v %+v", in, out) },
		DescribeState:     func(s any) string { return s.(sequence).text },
	}
}

// apply returns the result of the machine.
func (s *sequence) apply(p *Rules, op call) callResult {
	now := op.now
	if !op.locked && (now == 0 || op.kind == reports && s.record.shape.Kind != windowTime) {
		now = s.latest // decided without the clock: any time is right
	}
	switch op.kind {
	case asks:
		r := s.record.Step(p, now, op.rnd, Batch{Admissions: 1})
		switch {
		case r.Granted > 0:
			return callResult{ticket: Ticket{r.Epoch, r.FirstLease}, answer: admitted}
		case r.AdmitsUncounted():
			return callResult{answer: admitted}
		}
		return callResult{answer: string(r.reason())}
	case reports:
		if !op.ticket.Counted() || op.outcome == Ignored && op.ticket.Lease == 0 {
			return callResult{answer: admitted}
		}
		r := s.record.Step(p, now, op.rnd, Batch{Results: []Result{{op.ticket, []Run{{op.outcome, 1}}}}})
		return callResult{stale: r.Stale > 0, answer: admitted}
	case commands:
		_, err := s.record.Control(p, now, op.rnd, op.command)
		return callResult{tally: tallyOf(s.record.Snapshot("", now)), answer: answer(err)}
	}
	return callResult{tally: tallyOf(s.record.Snapshot("", now)), answer: admitted}
}

// deepCopy returns a copy that shares no memory with r.
func (r *Record) deepCopy() *Record {
	var c Record
	c.become(r)
	return &c
}

// checkHistories runs histories until one is not linearizable. It returns how many
// it ran and whether all were linearizable.
func checkHistories(t *testing.T, p Policy, n int, breaks fault) (int, bool) {
	t.Helper()
	for i := range n {
		s, all := newSharedRecord(t, p, uint64(i), breaks)
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
		switch verdict, info := porcupine.CheckOperationsVerbose(model(&s.rules), history, longestCheck); verdict {
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
	if !shakeSchedule(t) {
		t.Log("the schedule is the runtime's; a build with the race detector shakes it")
	}
	for i, p := range linearPolicies {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if n, ok := checkHistories(t, p, *histories, nil); !ok {
				t.Fatalf("history %d is not linearizable", n)
			}
		})
	}
}
