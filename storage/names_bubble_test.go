//go:build go1.25

package storage_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/scripts"
)

// A lost part of the index is filled again with the breakers in use.
func TestNames_afterFlush(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		for i := range 50 {
			h, err := w.store.Bind(fmt.Sprint(i), engine.Policy{}, nil)
			must(t, err)
			acquire(t, h)
			defer runtime.KeepAlive(h)
		}
		time.Sleep(2 * time.Second)
		if n := len(listNames(t, w.store)); n != 50 {
			t.Fatalf("%d breakers are listed, want 50", n)
		}
		w.mini.FlushAll()
		must(t, w.client.ScriptFlush(ctx).Err())
		for i := range 16 { // some of each part are used again
			h, err := w.store.Bind(fmt.Sprint("late", i), engine.Policy{}, nil)
			must(t, err)
			acquire(t, h)
		}
		time.Sleep(2*time.Minute + 5*time.Second)
		if n := len(listNames(t, w.store)); n != 66 {
			t.Errorf("two minutes after a flush %d breakers are listed, want 66", n)
		}
	})
}

// A process enters its breakers a few times a day, not a few times a second: at the first
// use, then after 4.5 to 6 hours of use each.
func TestNames_costOfEnrolment(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		h, err := w.store.Bind("busy", engine.Policy{}, nil)
		must(t, err)
		// A server that does not know the script answers so, and the first batch is sent again.
		must(t, w.client.ScriptLoad(ctx, scripts.Enrol.Source).Err())
		enrolments := countEnrolments(w)
		for range 24 * 60 {
			acquire(t, h)
			time.Sleep(time.Minute)
		}
		if n := enrolments(); n < 4 || n > 6 {
			t.Errorf("%d enrolments in a day, want 4 to 6", n)
		}
	})
}

// A forced breaker is listed for longer than its IdleTTL though no process uses it.
func TestNames_ofForgottenMode(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		_, err := w.store.Control(ctx, "forgotten", engine.Command{Action: engine.ActionForceOpen})
		must(t, err)
		_, err = w.store.Control(ctx, "reset", engine.Command{Action: engine.ActionReset})
		must(t, err)
		time.Sleep(2 * engine.DefaultIdleTTL)
		if got := listNames(t, w.store); !slices.Equal(got, []string{"forgotten"}) {
			t.Errorf("listed %q, want the forced one", got)
		}
	})
}

// A server that hangs holds a list up for the timeout of the clock and of one part, not
// of all 16. Each part has its error nevertheless.
func TestNames_hangingServer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		w.net.Set(faultproxy.Blackhole())
		failed := map[string]bool{}
		wantTook(t, 2*bound, func() {
			for _, err := range w.store.Names(ctx) {
				var e *engine.StorageError
				if !errors.As(err, &e) || e.Class != engine.ClassUnknown || !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("got %v, want a timeout", err)
				}
				failed[e.Name] = true
			}
		})
		if len(failed) != 16 {
			t.Errorf("the errors name %d parts, want 16", len(failed))
		}
		w.net.Set(faultproxy.Pass())
		time.Sleep(time.Minute)
		listNames(t, w.store)
	})
}

// countEnrolments returns the number of calls of enrol.lua so far, those included that the
// server refuses because it does not know the script.
func countEnrolments(w *bubble) func() int64 {
	var n atomic.Int64
	w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		if cmd == "EVALSHA" && args[0] == scripts.Enrol.SHA {
			n.Add(1)
		}
		return false
	})
	return n.Load
}
