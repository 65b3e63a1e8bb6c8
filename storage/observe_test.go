//go:build go1.25

package storage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

// sightings notes what an observer receives.
type sightings struct {
	mu   sync.Mutex
	list []engine.Observation
}

// observe makes the test see what the handle learns from now on.
func observe(h engine.Handle) *sightings {
	s := &sightings{}
	h.(engine.Observable).Observe(func(o engine.Observation) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = append(s.list, o)
	})
	return s
}

func (s *sightings) take() []engine.Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// describe is a list of observations in words.
func describe(list []engine.Observation) (words []string) {
	for _, o := range list {
		switch {
		case o.Reply != nil:
			words = append(words, fmt.Sprintf("%d admissions, %d outcomes: streak %d, known %t", o.Batch.Admissions, o.Batch.Outcomes(),
				o.Reply.Standing.Streak, o.Reply.Standing.Known))
		case o.Epoch > 0:
			words = append(words, "event")
		default:
			words = append(words, "nothing known")
		}
	}
	return words
}

// A shared step is observed once, as it was sent. It asks for the standing, though none
// of its callers does, and they get it only if they ask.
func TestObserve_sharedStep(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		steps, seen := listen(w), observe(w.handle)
		meanwhile(
			w.admits(t),
			w.ends(t, ticket, engine.Failure, nil, false),
			w.admits(t),
			func() {
				b := batchOf(ticket, engine.Failure)
				r, err := w.handle.Step(ctx, b)
				must(inGoroutine(t), err)
				if r.Standing.Streak != 2 || r.Applied != 1 {
					t.Errorf("own reply %+v, want the standing of the shared step and one outcome", r)
				}
			},
		)
		want := []string{"1|?", "1|" + epochOf(ticket) + " f2?"}
		if diff := cmp.Diff(want, steps.take()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		want = []string{"1 admissions, 0 outcomes: streak 0, known true", "1 admissions, 2 outcomes: streak 2, known true"}
		if diff := cmp.Diff(want, describe(seen.take())); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

// One caller of a shared step asks: the step does, and the others do not get it.
func TestObserve_oneOfAStepAsks(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		steps := listen(w)
		step := func(asks bool) func() {
			return func() {
				b := batchOf(ticket, engine.Failure)
				b.AskStanding, b.Reporter = asks, "web-1"
				r, err := w.handle.Step(ctx, b)
				must(inGoroutine(t), err)
				if r.Standing.Known != asks {
					t.Errorf("asked %t, the standing is known: %t", asks, r.Standing.Known)
				}
			}
		}
		meanwhile(w.admits(t), step(false), step(true), step(false))
		want := []string{"1|", "0|" + epochOf(ticket) + " f3?"}
		if diff := cmp.Diff(want, steps.take()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

// A batch of several results keeps its counts by result.
func TestObserve_appliedPerResult(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		observe(w.handle)
		b := batchOf(engine.Ticket{Epoch: 7}, engine.Failure)
		b.Results = append(b.Results, batchOf(ticket, engine.Failure).Results...)
		meanwhile(w.admits(t), func() {
			r, err := w.handle.Step(ctx, b)
			must(inGoroutine(t), err)
			if diff := cmp.Diff([]int64{0, 1}, r.AppliedPerResult); diff != "" {
				t.Errorf("applied (-want +got):\n%s", diff)
			}
		})
	})
}

// The age of a reply counts from when its step was sent: not from when its caller came,
// which may have waited for the step before, and not from when the reply came.
func TestObserve_asked(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		listen(w)
		seen, start := observe(w.handle), w.handle.Now()
		meanwhile(w.admits(t), w.admits(t))
		list := seen.take()
		if len(list) != 2 {
			t.Fatalf("%d observations of two steps", len(list))
		}
		for i, want := range []time.Duration{0, 2 * travel} {
			if asked := time.Duration(list[i].AskedNS - start); asked != want {
				t.Errorf("step %d was asked after %v, want %v", i+1, asked, want)
			}
		}
	})
}

// A caller that leaves does not take the observation with it.
func TestObserve_callerLeaves(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		listen(w)
		seen := observe(w.handle)
		short, cancel := context.WithTimeout(ctx, travel/2)
		defer cancel()
		if _, err := w.handle.Acquire(short); err == nil {
			t.Error("the call was admitted before its reply came")
		}
		time.Sleep(10 * travel)
		if diff := cmp.Diff([]string{"1 admissions, 0 outcomes: streak 0, known true"}, describe(seen.take())); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

// A command is observed in its turn, also one whose reply was lost.
func TestObserve_commands(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		listen(w)
		seen := observe(w.handle)
		meanwhile(
			w.admits(t),
			w.command(t, engine.Command{Action: engine.ActionReset}),
			w.ends(t, ticket, engine.Failure, nil, true),
		)
		w.mini.SetError("LOADING")
		if _, err := w.handle.Control(ctx, engine.Command{Action: engine.ActionReset}); err == nil {
			t.Error("the command succeeded on a server that answers no command")
		}
		w.mini.SetError("")
		want := []string{"1 admissions, 0 outcomes: streak 0, known true", "nothing known", "0 admissions, 1 outcomes: streak 0, known true", "nothing known"}
		if diff := cmp.Diff(want, describe(seen.take())); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

// With WithWatch the transition of another process is observed once, when its event
// comes.
func TestObserve_events(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		p := w.watcher(t, opensAtOnce, true)
		ticket := acquire(t, p.handle)
		time.Sleep(time.Second)
		seen := observe(p.handle)
		after, err := w.store.Control(ctx, name, engine.Command{Action: engine.ActionReset})
		must(t, err)
		time.Sleep(time.Second)
		list := seen.take()
		if diff := cmp.Diff([]string{"event"}, describe(list)); diff != "" || list[0].Epoch != after.Epoch {
			t.Fatalf("observed %+v (-want +got):\n%s", list, diff)
		}
		// The push of an own transition may come before the reply or after it.
		if stale, err := p.handle.Report(ctx, ticket, engine.Failure, 0, nil); !stale || err != nil {
			t.Errorf("stale %t, %v", stale, err)
		}
		report(t, p.handle, acquire(t, p.handle), engine.Failure)
		time.Sleep(time.Second)
		list = seen.take()
		opened := inspect(t, w.store).Epoch
		for _, o := range list {
			if o.Epoch != 0 && o.Epoch != opened {
				t.Errorf("an event of epoch %d is observed, want that of the own transition, %d", o.Epoch, opened)
			}
		}
		if last := list[len(list)-1]; last.Reply == nil || last.Reply.Epoch != opened {
			t.Errorf("the last observation is %+v, want the reply to the step that opened the circuit", last)
		}
	})
}
