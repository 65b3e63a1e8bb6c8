package engine

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The exploration: every state that a few operations can reach, breadth first
// over the shipped machine, with all that the machine promises checked in each.
// A state that was seen before is not gone into again, and many look alike to the
// machine (see explorer.key), so most plans come to an end: there is no more to
// see. The others go to a stated depth, and what holds there holds after every
// sequence of so many operations. Run with -v to see how many states there were.

var deep = flag.Bool("explore.deep", false, "explore to the end or several operations deeper; takes minutes and some GB")

// plan says what one exploration varies, and how far it goes.
type plan struct {
	name     string
	policies []Policy // of host a, of host b
	begin    Command  // how the record begins; none: made by the first step
	holders  int      // processes, each of which holds one ticket at most
	outcomes []Outcome
	commands []Command
	clocks   []int64 // by how much the clock moves, but for the ends of times
	tallied  int64   // outcomes of an epoch, where nothing else bounds them; 0: any
	rollback bool
	depth    int // in operations; 0, the usual case: until no state is left
	deep     int // the same, with -explore.deep
}

// explorer is an exploration in progress.
type explorer struct {
	plan
	machine      subject
	only         invariant // check no other; none: all
	visit        func(*node)
	ruled        []Rules
	random       int64
	phase        int64 // the clock's place in a bucket matters
	longestRow   int64 // of opens, that the policies tell apart
	furthestBack int64

	// Records to work on: one for each purpose, so that none is allocated twice.
	next, base, whole, parts, other Record

	text     []byte // of a key
	seen     map[key]bool
	steps    int
	depth    int  // that was reached
	complete bool // nothing is left beyond it
	broken   *violation
}

// node is a state and how it was reached.
type node struct {
	exploredState
	*path
}

type path struct {
	earlier *path
	op      op
}

func (p *path) String() string {
	var ops []string
	for ; p != nil; p = p.earlier {
		ops = append(ops, p.op.String())
	}
	slices.Reverse(ops)
	return strings.Join(ops, "\n")
}

// violation is a promise that was broken, and the shortest way to break it.
type violation struct {
	invariant invariant
	text      string
	path      *path
	worlds    string
}

func (v *violation) Error() string {
	return fmt.Sprintf("%s: %s\nafter\n%v\n%s", v.invariant, v.text, v.path, v.worlds)
}

// startTime is far enough from 0 for a clock that goes back.
const startTime = 1 << 30

func newExplorer(p plan, machine subject) *explorer {
	x := &explorer{plan: p, machine: machine, seen: map[key]bool{}, random: 512 << 10, longestRow: 1}
	for _, policy := range p.policies {
		rules, err := policy.Rules()
		if err != nil {
			panic(err)
		}
		x.ruled = append(x.ruled, rules)
		if rules.Window.Kind == windowTime {
			x.phase = rules.Window.bucketMS()
		}
		if rules.Multiplier > scale {
			x.longestRow = 4
		}
	}
	for _, by := range p.clocks {
		x.furthestBack = max(x.furthestBack, -by)
	}
	return x
}

// hosts is how many hosts differ: in what they are called, or in their policy.
func (x *explorer) hosts() int {
	if x.ruled[0].Reporters > 1 || len(x.ruled) > 1 {
		return len(hosts)
	}
	return 1
}

func (x *explorer) rules(by int) *Rules { return &x.ruled[by%len(x.ruled)] }

// start is the first state.
func (x *explorer) start() node {
	w := exploredState{now: startTime}
	if x.begin.Action > 0 {
		w.rec.Control(&x.ruled[0], w.now, 0, x.begin)
		w.ledger.epoch = w.rec.epoch
	}
	return node{exploredState: w}
}

// explore goes through all worlds, level by level, until a promise is broken.
func (x *explorer) explore() {
	level := []node{x.start()}
	x.seen[x.key(&level[0].exploredState)] = true
	x.checkState(&level[0])
	for x.broken == nil && len(level) > 0 && (x.plan.depth == 0 || x.depth < x.plan.depth) {
		x.depth++
		var next []node
		known := len(x.seen)
		for i := range level {
			next = x.expand(&level[i], next)
			if x.broken != nil {
				return
			}
		}
		level = next
		x.complete = len(x.seen) == known
	}
}

// expand adds to next the worlds after n that are new. The last level is checked
// but not kept.
func (x *explorer) expand(n *node, next []node) []node {
	last := x.depth == x.plan.depth
	for _, o := range x.operations(&n.exploredState) {
		e := x.apply(&n.exploredState, o)
		x.steps++
		x.checkEffect(n, &e)
		if k := x.key(&e.after); !x.seen[k] {
			x.seen[k] = true
			found := node{e.after, &path{n.path, o}}
			found.rec = e.after.rec.clone()
			x.checkState(&found)
			if !last {
				next = append(next, found)
			}
		}
		if x.broken != nil {
			break
		}
	}
	return next
}

func (x *explorer) String() string {
	extent := fmt.Sprintf("all that %d operations reach", x.depth)
	if x.complete {
		extent = "all there are"
	}
	return fmt.Sprintf("%d states, %d steps: %s", len(x.seen), x.steps, extent)
}

var (
	allCommands = []Command{
		{Action: ActionTrip}, {Action: ActionTrip, For: 2 * time.Millisecond}, {Action: ActionHalfOpen}, {Action: ActionReset},
		{Action: ActionForceOpen}, {Action: ActionForceOpen, For: 4 * time.Millisecond},
		{Action: ActionForceClosed}, {Action: ActionForceClosed, For: 4 * time.Millisecond},
		{Action: ActionShadow}, {Action: ActionShadow, For: 4 * time.Millisecond}, {Action: ActionRelease},
	}
	someCommands = []Command{
		{Action: ActionTrip}, {Action: ActionHalfOpen}, {Action: ActionReset}, {Action: ActionForceOpen, For: 4 * time.Millisecond},
	}
	modeCommands = []Command{
		{Action: ActionTrip}, {Action: ActionForceClosed, For: 4 * time.Millisecond},
		{Action: ActionShadow}, {Action: ActionShadow, For: 4 * time.Millisecond}, {Action: ActionRelease},
	}
)

var (
	fast    = []Outcome{Success, Failure, Ignored}
	demands = []Outcome{Success, Failure, Ignored, TripNow}
	slowToo = []Outcome{Success, Failure, Ignored, SlowSuccess, SlowFailure}
)

// quick makes a policy's times short, so that few instants lie between them, and
// IdleTTL shorter still, so that nothing but its rule keeps a record long enough.
func quick(p Policy) Policy {
	p.OpenFor = 5 * time.Millisecond
	p.HalfOpen.Lease = 3 * time.Millisecond
	p.IdleTTL = time.Millisecond
	return p
}

func one(p Policy) []Policy { return []Policy{quick(p)} }

// clocks: forward by less than anything lasts, back by more than a bucket.
var clocks = []int64{2, -3}

var plans = []plan{
	{
		name:     "streaks",
		policies: one(Policy{ConsecutiveFailures: 2}),
		holders:  2, outcomes: demands, commands: allCommands, clocks: clocks,
	},
	{
		name:     "two probes",
		policies: one(Policy{ConsecutiveFailures: 1, HalfOpen: HalfOpen{Probes: 2, Successes: 2}}),
		holders:  3, outcomes: demands, commands: someCommands, clocks: clocks,
	},
	{
		name:     "three probes",
		policies: one(Policy{ConsecutiveFailures: 1, HalfOpen: HalfOpen{Probes: 3, Successes: 2}}),
		begin:    Command{Action: ActionHalfOpen},
		holders:  2, outcomes: fast, commands: someCommands[:2], clocks: clocks,
	},
	{
		name:     "count window",
		policies: one(Policy{Window: Window{Calls: 3, FailureRate: 0.6, MinCalls: 2, SlowCallRate: 1, SlowCallDuration: time.Second}}),
		holders:  2, outcomes: slowToo, commands: someCommands, clocks: clocks,
	},
	{
		name:     "time window",
		policies: one(Policy{Window: Window{Period: 20 * time.Millisecond, FailureRate: 0.6, MinCalls: 3, FailureCount: 3}}),
		holders:  2, outcomes: fast, commands: someCommands[:1], clocks: append(clocks, -25), tallied: 4, depth: 9, deep: 13,
	},
	{
		name:     "two reporters",
		policies: one(Policy{ConsecutiveFailures: 2, MinReporters: 2, Window: Window{Calls: 4, FailureCount: 3}}),
		holders:  2, outcomes: demands, commands: someCommands[:1], clocks: clocks, tallied: 6,
	},
	{
		name:     "start open",
		policies: one(Policy{ConsecutiveFailures: 2, Initial: Initial{State: StateOpen}}),
		holders:  2, outcomes: fast, commands: someCommands, clocks: clocks,
	},
	{
		name:     "start half-open",
		policies: one(Policy{ConsecutiveFailures: 2, Initial: Initial{State: StateHalfOpen}}),
		holders:  2, outcomes: fast, commands: someCommands[:2], clocks: clocks,
	},
	{
		name:     "start in shadow",
		policies: one(Policy{ConsecutiveFailures: 1, Initial: Initial{State: StateOpen, Mode: ModeShadow}}),
		holders:  1, outcomes: fast, commands: modeCommands, clocks: clocks,
	},
	{
		name:     "ramp",
		policies: one(Policy{ConsecutiveFailures: 1, Ramp: Ramp{Over: 8 * time.Millisecond, From: 0.25}}),
		begin:    Command{Action: ActionHalfOpen},
		holders:  2, outcomes: fast, commands: someCommands, clocks: clocks,
	},
	{
		name:     "slow probes",
		policies: one(Policy{Window: Window{Calls: 2, SlowCallRate: 1, SlowCallDuration: time.Second}, HalfOpen: HalfOpen{AllowSlow: true}}),
		begin:    Command{Action: ActionHalfOpen},
		holders:  1, outcomes: slowToo, commands: someCommands[:1], clocks: clocks, depth: 14, deep: 24,
	},
	{
		name:     "shadow",
		policies: one(Policy{ConsecutiveFailures: 1, HalfOpen: HalfOpen{Probes: 2}}),
		begin:    Command{Action: ActionShadow, For: 10 * time.Millisecond},
		holders:  2, outcomes: fast, commands: modeCommands, clocks: clocks,
	},
	{
		name:     "backoff",
		policies: one(Policy{ConsecutiveFailures: 1, Backoff: Backoff{Multiplier: 2, Max: 20 * time.Millisecond, Jitter: 0.5}}),
		holders:  1, outcomes: fast, commands: someCommands, clocks: append(clocks, 30),
	},
	{
		name:     "rollback",
		policies: one(Policy{ConsecutiveFailures: 1, HalfOpen: HalfOpen{Probes: 2, Successes: 2}}),
		holders:  2, outcomes: fast, commands: someCommands[:3], clocks: clocks, rollback: true, depth: 8, deep: 12,
	},
	{
		name: "two policies",
		policies: []Policy{
			quick(Policy{Window: Window{Calls: 3, FailureCount: 2}}),
			quick(Policy{Window: Window{Period: 20 * time.Millisecond, FailureCount: 2}}),
		},
		holders: 2, outcomes: fast, commands: someCommands[:1], clocks: append(clocks, 60_000), tallied: 5, depth: 7, deep: 11,
	},
}

func planNamed(name string) plan {
	i := slices.IndexFunc(plans, func(p plan) bool { return p.name == name })
	return plans[i]
}

func TestExplore(t *testing.T) {
	for _, p := range plans {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.depth = p.bound()
			x := newExplorer(p, shipped)
			x.explore()
			t.Log(x)
			if x.broken != nil {
				t.Fatal(x.broken)
			}
		})
	}
}

// shallow runs are for a first look, and for the race detector, which has nothing
// to find where one goroutine works and takes eight times as long.
func shallow() bool { return testing.Short() || raceEnabled }

// bound is how deep this run goes.
func (p *plan) bound() int {
	switch {
	case *deep:
		return p.deep
	case shallow():
		return 5
	}
	return p.depth
}
