package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

var errDown = errors.New("down")

func newGroup(t *testing.T, c Config) *Group {
	t.Helper()
	g, err := NewGroup(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// collect returns the values of an instrument that are not 0, one a line.
func collect(g *Group, of *Instrument) string {
	lines := map[string]float64{}
	g.Collect(func(s Sample) {
		if s.Instrument == of && s.Value != 0 {
			lines[strings.Join(slices.DeleteFunc(slices.Clone(s.Values), func(v string) bool { return v == "" }), " ")] += s.Value
		}
	})
	var text strings.Builder
	for _, l := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&text, "%s: %v\n", l, lines[l])
	}
	return text.String()
}

func TestGroup_counts(t *testing.T) {
	g := newGroup(t, Config{Name: "g", Names: []string{"named"}})
	h := g.Hooks()
	ctx := context.Background()
	for _, name := range []string{"named", "other", "another"} {
		h.OnCall(ctx, redbreaker.CallResult{Name: name, Outcome: redbreaker.Success})
	}
	for _, r := range []redbreaker.CallResult{
		{Outcome: redbreaker.SlowSuccess, Stale: true}, {Outcome: redbreaker.Ignored}, {Outcome: redbreaker.Success, WouldReject: true},
		{Outcome: redbreaker.Failure}, {Outcome: redbreaker.TripNow, Err: errDown}, {Outcome: redbreaker.SlowFailure, Err: redbreaker.ErrPanicked},
	} {
		h.OnCall(ctx, r)
	}
	h.OnReject(ctx, &redbreaker.RejectedError{Reason: redbreaker.ReasonRamping})
	h.OnReject(ctx, &redbreaker.RejectedError{Reason: "of a later release"})
	opened := redbreaker.Transition{Name: "named", To: redbreaker.StateOpen, Cause: redbreaker.CauseSlowRate, Own: true}
	foreign, local := opened, opened
	foreign.Own, local.Local = false, true
	for _, m := range []redbreaker.Transition{opened, foreign, local, opened} {
		h.OnTransition(m)
	}
	h.OnAnomaly(redbreaker.Event{Kind: redbreaker.EventLost})
	h.OnAnomaly(redbreaker.Event{Kind: redbreaker.EventDropped, Dropped: 7})
	h.OnAnomaly(redbreaker.Event{Kind: redbreaker.EventStatus})
	for i, want := range map[*Instrument]string{
		Calls: `g failure: 1
g failure *errors.errorString: 1
g ignored: 1
g named success: 1
g rejected ramping: 1
g slow_failure panic: 1
g slow_success: 1
g success: 3
`,
		StaleResults: "g: 1\n", WouldReject: "g: 1\n", DroppedEvents: "g: 7\n", Anomalies: "g lost: 1\n",
		Transitions: "g named closed open slow_rate: 2\n",
	} {
		if diff := cmp.Diff(want, collect(g, i)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", i.Name, diff)
		}
	}
}

// Counting from many goroutines loses nothing, while a reader collects.
func TestGroup_concurrent(t *testing.T) {
	g := newGroup(t, Config{})
	h := g.Hooks()
	var all sync.WaitGroup
	for range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := range 1000 {
				h.OnCall(context.Background(), redbreaker.CallResult{Outcome: redbreaker.Success})
				h.OnCall(context.Background(), redbreaker.CallResult{Outcome: redbreaker.Failure, Err: errDown})
				if n%100 == 0 {
					collect(g, Calls)
				}
			}
		}()
	}
	all.Wait()
	if got := collect(g, Calls); got != "default failure *errors.errorString: 16000\ndefault success: 16000\n" {
		t.Errorf("calls:\n%s", got)
	}
}

func TestGroup_status(t *testing.T) {
	g := newGroup(t, Config{Name: "g", Names: []string{"a"}, Listed: 1})
	r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	g.ObserveRegistry(r)
	for _, name := range []string{"a", "b", "c", "line\nfeed"} {
		b, err := r.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		g.ObserveBreakers(b)
		if name != "a" {
			_ = b.Do(context.Background(), func(context.Context) error { return errDown })
		}
	}
	if diff := cmp.Diff("g a closed: 1\ng b open: 1\ng open: 2\n", collect(g, Status)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("g memory ok: 4\n", collect(g, StorageStatus)); diff != "" {
		t.Errorf("storage.status (-want +got):\n%s", diff)
	}
	if _, err := findObserved(t, g, "line\nfeed").Control(context.Background(), redbreaker.Command{Action: redbreaker.ActionForceOpen}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("g forced_open: 1\n", collect(g, Override)); diff != "" {
		t.Errorf("override (-want +got):\n%s", diff)
	}
}

func findObserved(t *testing.T, g *Group, name string) *redbreaker.Breaker {
	t.Helper()
	for _, b := range g.listObserved() {
		if b.Name() == name {
			return b
		}
	}
	t.Fatalf("%q is not observed", name)
	return nil
}

func TestNewGroup_faults(t *testing.T) {
	_, err := NewGroup(Config{Names: append(make([]string, 32), "a", "a")})
	if !errors.Is(err, redbreaker.ErrInvalid) || strings.Count(err.Error(), "\n") < 33 {
		t.Errorf("faults: %v", err)
	}
}

// Every transition that random calls and commands make exists at 0 before.
func TestTransitions_existAtZero(t *testing.T) {
	known := map[transition]bool{}
	for _, m := range commonTransitions() {
		if known[m] {
			t.Errorf("%+v is listed twice", m)
		}
		known[m] = true
	}
	seen := map[transition]bool{}
	for seed := range uint64(300) {
		makeTransitions(t, rand.New(rand.NewPCG(seed, 1)), func(m redbreaker.Transition) {
			seen[transition{m.From, m.To, m.Cause}] = true
		})
	}
	for m := range seen {
		if !known[m] {
			t.Errorf("%v > %v (%s) is not listed", m.from, m.to, m.cause)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d kinds of transitions were made", len(seen))
	}
}

// makeTransitions uses a breaker in memory at random.
func makeTransitions(t *testing.T, random *rand.Rand, note func(redbreaker.Transition)) {
	t.Helper()
	now := time.Duration(0)
	memory := engine.NewMemory(engine.WithClock(func() time.Duration { return now }))
	p := redbreaker.Policy{
		OpenFor: time.Second, Initial: redbreaker.Initial{State: redbreaker.State(random.IntN(3))},
		HalfOpen: redbreaker.HalfOpen{Probes: 2, Successes: 1},
	}
	switch random.IntN(4) {
	case 0:
		p.ConsecutiveFailures = 2
	case 1:
		p.Window = redbreaker.Window{Calls: 5, FailureCount: 2}
	case 2:
		p.Window = redbreaker.Window{Calls: 5, FailureRate: 0.5, MinCalls: 3}
	case 3:
		p.Window = redbreaker.Window{Calls: 5, SlowCallRate: 0.5, SlowCallDuration: 50 * time.Millisecond, MinCalls: 3}
	}
	h, err := memory.Bind("dep", p, func(e engine.Event) {
		if e.Kind == engine.EventTransition {
			note(e.Transition)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	actions := []engine.Action{
		engine.ActionTrip, engine.ActionHalfOpen, engine.ActionReset, engine.ActionForceOpen, engine.ActionForceClosed, engine.ActionShadow, engine.ActionRelease,
	}
	outcomes := []engine.Outcome{engine.Success, engine.Failure, engine.SlowSuccess, engine.SlowFailure, engine.Failure, engine.TripNow}
	ctx := context.Background()
	for range 100 {
		if random.IntN(10) == 0 {
			_, _ = h.Control(ctx, engine.Command{Action: actions[random.IntN(len(actions))], For: time.Duration(random.IntN(2)) * time.Second})
		}
		now += time.Duration(random.IntN(500)) * time.Millisecond
		if ticket, err := h.Acquire(ctx); err == nil && ticket.Counted() {
			_, _ = h.Report(ctx, ticket, outcomes[random.IntN(len(outcomes))], 0, nil)
		}
	}
}
