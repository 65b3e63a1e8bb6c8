package storage_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// Goroutines of two processes call breakers in one Redis, and share steps and
// round trips. Their answers must be those of the pure machine for the same calls,
// one after another, in an order in which no call comes before one that had
// returned when it began.

var (
	histories = flag.Int("histories", 8, "concurrent histories of each policy and server to check")
	visualize = flag.String("visualize", "", "where to write a history that is not linearizable, as HTML")
)

const (
	abreast      = 4 // breakers at a time, so that calls of several leave together
	callsOfEach  = 9
	ticksOfEach  = 8
	longestCheck = 20 * time.Second

	// mutantHistories is how many concurrent histories a fault may hide from. One
	// is looked at for shortCheck only: it takes longer to see that there is no
	// order than to find one, and others will show the fault sooner.
	mutantHistories = 400
	shortCheck      = time.Second
	// fewestSteps is how many steps the checker tries before it gives up. A fault
	// shows after a few thousand to some ten thousand.
	fewestSteps = 50_000
)

// goroutines is how many of each process call a breaker.
var goroutines = []int{4, 2}

// brief policies pass through every phase while the clock ticks.
var brief = []engine.Policy{
	{ConsecutiveFailures: 2, OpenFor: 3 * time.Millisecond},
	{ConsecutiveFailures: 3, OpenFor: 2 * time.Millisecond, HalfOpen: engine.HalfOpen{Probes: 3, Successes: 2, Lease: 4 * time.Millisecond}},
	{Window: engine.Window{Period: 30 * time.Millisecond, FailureRate: 0.4, MinCalls: 3}, OpenFor: 2 * time.Millisecond, HalfOpen: engine.HalfOpen{Probes: 2}},
	{Window: engine.Window{Calls: 8, FailureCount: 3}, MinReporters: 2, OpenFor: 2 * time.Millisecond},
}

// hourly policies change state by results and commands alone, within a test: they
// are for a server whose clock a test cannot move.
var hourly = []engine.Policy{
	{ConsecutiveFailures: 2, OpenFor: time.Hour},
	{ConsecutiveFailures: 3, OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Probes: 4, Successes: 3}},
	{Window: engine.Window{Calls: 5, FailureRate: 0.5, MinCalls: 3}, OpenFor: time.Hour, HalfOpen: engine.HalfOpen{Probes: 2}},
	{Window: engine.Window{Calls: 8, FailureCount: 3}, MinReporters: 2, OpenFor: time.Hour},
}

func TestRedis_linearizableOnMiniredis(t *testing.T) {
	for i, p := range brief {
		t.Run(fmt.Sprint(i), func(t *testing.T) { wantLinearizable(t, newTickingSea(t), p, nil) })
	}
}

func TestRedis_linearizable(t *testing.T) {
	addr := redistest.Addr(t) // skips here, once, if there is no server
	for i, p := range hourly {
		t.Run(fmt.Sprint(i), func(t *testing.T) { wantLinearizable(t, newSea(t, addr, redistest.Namespace(t)), p, nil) })
	}
}

// Replies that are read wrongly must be found out, or the proof proves nothing.
func TestRedis_linearizableMutants(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: it tests the checker, which works in one goroutine and takes minutes under the race detector")
	}
	p := engine.Policy{ConsecutiveFailures: 3, OpenFor: 2 * time.Millisecond, HalfOpen: engine.HalfOpen{Probes: 3, Successes: 2}}
	t.Run("none", func(t *testing.T) { wantLinearizable(t, newTickingSea(t), p, storage.Rightly) })
	for what, misread := range storage.Misreads {
		t.Run(what, func(t *testing.T) {
			n, ok := newTickingSea(t).check(t, p, mutantHistories, shortCheck, misread)
			if ok {
				t.Fatalf("not found out in %d histories", n)
			}
			t.Logf("found out by history %d", n)
		})
	}
}

// wantLinearizable also wants probes and stale results to be among what was
// called, and calls to have been shared: or it was not about that. Rare calls get more
// histories to happen in.
func wantLinearizable(t *testing.T, s *sea, p engine.Policy, read storage.Misread) {
	t.Helper()
	for range 5 {
		if n, ok := s.check(t, p, *histories, longestCheck, read); !ok {
			t.Fatalf("history %d is not linearizable", n)
		}
		calls, scripts, pipelines := s.calls.Load(), s.scripts.Load(), s.pipelines.Load()
		t.Logf("%d operations in %d script calls, %d pipelines; %d probes, %d stale results", calls, scripts, pipelines, s.probes.Load(), s.stale.Load())
		if scripts < calls && pipelines > 0 && s.probes.Load() > 0 && s.stale.Load() > 0 {
			return
		}
	}
	t.Error("there are none of some of these, or nothing was shared")
}

// The kinds of calls, and the answers besides the reason of a rejection.
const (
	asks     = "acquire"
	reports  = "report"
	batches  = "step"
	orders   = "control"
	inspects = "inspect"
	ticks    = "tick"

	admitted = "admitted"
	refused  = "forced mode"
	failed   = "failed" // which no call may
)

// call is one operation.
type call struct {
	kind     string
	ticket   engine.Ticket
	outcome  engine.Outcome
	detail   engine.Detail
	reporter string
	command  engine.Command
	passes   time.Duration
}

// one returns the batch of a report.
func (op call) one() engine.Batch {
	return engine.Batch{
		Results:  []engine.Result{{Ticket: op.ticket, Runs: []engine.Run{{Outcome: op.outcome, N: 1}}}},
		Reporter: op.reporter, Detail: op.detail,
	}
}

// several returns the batch of a step that is not shared.
func (op call) several() engine.Batch {
	b := op.one()
	b.Admissions = 2
	return b
}

// answered is the result of a call.
type answered struct {
	answer                  string
	ticket                  engine.Ticket // the first one, if several were asked for
	granted, applied, stale int64
	epoch                   int64
	tally                   [5]int64
}

// stepped returns the result of a step of several operations.
func stepped(r engine.Reply, err error) answered {
	out := answered{granted: r.Granted, applied: r.Applied, stale: r.Stale, answer: answer(err)}
	if r.Granted > 0 {
		out.ticket = engine.Ticket{Epoch: r.Epoch, Lease: r.FirstLease}
	}
	return out
}

// shown returns the result of an inspection.
func shown(s engine.Snapshot, err error) answered {
	return answered{epoch: s.Epoch, tally: [5]int64{int64(s.State), s.Streak, s.Calls, s.Failures, s.Slow}, answer: answer(err)}
}

func answer(err error) string {
	var rejected *engine.RejectedError
	switch {
	case err == nil:
		return admitted
	case errors.As(err, &rejected):
		return string(rejected.Reason)
	case errors.Is(err, engine.ErrForced):
		return refused
	}
	return failed
}

// ---- two processes and their traffic ----

// sea is a server and two processes that use it. It is a hook of their clients,
// too, which holds calls up and counts them.
type sea struct {
	stores []*storage.Redis
	now    int64               // the server's time in ms, as far as the test moves it
	move   func(time.Duration) // moves it; nil if it passes by itself

	order    atomic.Int64 // numbers the beginnings and ends of calls
	breakers int

	calls, probes, stale atomic.Int64
	scripts, pipelines   atomic.Int64
}

// newSea makes two processes on a server: one with a client that keeps to
// contexts by itself, and one without.
func newSea(t *testing.T, addr, namespace string) *sea {
	t.Helper()
	s := &sea{now: time.Now().UnixMilli()}
	for i, inline := range []bool{true, false} {
		rdb := open(t, &redis.Options{Addr: addr, ContextTimeoutEnabled: inline})
		rdb.AddHook(s)
		s.stores = append(s.stores, newStorage(t, rdb, storage.WithNamespace(namespace), storage.WithReporter(reporter(i))))
	}
	return s
}

func reporter(process int) string { return fmt.Sprint("web-", process) }

// newTickingSea makes two processes on a miniredis, whose time the test moves.
func newTickingSea(t *testing.T) *sea {
	t.Helper()
	m := miniredis.RunT(t)
	s := newSea(t, m.Addr(), fleet)
	now := time.UnixMilli(s.now)
	m.SetTime(now)
	s.move = func(d time.Duration) {
		now = now.Add(d)
		m.SetTime(now)
	}
	return s
}

func (s *sea) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *sea) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.travels(cmd)
		defer s.travels()
		return next(ctx, cmd)
	}
}

func (s *sea) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 1 {
			s.pipelines.Add(1)
		}
		s.travels(cmds...)
		defer s.travels()
		return next(ctx, cmds)
	}
}

// travels takes a while, so that others go first.
func (s *sea) travels(cmds ...redis.Cmder) {
	for _, cmd := range cmds {
		if cmd.Name() == "evalsha" {
			s.scripts.Add(1)
		}
	}
	time.Sleep(rand.N(300 * time.Microsecond))
}

// ---- histories ----

// check runs histories until one is not linearizable, and returns how many it
// ran and whether all were.
func (s *sea) check(t *testing.T, p engine.Policy, n int, longest time.Duration, read storage.Misread) (int, bool) {
	t.Helper()
	rules, err := p.Rules()
	must(t, err)
	for i := 0; i < n; i += abreast {
		machine := model(&rules, s.now)
		for j, history := range s.run(t, p, read) {
			switch result, info := checkHistory(machine, history, longest); result {
			case porcupine.Illegal:
				if read == nil && *visualize != "" {
					must(t, porcupine.VisualizePath(machine, info, *visualize))
				}
				return i + j + 1, false
			case porcupine.Unknown:
				t.Logf("history %d was not checked within %v", i+j+1, longest)
			}
		}
	}
	return n, true
}

// checkHistory checks a history for a length of time, or for longer if the machine is
// so busy that the checker gets too little of it to see that there is no order.
func checkHistory(machine porcupine.Model, history []porcupine.Operation, longest time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	var steps atomic.Int64
	step := machine.Step
	machine.Step = func(state, input, output any) (bool, any) {
		steps.Add(1)
		return step(state, input, output)
	}
	for {
		steps.Store(0)
		result, info := porcupine.CheckOperationsVerbose(machine, history, longest)
		if result != porcupine.Unknown || steps.Load() >= fewestSteps {
			return result, info
		}
		longest *= 2
	}
}

// run has goroutines call a few breakers, and returns each breaker's history.
func (s *sea) run(t *testing.T, p engine.Policy, read storage.Misread) [][]porcupine.Operation {
	t.Helper()
	var all []*breaker
	var runs []func()
	for range abreast {
		b := s.newBreaker(t, p, read)
		all = append(all, b)
		for _, c := range b.callers {
			runs = append(runs, c.run)
		}
	}
	var passing []porcupine.Operation
	if s.move != nil {
		runs = append(runs, func() { passing = s.tick() })
	}
	atOnce(runs)
	var list [][]porcupine.Operation
	for _, b := range all {
		list = append(list, append(b.history, passing...))
	}
	return list
}

func atOnce(runs []func()) {
	together := make(chan struct{})
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-together
			run()
		}()
	}
	close(together)
	wg.Wait()
}

// tick lets time pass, for all breakers.
func (s *sea) tick() []porcupine.Operation {
	var history []porcupine.Operation
	for range ticksOfEach {
		time.Sleep(rand.N(2 * time.Millisecond))
		op := call{kind: ticks, passes: time.Duration(rand.N(3)) * time.Millisecond}
		o := porcupine.Operation{Input: op, Output: answered{answer: admitted}, Call: s.order.Add(1)}
		s.move(op.passes)
		s.now += op.passes.Milliseconds()
		o.Return = s.order.Add(1)
		history = append(history, o)
	}
	return history
}

// breaker is one record, and those who call it.
type breaker struct {
	*sea
	name    string
	callers []*goroutine

	mu      sync.Mutex
	history []porcupine.Operation
	shared  []engine.Ticket // tickets that others may settle, too
}

// newBreaker binds a breaker of its own, one handle for each process.
func (s *sea) newBreaker(t *testing.T, p engine.Policy, read storage.Misread) *breaker {
	t.Helper()
	s.breakers++
	b := &breaker{sea: s, name: fmt.Sprint("b", s.breakers)}
	for process, n := range goroutines {
		h, err := s.stores[process].Bind(b.name, p, nil)
		must(t, err)
		if read != nil {
			read.By(h)
		}
		for range n {
			id := 1 + len(b.callers) // the clock is 0
			b.callers = append(b.callers, &goroutine{breaker: b, Handle: h, store: s.stores[process], id: id, reporter: reporter(process)})
		}
	}
	return b
}

// goroutine calls a breaker through the handle of its process.
type goroutine struct {
	*breaker
	engine.Handle
	store    *storage.Redis
	id       int
	reporter string
	mine     []engine.Ticket
}

func (g *goroutine) run() {
	for range callsOfEach {
		op := g.choose()
		o := porcupine.Operation{ClientId: g.id, Input: op, Call: g.order.Add(1)}
		out := g.do(op)
		o.Output, o.Return = out, g.order.Add(1)
		g.note(o, out)
	}
}

func (g *goroutine) note(o porcupine.Operation, out answered) {
	g.calls.Add(1)
	g.stale.Add(out.stale)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.history = append(g.history, o)
	if out.ticket.Counted() {
		g.mine = append(g.mine, out.ticket)
		g.shared = append(g.shared, out.ticket)
	}
	if out.ticket.Lease > 0 {
		g.probes.Add(1)
	}
}

// choose picks the next call: mostly admissions and their results, some late or
// doubled, now and then an operator's command.
func (g *goroutine) choose() call {
	switch n := rand.N(30); {
	case n < 2:
		return call{kind: orders, command: g.command()}
	case n == 2:
		return call{kind: inspects}
	case n < 5:
		if t, ok := g.borrow(); ok {
			return g.result(reports, t)
		}
	case n == 5:
		if t, ok := g.borrow(); ok {
			return g.result(batches, t)
		}
	case n < 18 && len(g.mine) > 0:
		t := g.mine[0]
		g.mine = g.mine[1:]
		return g.result(reports, t)
	}
	return call{kind: asks}
}

// command is any, but mostly one that begins a round of probes. It lasts no time
// that the model cannot know.
func (g *goroutine) command() engine.Command {
	cmd := engine.Command{Action: engine.ActionHalfOpen}
	if rand.N(2) == 0 {
		cmd.Action = engine.ActionTrip + rand.N(engine.ActionRelease)
	}
	if g.move != nil {
		cmd.For = time.Duration(rand.N(4)) * time.Millisecond
	}
	if cmd.Validate() != nil { // this one has no end
		cmd.For = 0
	}
	return cmd
}

func (g *goroutine) result(kind string, t engine.Ticket) call {
	op := call{kind: kind, ticket: t, reporter: g.reporter, outcome: outcomes[rand.N(len(outcomes))]}
	if op.outcome == engine.Failure && rand.N(4) == 0 { // which shares no step with others
		op.detail = engine.Detail{OpenFor: 5 * time.Millisecond, Text: "503"}
		if g.move == nil { // the open time ends at no moment that the model knows
			op.detail.OpenFor = time.Hour
		}
	}
	return op
}

var outcomes = []engine.Outcome{
	engine.Success, engine.Success, engine.Success, engine.Success, engine.Success,
	engine.Failure, engine.Failure, engine.Failure, engine.Ignored, engine.SlowFailure,
}

func (g *goroutine) borrow() (engine.Ticket, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.shared) == 0 {
		return engine.Ticket{}, false
	}
	return g.shared[len(g.shared)-1-rand.N(min(len(g.shared), 4))], true
}

func (g *goroutine) do(op call) answered {
	switch op.kind {
	case asks:
		t, err := g.Acquire(ctx)
		return answered{ticket: t, answer: answer(err)}
	case reports:
		stale, err := g.Report(ctx, op.ticket, op.outcome, 0, &op.detail)
		out := answered{answer: answer(err)}
		if stale {
			out.stale = 1
		}
		return out
	case batches:
		return stepped(g.Step(ctx, op.several()))
	case orders:
		return shown(g.Control(ctx, op.command))
	}
	return shown(g.store.Inspect(ctx, g.name))
}

// ---- the model ----

// sequence is the pure machine after some calls. Its epochs are not the
// storage's, whose random parts it does not know: it learns them from the first answer.
type sequence struct {
	fields []engine.Field
	now    int64
	epochs map[int64]int64 // the storage's, by the machine's
	text   string
}

// foreign is an epoch that the machine never has.
const foreign = 1

// model is the pure machine, which takes one call at a time, from the time now on.
func model(rules *engine.Rules, now int64) porcupine.Model {
	observer := engine.NewTracker("", rules, func() int64 { return 1 }, nil)
	return porcupine.Model{
		Init:  func() any { return sequence{now: now} },
		Equal: func(a, b any) bool { return a.(sequence).text == b.(sequence).text },
		Step: func(state, input, output any) (bool, any) {
			s, got := state.(sequence), output.(answered)
			r, err := engine.ParseRecord(s.fields)
			if err != nil {
				return false, nil
			}
			want := s.apply(&r, rules, observer, input.(call))
			if !s.learn(&want.epoch, got.epoch) || !s.learn(&want.ticket.Epoch, got.ticket.Epoch) || want != got {
				return false, nil
			}
			s.fields = r.Fields()
			s.text = fmt.Sprint(s.now, s.fields, s.epochs)
			return true, s
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v %+v", in, out) },
		DescribeState:     func(s any) string { return s.(sequence).text },
	}
}

// apply runs a call on the machine, with an epoch of the machine's own.
func (s *sequence) apply(r *engine.Record, rules *engine.Rules, observer *engine.Tracker, op call) answered {
	op.ticket.Epoch = s.own(op.ticket.Epoch)
	switch op.kind {
	case ticks:
		s.now += op.passes.Milliseconds()
		return answered{answer: admitted}
	case asks:
		reply := r.Step(rules, s.now, 0, engine.Batch{Admissions: 1})
		t, err := observer.Decision(&reply, 0)
		return answered{ticket: t, answer: answer(err)}
	case reports:
		if !op.ticket.Counted() || op.outcome == engine.Ignored && op.ticket.Lease == 0 {
			return answered{answer: admitted} // it is not sent
		}
		return answered{stale: r.Step(rules, s.now, 0, op.one()).Stale, answer: admitted}
	case batches:
		return stepped(r.Step(rules, s.now, 0, op.several()), nil)
	case orders:
		_, err := r.Control(rules, s.now, 0, op.command)
		return shown(r.Snapshot("", s.now), err)
	}
	return shown(r.Snapshot("", s.now), nil)
}

// learn makes an epoch of the machine the storage's. It reports whether got,
// from an answer, can be it.
func (s *sequence) learn(epoch *int64, got int64) bool {
	if *epoch <= 0 {
		return *epoch == got // there is no record, or no ticket
	}
	known := s.epochs[*epoch]
	if known == 0 && s.own(got) == foreign {
		epochs := map[int64]int64{*epoch: got}
		maps.Copy(epochs, s.epochs)
		s.epochs, known = epochs, got
	}
	*epoch = known
	return known == got
}

// own is the machine's epoch for one of the storage's.
func (s *sequence) own(theirs int64) int64 {
	if theirs <= 0 {
		return theirs
	}
	for own, known := range s.epochs {
		if known == theirs {
			return own
		}
	}
	return foreign
}
