//go:build go1.25

package storage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/redbreaker/redbreaker/engine"
)

// A server or proxy that ends each subscription as soon as it has confirmed it is not
// asked again without a pause, and the process follows by reading.
func TestWatch_cutAfterConfirmation(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		acquire(t, w.handle)
		p := w.watcher(t, opensAtOnce, true)
		time.Sleep(time.Second)
		commands := countCommands(w)
		const most = 100
		p.road.set(func(r *road) { r.cutConfirms = true })
		p.road.hangSubscription()
		time.Sleep(30 * time.Second) // until it is given up
		before := commands()["SUBSCRIBE"]
		time.Sleep(time.Minute)
		if n := commands()["SUBSCRIBE"] - before; n > most {
			t.Errorf("%d subscriptions in a minute, want at most %d", n, most)
		}
		must(t, act(w.handle, 0))
		time.Sleep(31 * time.Second)
		if s := p.handle.Status().State; s != engine.StateOpen {
			t.Errorf("the process shows %v", s)
		}
		p.road.set(func(r *road) { r.cutConfirms = false })
		time.Sleep(3 * time.Second)
		must(t, act(w.handle, 1))
		time.Sleep(time.Second)
		if s := p.handle.Status().State; s != engine.StateClosed {
			t.Errorf("once subscriptions last, the process shows %v", s)
		}
	})
}

// A user that may not send PING keeps its subscription through any silence: the refusal
// is a sign of life.
func TestWatch_mayNotPing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
			refused := strings.EqualFold(cmd, "ping")
			if refused {
				c.WriteError("NOPERM this user has no permissions to run the 'ping' command")
			}
			return refused
		})
		acquire(t, w.handle)
		p := w.watcher(t, opensAtOnce, true)
		time.Sleep(time.Hour)
		if n := p.road.subscriptions(); n != 1 {
			t.Errorf("%d subscriptions in an hour of silence, want 1", n)
		}
		must(t, act(w.handle, 0))
		time.Sleep(time.Millisecond)
		if s := p.handle.Status().State; s != engine.StateOpen {
			t.Errorf("after an hour of silence the process shows %v", s)
		}
		if n := p.events.of(engine.EventPushLost); n > 0 {
			t.Errorf("%d events say that push is lost", n)
		}
	})
}

// A record that is evicted, and that no process uses since, is known to be gone within the time
// between polls: Status shows the state that a new one would have, and one event reports the
// loss. The next transition is delivered.
func TestWatch_evictedAndUnused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *bubble) {
		p := w.watcher(t, opensAtOnce, true)
		must(t, act(w.handle, 0))
		time.Sleep(time.Second)
		if s := p.handle.Status().State; s != engine.StateOpen {
			t.Fatalf("the process shows %v", s)
		}
		w.mini.Del(key)
		time.Sleep(31 * time.Second)
		if s := p.handle.Status(); s.State != engine.StateClosed || s.RetryAfter != 0 {
			t.Errorf("of a record that is gone the process shows %v for %v", s.State, s.RetryAfter)
		}
		time.Sleep(time.Hour)
		if n := p.events.of(engine.EventMissed); n != 1 {
			t.Errorf("%d events report the loss, want 1", n)
		}
		must(t, act(w.handle, 0))
		time.Sleep(time.Second)
		list := p.events.transitions()
		if s := p.handle.Status().State; s != engine.StateOpen || list[len(list)-1].To != engine.StateOpen {
			t.Errorf("of the new record the process shows %v and has delivered %v", s, list)
		}
	})
}
