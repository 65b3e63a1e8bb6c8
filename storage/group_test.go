//go:build go1.25

package storage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/scripts"
)

// travel is how long a request and a reply take each in these tests, so that
// an operation that begins meanwhile finds a call in flight.
const travel = 10 * time.Millisecond

// stepList records the arguments of script calls, one per line: first the
// operations, then their results.
type stepList struct {
	mu   sync.Mutex
	list []string
}

// listen notes the steps of a bubble whose network has a delay.
func listen(w *bubble) *stepList {
	s := &stepList{}
	w.net.Set(faultproxy.Delay(travel))
	w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		if cmd == "EVALSHA" && len(args) > 4 && args[0] != scripts.Enrol.SHA { // inspect has no arguments
			s.mu.Lock()
			defer s.mu.Unlock()
			admissions, _, _ := strings.Cut(args[3], " ")
			results := ""
			if len(args) > 5 {
				results = args[5]
			}
			s.list = append(s.list, admissions+"|"+results)
		}
		return false
	})
	return s
}

func (s *stepList) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// meanwhile begins operations one after another while the first is in flight, and
// waits until all have ended.
func meanwhile(operations ...func()) {
	var all sync.WaitGroup
	for _, f := range operations {
		all.Add(1)
		go func() {
			defer all.Done()
			f()
		}()
		synctest.Wait()
	}
	all.Wait()
}

// admits, ends and so on are operations for meanwhile.
func (w *bubble) admits(t *testing.T) func() {
	return func() { acquire(inGoroutine(t), w.handle) }
}

func (w *bubble) ends(t *testing.T, ticket engine.Ticket, o engine.Outcome, d *engine.Detail, wantStale bool) func() {
	return func() {
		if stale, err := w.handle.Report(ctx, ticket, o, 0, d); stale != wantStale || err != nil {
			t.Errorf("report of %v: stale %v, %v; want stale %v", o, stale, err, wantStale)
		}
	}
}

func (w *bubble) command(t *testing.T, c engine.Command) func() {
	return func() { command(inGoroutine(t), w.handle, c) }
}

func epochOf(ticket engine.Ticket) string { return fmt.Sprint(ticket.Epoch) }

// Operations that arrive while a step is in flight leave in the next one, in the
// order of their arrival.
func TestGroup_sharesAStep(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		steps := listen(w)
		wantTook(t, 4*travel, func() {
			meanwhile(
				w.admits(t),
				w.ends(t, ticket, engine.Success, nil, false),
				w.ends(t, ticket, engine.Failure, nil, false),
				w.admits(t),
				w.ends(t, ticket, engine.Failure, nil, false),
				w.admits(t),
			)
		})
		want := []string{"1|", "2|" + epochOf(ticket) + " s1f2"}
		if diff := cmp.Diff(want, steps.take()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if n := streak(t, w.store); n != 2 {
			t.Errorf("%d failures in a row are counted, want 2", n)
		}
	})
}

// Each operation has the answer that a step of its own would have got.
func TestGroup_answersEach(t *testing.T) {
	t.Run("what follows the trip is stale", func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *bubble) {
			w.handle, w.events = bind(t, w.store, engine.Policy{ConsecutiveFailures: 2, OpenFor: time.Hour})
			ticket := acquire(t, w.handle)
			other := engine.Ticket{Epoch: ticket.Epoch + 1}
			listen(w)
			meanwhile(
				w.admits(t),
				w.ends(t, ticket, engine.Failure, nil, false),
				w.ends(t, other, engine.Failure, nil, true),
				w.ends(t, ticket, engine.Failure, nil, false),
				w.ends(t, ticket, engine.Success, nil, true),
				w.ends(t, ticket, engine.Failure, nil, true),
				func() { wantRejected(inGoroutine(t), w.handle, engine.ReasonOpen) },
			)
		})
	})
	t.Run("probes have a lease each", func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *bubble) {
			w.handle, w.events = bind(t, w.store, engine.Policy{HalfOpen: engine.HalfOpen{Probes: 3}})
			command(t, w.handle, engine.Command{Action: engine.ActionHalfOpen})
			listen(w)
			granted := make(chan int64, 3)
			ask := func() { granted <- acquire(inGoroutine(t), w.handle).Lease }
			refused := func() { wantRejected(inGoroutine(t), w.handle, engine.ReasonProbing) }
			meanwhile(ask, ask, ask, refused, refused)
			close(granted)
			var leases []int64
			for lease := range granted {
				leases = append(leases, lease)
			}
			slices.Sort(leases)
			if diff := cmp.Diff([]int64{1, 2, 3}, leases); diff != "" {
				t.Errorf("leases (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("as a step of its own", func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *bubble) {
			late := batchOf(engine.Ticket{Epoch: acquire(t, w.handle).Epoch + 1}, engine.Failure)
			alone, err := w.handle.Step(ctx, late)
			must(t, err)
			listen(w)
			meanwhile(w.admits(t), w.admits(t), func() {
				shared, err := w.handle.Step(ctx, late)
				must(inGoroutine(t), err)
				if diff := cmp.Diff(alone, shared); diff != "" {
					t.Errorf("the reply (-alone +shared):\n%s", diff)
				}
			})
		})
	})
	t.Run("a batch of the caller's own", func(t *testing.T) {
		inBubble(t, func(t *testing.T, w *bubble) {
			ticket := acquire(t, w.handle)
			steps := listen(w)
			meanwhile(w.admits(t), w.admits(t), func() {
				b := engine.Batch{Admissions: 2, Results: []engine.Result{{Ticket: ticket, Runs: []engine.Run{{Outcome: engine.Failure, N: 3}}}}}
				r, err := w.handle.Step(ctx, b)
				if err != nil || r.Granted != 2 || r.Applied != 3 {
					t.Errorf("the step got %+v, %v", r, err)
				}
			}, w.admits(t))
			want := []string{"1|", "1|", "2|" + epochOf(ticket) + " f3", "1|"}
			if diff := cmp.Diff(want, steps.take()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	})
}

// A step has one detail for all of its failures; others have the next one, and
// nothing overtakes.
func TestGroup_keepsDetailsApart(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		w.handle, w.events = bind(t, w.store, engine.Policy{ConsecutiveFailures: 3, OpenFor: time.Minute})
		ticket := acquire(t, w.handle)
		soon, late := &engine.Detail{OpenFor: time.Minute}, &engine.Detail{OpenFor: 5 * time.Minute}
		steps := listen(w)
		meanwhile(
			w.admits(t),
			w.ends(t, ticket, engine.Failure, soon, false),
			w.ends(t, ticket, engine.Failure, soon, false),
			w.ends(t, ticket, engine.Failure, late, false),
			w.ends(t, ticket, engine.Success, nil, true),
			w.ends(t, ticket, engine.Failure, soon, true),
		)
		e := epochOf(ticket)
		want := []string{"1|", "0|" + e + " f2", "0|" + e + " f1s1", "0|" + e + " f1"}
		if diff := cmp.Diff(want, steps.take()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if got := inspect(t, w.store); got.RetryAfter < 4*time.Minute {
			t.Errorf("it is open for %v, want what the third failure asked for", got.RetryAfter)
		}
	})
}

// A step has one reporter.
func TestGroup_keepsReportersApart(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		w.handle, w.events = bind(t, w.store, engine.Policy{ConsecutiveFailures: 2, MinReporters: 2})
		ticket := acquire(t, w.handle)
		reports := func(by string) func() {
			return func() {
				b := batchOf(ticket, engine.Failure)
				b.Reporter = by
				_, err := w.handle.Step(ctx, b)
				must(inGoroutine(t), err)
			}
		}
		listen(w)
		meanwhile(w.admits(t), reports("web-1"), reports("web-2"))
		wantRejected(t, w.handle, engine.ReasonOpen)
	})
}

// batchOf is one outcome.
func batchOf(ticket engine.Ticket, o engine.Outcome) engine.Batch {
	return engine.Batch{Results: []engine.Result{{Ticket: ticket, Runs: []engine.Run{{Outcome: o, N: 1}}}}}
}

// A step is bounded, however many wait.
func TestGroup_isBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		steps := listen(w)
		var all sync.WaitGroup
		for range 2501 {
			all.Add(1)
			go func() {
				defer all.Done()
				acquire(inGoroutine(t), w.handle)
			}()
		}
		all.Wait()
		sum := 0
		for _, step := range steps.take() {
			n, _ := strconv.Atoi(strings.TrimSuffix(step, "|"))
			if n > 1000 {
				t.Errorf("a step of %d admissions", n)
			}
			sum += n
		}
		if sum != 2501 {
			t.Errorf("%d admissions were sent, want 2501", sum)
		}
	})
}

// A caller that leaves delays no other, and its operation is not sent unless it was
// in flight.
func TestGroup_callerLeavesBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		steps := listen(w)
		wantTook(t, 4*travel, func() {
			meanwhile(
				w.admits(t),
				w.ends(t, ticket, engine.Failure, nil, false),
				func() {
					short, cancel := context.WithTimeout(ctx, travel)
					defer cancel()
					wantTook(t, travel, func() {
						if _, err := w.handle.Acquire(short); err != context.DeadlineExceeded {
							t.Errorf("got %v, want the context's error", err)
						}
					})
				},
			)
		})
		want := []string{"1|", "0|" + epochOf(ticket) + " f1"}
		if diff := cmp.Diff(want, steps.take()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

// A lease granted to a caller that had left is returned in the next step, so that
// another caller may probe, whether or not other operations were waiting.
func TestGroup_leaseOfOneWhoLeft(t *testing.T) {
	for what, others := range map[string]int{"alone": 0, "among others": 1} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *bubble) {
				w.handle, w.events = bind(t, w.store, engine.Policy{HalfOpen: engine.HalfOpen{Probes: 1, Lease: time.Hour}})
				command(t, w.handle, engine.Command{Action: engine.ActionHalfOpen})
				steps := listen(w)
				for range others {
					go func() { _, _ = w.handle.Step(ctx, engine.Batch{}) }()
					synctest.Wait()
				}
				gone, cancel := context.WithTimeout(ctx, travel+time.Duration(others)*2*travel)
				defer cancel()
				if _, err := w.handle.Acquire(gone); err != context.DeadlineExceeded {
					t.Errorf("got %v, want the context's error", err)
				}
				time.Sleep(travel) // the reply comes
				synctest.Wait()
				if ticket := acquire(t, w.handle); ticket.Lease != 2 {
					t.Errorf("the next probe got %+v, want the second grant", ticket)
				}
				if got := steps.take(); !strings.HasSuffix(got[others+1], ".1 i1") {
					t.Errorf("steps %q, want one that gives back the lease", got)
				}
			})
		})
	}
}

// A lost reply is an unknown result for each operation of the step, with the
// operation's own name, and nothing is resent.
func TestGroup_unknownForEach(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		steps := listen(w)
		meanwhile(
			func() { _, _ = w.handle.Acquire(ctx); w.net.Set(faultproxy.CutReply(0)) },
			func() {
				_, err := w.handle.Report(ctx, ticket, engine.Failure, 0, nil)
				wantClass(inGoroutine(t), err, engine.ClassUnknown, "report")
			},
			func() {
				_, err := w.handle.Acquire(ctx)
				wantClass(inGoroutine(t), err, engine.ClassUnknown, "acquire")
			},
			func() {
				_, err := w.handle.Report(ctx, ticket, engine.Failure, 0, nil)
				wantClass(inGoroutine(t), err, engine.ClassUnknown, "report")
			},
		)
		want := []string{"1|", "1|" + epochOf(ticket) + " f2"}
		if diff := cmp.Diff(want, steps.take()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if n := streak(t, w.store); n != 2 {
			t.Errorf("%d failures are counted, want 2", n)
		}
		acquire(t, w.handle) // a slip is one slip, however many shared it
	})
}

// Commands have a turn to themselves, and events come in the order of the steps.
func TestGroup_eventsInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		w.handle, w.events = bind(t, w.store, engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour})
		ticket := acquire(t, w.handle)
		listen(w)
		meanwhile(
			w.command(t, engine.Command{Action: engine.ActionForceOpen}),
			w.command(t, engine.Command{Action: engine.ActionRelease}),
			w.ends(t, ticket, engine.Failure, nil, true),
			w.command(t, engine.Command{Action: engine.ActionTrip}),
			w.command(t, engine.Command{Action: engine.ActionReset}),
		)
		var received []int64
		for _, e := range w.events.list {
			received = append(received, e.Transition.Epoch)
		}
		var log []int64
		for _, e := range inspect(t, w.store).Log {
			log = append(log, e.Epoch)
		}
		if diff := cmp.Diff(log, received); diff != "" {
			t.Errorf("events (-log +received):\n%s", diff)
		}
	})
}

// What came before its handle was closed still goes out.
func TestGroup_closeOfHandle(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		listen(w)
		ends := w.ends(t, ticket, engine.Failure, nil, false)
		meanwhile(ends, ends, ends, func() { must(inGoroutine(t), w.handle.Close()) })
		if n := streak(t, w.store); n != 3 {
			t.Errorf("%d failures are counted, want 3", n)
		}
	})
}

// Close ends all waiting operations and leaves no goroutine.
func TestGroup_close(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		listen(w)
		waits := func() {
			if _, err := w.handle.Acquire(ctx); err != engine.ErrStopped {
				t.Errorf("got %v, want ErrStopped", err)
			}
		}
		meanwhile(
			func() { _, _ = w.handle.Acquire(ctx) },
			waits, waits,
			func() {
				if _, err := w.handle.Control(ctx, engine.Command{Action: engine.ActionReset}); err != engine.ErrStopped {
					t.Errorf("got %v, want ErrStopped", err)
				}
			},
			func() { must(inGoroutine(t), w.store.Close()) },
		)
	})
}

// With a dead server each waits for the bound at most, counted from the moment
// in which it came.
func TestGroup_bound(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		var all sync.WaitGroup
		for i := range 100 {
			all.Add(1)
			go func() {
				defer all.Done()
				time.Sleep(time.Duration(i) * 3 * time.Millisecond)
				start := time.Now()
				_, err := w.handle.Acquire(ctx)
				var e *engine.StorageError
				if took := time.Since(start); took > bound || !errors.As(err, &e) {
					t.Errorf("caller %d waited for %v: %v", i, took, err)
				}
			}()
		}
		all.Wait()
	})
}
