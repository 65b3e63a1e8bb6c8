//go:build go1.25

package storage_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/storage"
)

// P5: whatever happens to the connection, a call is back within the bound.
func TestBound(t *testing.T) {
	for what, test := range map[string]struct {
		before  bool // a connection is there before the fault
		fault   faultproxy.Fault
		want    engine.Class
		healing bool // the call would be executed late if it were still sent
	}{
		"blackhole":                {true, faultproxy.Blackhole(), engine.ClassUnknown, false},
		"replies do not come back": {true, faultproxy.DropReplies(), engine.ClassUnknown, false},
		"slow":                     {true, faultproxy.Delay(200 * time.Millisecond), engine.ClassUnknown, false},
		"dialing hangs":            {false, faultproxy.Blackhole(), engine.ClassNotExecuted, true},
		"greeting hangs":           {false, faultproxy.DropReplies(), engine.ClassNotExecuted, true},
		"greeting is slow":         {false, faultproxy.Delay(150 * time.Millisecond), engine.ClassNotExecuted, true},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *bubble) {
				if test.before {
					acquire(t, w.handle)
				}
				w.net.Set(test.fault)
				wantTook(t, bound, func() {
					_, err := w.handle.Acquire(ctx)
					e := wantClass(t, err, test.want, "acquire")
					wantSays(t, e, "no answer within")
					if !errors.Is(e, context.DeadlineExceeded) {
						t.Errorf("%v does not match context.DeadlineExceeded", e)
					}
				})
				if !test.healing {
					return
				}
				// A call that was reported as not executed must not be executed later.
				w.net.Set(faultproxy.Pass())
				time.Sleep(10 * time.Second)
				if keys := w.mini.Keys(); len(keys) != 0 {
					t.Errorf("a call that was not executed wrote %q", keys)
				}
			})
		})
	}
}

// Every operation has the bound. Ping, which no caller of a dependency waits for, has
// eight of them: a connection over a long way takes as many round trips.
func TestBound_everyOperation(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		for op, call := range map[string]func() error{
			"report":  func() error { _, err := w.handle.Report(ctx, ticket, engine.Failure, 0, nil); return err },
			"step":    func() error { _, err := w.handle.Step(ctx, engine.Batch{}); return err },
			"control": func() error { _, err := w.handle.Control(ctx, engine.Command{Action: engine.ActionReset}); return err },
			"inspect": func() error { _, err := w.store.Inspect(ctx, name); return err },
			"ping":    func() error { return w.store.Ping(ctx) },
		} {
			// A storage of its own each: this is not about the guard.
			w.store = newStorage(t, w.client, storage.WithTimeout(bound))
			w.handle, _ = bind(t, w.store, neverOpens)
			limit := bound
			if op == "ping" {
				limit *= 8
			}
			wantTook(t, limit, func() {
				// The client's one connection is gone after the first of them; for
				// the others, dialing hangs.
				var e *engine.StorageError
				if err := call(); !errors.As(err, &e) || e.Op != op {
					t.Errorf("%s: %v", op, err)
				}
			})
		}
	})
}

func TestBound_inspectMany(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		wantTook(t, bound, func() {
			_, err := w.store.InspectMany(ctx, []string{name})
			wantSays(t, wantClass(t, err, engine.ClassUnknown, "inspect"), "no answer within")
		})
		wantTook(t, 50*time.Millisecond, func() {
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			if _, err := w.store.InspectMany(short, []string{name}); err != context.DeadlineExceeded {
				t.Errorf("got %v, want the context's error", err)
			}
		})
	})
}

func TestBound_isTheOption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, redis.Options{})
		h, _ := bind(t, newStorage(t, w.client, storage.WithTimeout(7*time.Millisecond)), neverOpens)
		w.net.Set(faultproxy.Blackhole())
		wantTook(t, 7*time.Millisecond, func() {
			_, err := h.Acquire(ctx)
			wantSays(t, err, "no answer within 7ms")
		})
	})
}

// The client's own, shorter timeout is an answer too.
func TestBound_clientIsFaster(t *testing.T) {
	for _, inline := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newBubble(t, redis.Options{ReadTimeout: 100 * time.Millisecond, ContextTimeoutEnabled: inline})
			acquire(t, w.handle)
			w.net.Set(faultproxy.Blackhole())
			wantTook(t, 100*time.Millisecond, func() {
				_, err := w.handle.Acquire(ctx)
				wantClass(t, err, engine.ClassUnknown, "acquire")
			})
		})
	}
}

func TestBound_refused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		w.net.Set(faultproxy.Refuse())
		start := time.Now()
		_, err := w.handle.Acquire(ctx)
		wantClass(t, err, engine.ClassNotExecuted, "acquire")
		if took := time.Since(start); took > bound {
			t.Errorf("it took %v", took)
		}
	})
}

// The caller's own end is the caller's, not the storage's.
func TestBound_callersDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		for range 4 { // and the guard does not count it
			wantTook(t, 50*time.Millisecond, func() {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				if _, err := w.handle.Acquire(short); err != context.DeadlineExceeded {
					t.Errorf("got %v, want the context's error", err)
				}
			})
		}
		w.net.Set(faultproxy.Pass())
		acquire(t, w.handle)
	})
}

// A caller that cancels is released at once, and a lease that its call is granted
// later is returned.
func TestBound_callerCancels(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		w.handle, w.events = bind(t, w.store, engine.Policy{HalfOpen: engine.HalfOpen{Lease: time.Hour}})
		command(t, w.handle, engine.Command{Action: engine.ActionHalfOpen})
		w.net.Set(faultproxy.Delay(50 * time.Millisecond))
		cancelled, cancel := context.WithCancel(ctx)
		time.AfterFunc(60*time.Millisecond, cancel)
		wantTook(t, 60*time.Millisecond, func() {
			if _, err := w.handle.Acquire(cancelled); err != context.Canceled {
				t.Errorf("got %v, want the context's error", err)
			}
		})
		time.Sleep(bound) // the reply is there, the lease returned
		if ticket := acquire(t, w.handle); ticket.Lease != 2 {
			t.Errorf("the next probe got %+v, want the second grant", ticket)
		}
	})
}

func TestBound_contextIsOverBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		over, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := w.handle.Acquire(over); err != context.Canceled {
			t.Errorf("acquire: %v", err)
		}
		if _, err := w.store.Inspect(over, name); err != context.Canceled {
			t.Errorf("inspect: %v", err)
		}
		if err := w.store.Ping(over); err != context.Canceled {
			t.Errorf("ping: %v", err)
		}
		if _, err := w.handle.Control(over, engine.Command{Action: engine.ActionReset}); err != context.Canceled {
			t.Errorf("control: %v", err)
		}
	})
}

// F44: what a call cost is known although its caller is gone.
func TestReport_isDetached(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		ticket := acquire(t, w.handle)
		over, cancel := context.WithCancel(ctx)
		cancel()
		if stale, err := w.handle.Report(over, ticket, engine.Failure, 0, nil); stale || err != nil {
			t.Fatalf("report with a cancelled context: stale %v, %v", stale, err)
		}
		if n := streak(t, w.store); n != 1 {
			t.Errorf("%d failures counted, want 1", n)
		}
		w.net.Set(faultproxy.Blackhole())
		wantTook(t, bound, func() {
			_, err := w.handle.Report(over, ticket, engine.Failure, 0, nil)
			wantClass(t, err, engine.ClassUnknown, "report")
		})
	})
}

// Close waits for calls that were left, at most for the client's read timeout;
// the cleanup of a bubble sees that no goroutine is left.
func TestClose_waitsForCallsThatWereLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, redis.Options{ReadTimeout: time.Second})
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		_, err := w.handle.Acquire(ctx)
		wantClass(t, err, engine.ClassUnknown, "acquire")
		wantTook(t, time.Second-bound, func() { must(t, w.store.Close()) })
	})
}

func TestClose_saysWhatTheClientHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, redis.Options{ReadTimeout: -1}) // waits without end
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		_, err := w.handle.Acquire(ctx)
		wantClass(t, err, engine.ClassUnknown, "acquire")
		wantTook(t, 5*time.Second, func() { wantSays(t, w.store.Close(), "the client still holds calls after 5s") })
		w.net.Set(faultproxy.Pass())
		synctest.Wait()
	})
}

// Operations that begin during Close end as stopped, and leave nothing behind.
func TestClose_underTraffic(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		w.net.Set(faultproxy.Delay(time.Millisecond))
		var callers sync.WaitGroup
		for range 8 { // with a connection each, so none waits for one
			callers.Add(1)
			go func() {
				defer callers.Done()
				for {
					_, err := w.handle.Acquire(ctx)
					if err == engine.ErrStopped {
						return
					}
					if err != nil {
						t.Errorf("acquire: %v", err)
						return
					}
				}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		must(t, w.store.Close())
		callers.Wait()
	})
}
