package engine_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/engine"
)

// alone is one goroutine's calls through two handles on one record in memory,
// beside the pure machine. The twins take their lock with each step; here most
// calls take none, so stripes fill and phases end in any way that the clock, an
// operator or the other handle has.
type alone struct {
	now     int64 // nanoseconds of the engine's clock
	rnd     int64
	memory  *engine.Memory
	handles [2]engine.Handle
	rules   [2]engine.Rules
	pure    engine.Record
	tickets []engine.Ticket
}

func newAlone(t *rapid.T) *alone {
	w := &alone{now: start * int64(time.Millisecond)}
	w.memory = engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(w.now - 1) }))
	w.memory.SetRandom(func() int64 { return w.rnd })
	for i := range w.handles {
		p := rapid.SampledFrom(twinPolicies).Draw(t, "policy")
		p.MinReporters = 1
		h, err := w.memory.Bind("alone", p, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.handles[i] = h
		w.rules[i], _ = p.Rules()
	}
	return w
}

func (w *alone) ms() int64 { return w.now / int64(time.Millisecond) }

func (w *alone) draw(t *rapid.T) int {
	w.rnd = rapid.Int64Range(0, 1<<20-1).Draw(t, "rnd")
	return rapid.IntRange(0, 1).Draw(t, "who")
}

// acquire asks both, and holds tickets and rejections against each other.
func (w *alone) acquire(t *rapid.T) {
	i := w.draw(t)
	want := w.pure.Step(&w.rules[i], w.ms(), w.rnd, engine.Batch{Admissions: 1})
	got, err := w.handles[i].Acquire(context.Background())
	var rejected *engine.RejectedError
	if errors.As(err, &rejected) {
		if want.Granted > 0 || want.AdmitsUncounted() {
			t.Fatalf("rejected: %v, the machine admits: %+v", err, want)
		}
		if rejected.State != want.State || rejected.Mode != want.Mode {
			t.Fatalf("rejected in %v, %v, want %v, %v", rejected.State, rejected.Mode, want.State, want.Mode)
		}
		left := time.Duration(want.LeftMS) * time.Millisecond
		if rejected.RetryAfter() != left {
			t.Fatalf("rejected for %v, want %v", rejected.RetryAfter(), left)
		}
		return
	}
	if err != nil || want.Granted == 0 && !want.AdmitsUncounted() {
		t.Fatalf("ticket %+v, error %v; the machine says %+v", got, err, want)
	}
	ticket := engine.Ticket{}
	if want.Granted > 0 {
		ticket = engine.Ticket{Epoch: want.Epoch, Lease: want.FirstLease}
	}
	if got != ticket {
		t.Fatalf("ticket %+v, want %+v", got, ticket)
	}
	w.tickets = append(w.tickets, got)
}

// report settles a ticket, perhaps not for the first time.
func (w *alone) report(t *rapid.T, o engine.Outcome) {
	i := w.draw(t)
	ticket := engine.Ticket{Epoch: rapid.Int64Range(1, 1<<52).Draw(t, "epoch")}
	if n := len(w.tickets); n > 0 && rapid.IntRange(0, 9).Draw(t, "foreign") > 0 {
		ticket = w.tickets[n-1-min(n-1, rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "back"))]
	}
	if rapid.IntRange(0, 9).Draw(t, "leased") == 0 {
		ticket.Lease = 1
	}
	at := rapid.SampledFrom([]int64{0, w.now}).Draw(t, "at")
	got, err := w.handles[i].Report(context.Background(), ticket, o, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !ticket.Counted() || o == engine.Ignored && ticket.Lease == 0 {
		return // is not sent
	}
	want := w.step(i, ticket, o)
	if got != (want.Stale > 0) {
		t.Fatalf("%v for %+v: stale %v; the machine says %+v", o, ticket, got, want)
	}
}

func (w *alone) step(i int, ticket engine.Ticket, o engine.Outcome) engine.Reply {
	return w.pure.Step(&w.rules[i], w.ms(), w.rnd, outcome(ticket, o))
}

func outcome(ticket engine.Ticket, o engine.Outcome) engine.Batch {
	return engine.Batch{Results: []engine.Result{{Ticket: ticket, Runs: []engine.Run{{Outcome: o, N: 1}}}}}
}

// back moves the clock back, for a while. In closed and without a time window
// calls do not look at the clock, and so do not notice: a step through the lock
// does.
func (w *alone) back(t *rapid.T) {
	w.now -= rapid.SampledFrom([]int64{1, 999_999, 5e8, 3e9, 9_500e6, 2e10, 4e12}).Draw(t, "ns")
	s := w.pure.Snapshot("", w.ms())
	if s.Exists && s.State == engine.StateClosed && s.Mode == engine.ModeAuto && !w.periodic() {
		i := w.draw(t)
		ticket := engine.Ticket{Epoch: s.Epoch}
		if _, err := w.handles[i].Step(context.Background(), outcome(ticket, engine.Success)); err != nil {
			t.Fatal(err)
		}
		w.step(i, ticket, engine.Success)
	}
	w.acquire(t)
	w.report(t, engine.Success)
	w.now += rapid.SampledFrom([]int64{0, 1e6, 5e8, 1e10}).Draw(t, "forth")
}

// periodic reports whether the record has a time window.
func (w *alone) periodic() bool {
	return slices.ContainsFunc(w.pure.Fields(), func(f engine.Field) bool {
		return f.Name == "tally" && strings.Contains(f.Value, " win=time/")
	})
}

func (w *alone) control(t *rapid.T) {
	i := w.draw(t)
	c := drawCommand(t, w.pure.Snapshot("", w.ms()).Epoch)
	_, want := w.pure.Control(&w.rules[i], w.ms(), w.rnd, c)
	if _, err := w.handles[i].Control(context.Background(), c); !errors.Is(err, want) {
		t.Fatalf("control: %v, want %v", err, want)
	}
	w.compare(t)
}

// lifetime matches the parts of a tally that have no effect in memory.
var lifetime = regexp.MustCompile(` fast=\d+/\d+ expires=\d+`)

// compare holds the records against each other, which folds the stripes.
func (w *alone) compare(t *rapid.T) {
	want, got := w.pure.Fields(), w.memory.Record("alone")
	for _, fields := range [][]engine.Field{want, got} {
		for i := range fields {
			fields[i].Value = lifetime.ReplaceAllString(fields[i].Value, " fast=0/0 expires=0")
		}
	}
	if diff := cmp.Diff(canonical(t, want), canonical(t, got)); diff != "" {
		t.Fatalf("record (-pure +memory):\n%s", diff)
	}
}

func (w *alone) run(t *rapid.T) {
	calls := func(t *rapid.T) {
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			w.acquire(t)
			w.report(t, engine.Success)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"calls":   calls,
		"more":    calls,
		"acquire": w.acquire,
		"report": func(t *rapid.T) {
			w.report(t, rapid.SampledFrom([]engine.Outcome{engine.Success, engine.Failure, engine.Ignored,
				engine.SlowSuccess, engine.SlowFailure}).Draw(t, "outcome"))
		},
		"fail": func(t *rapid.T) {
			w.acquire(t)
			w.report(t, engine.Failure)
		},
		"wait": func(t *rapid.T) {
			w.now += rapid.SampledFrom([]int64{1, 999_999, 1e6, 1e9, 2_500e6, 6e10, 61e9, 3600e9}).Draw(t, "ns")
		},
		"until": func(t *rapid.T) {
			if left := w.pure.Snapshot("", w.ms()).RetryAfter; left > 0 {
				end := (w.ms() + left.Milliseconds()) * int64(time.Millisecond)
				w.now = end + rapid.Int64Range(-1, 1).Draw(t, "off")
			}
		},
		"back":    w.back,
		"control": w.control,
		"compare": w.compare,
	})
	w.compare(t)
}

func TestMemory_alone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { newAlone(t).run(t) })
}
