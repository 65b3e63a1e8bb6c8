package storage_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage"
)

// These tests run in real time, also on the oldest Go, which has no bubbles. They
// assert no exact times, only what must hold however slow the machine is.

// slowSteps is a miniredis that holds each step until the test lets it go on.
type slowSteps struct {
	*miniredis.Miniredis
	steps   atomic.Int64
	arrived chan struct{} // has an element for each step that is held
	goOn    chan struct{}
}

func newSlowSteps(t *testing.T) *slowSteps {
	t.Helper()
	s := &slowSteps{Miniredis: miniredis.RunT(t), arrived: make(chan struct{}, 1000), goOn: make(chan struct{})}
	direct := open(t, &redis.Options{Addr: s.Addr()})
	must(t, direct.ScriptLoad(ctx, scripts.Step.Source).Err())
	s.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		if cmd == "EVALSHA" && args[0] == scripts.Step.SHA {
			s.steps.Add(1)
			s.arrived <- struct{}{}
			<-s.goOn
		}
		return false
	})
	return s
}

// Operations that come while a step is in flight share the next one, and each has
// its own answer.
func TestRealTime_groupCommit(t *testing.T) {
	const callers = 50
	s := newSlowSteps(t)
	h, _ := bind(t, newStorage(t, open(t, &redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true})), engine.Policy{ConsecutiveFailures: 10, OpenFor: time.Hour})
	first := make(chan engine.Ticket, 1)
	go func() {
		ticket, err := h.Acquire(ctx)
		if err != nil {
			t.Error(err)
		}
		first <- ticket
	}()
	<-s.arrived
	var all sync.WaitGroup
	var admitted atomic.Int64
	for range callers {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := h.Acquire(ctx); err == nil {
				admitted.Add(1)
			} else {
				t.Error(err)
			}
		}()
	}
	eventually(t, "all callers wait", func() bool { return storage.WaitingOps(h) == callers })
	close(s.goOn)
	all.Wait()
	ticket := <-first
	if n := s.steps.Load(); n != 2 || admitted.Load() != callers {
		t.Errorf("%d operations took %d steps and %d were admitted, want 2 steps", callers+1, n, admitted.Load())
	}
	// Of 50 failures that share steps the tenth opens the circuit; later ones are stale.
	var stale atomic.Int64
	for range callers {
		all.Add(1)
		go func() {
			defer all.Done()
			late, err := h.Report(ctx, ticket, engine.Failure, 0, nil)
			if err != nil {
				t.Error(err)
			}
			if late {
				stale.Add(1)
			}
		}()
	}
	all.Wait()
	if n := stale.Load(); n != callers-10 {
		t.Errorf("%d results were stale, want %d", n, callers-10)
	}
	wantRejected(t, h, engine.ReasonOpen)
}

// Calls of different breakers share two connections, however many there are.
func TestRealTime_pipeline(t *testing.T) {
	const breakers = 60
	s := newSlowSteps(t)
	rdb := open(t, &redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true})
	st := newUnlisted(t, rdb)
	var all sync.WaitGroup
	for i := range breakers {
		h, err := st.Bind(fmt.Sprint(name, i), neverOpens, nil)
		must(t, err)
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := h.Acquire(ctx); err != nil {
				t.Error(err)
			}
		}()
	}
	<-s.arrived
	<-s.arrived // two round trips are in flight; the others wait
	time.Sleep(20 * time.Millisecond)
	if n := s.steps.Load(); n != 2 {
		t.Errorf("%d steps are in flight, want 2", n)
	}
	close(s.goOn)
	all.Wait()
	if n := rdb.PoolStats().TotalConns; n > 2 || s.steps.Load() != breakers {
		t.Errorf("%d steps took %d connections, want at most 2", s.steps.Load(), n)
	}
}

// A server that hangs costs the timeout until the guard rejects at once; a trial
// finds out that it is back.
func TestRealTime_guardAndTimeout(t *testing.T) {
	const timeout = 30 * time.Millisecond
	s := newSlowSteps(t)
	rdb := open(t, &redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true})
	h, _ := bind(t, newStorage(t, rdb, storage.WithTimeout(timeout)), neverOpens)
	for i := range 3 {
		start := time.Now()
		_, err := h.Acquire(ctx)
		if classOf(err) == 0 || !strings.Contains(err.Error(), "no answer within") {
			t.Errorf("call %d: %v, want a timeout", i+1, err)
		}
		if took := time.Since(start); took < timeout {
			t.Errorf("call %d took %v, less than the timeout", i+1, took)
		}
	}
	_, err := h.Acquire(ctx)
	wantSays(t, wantClass(t, err, engine.ClassNotExecuted, "acquire"), "backing off")
	close(s.goOn)
	eventually(t, "the server is back", func() bool {
		_, err := h.Acquire(ctx)
		return err == nil
	})
}
