//go:build go1.25

package panel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// slowWriter is a browser that takes a while to read each event.
type slowWriter struct {
	http.ResponseWriter
	pause time.Duration
}

func (w *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(w.pause)
	return w.ResponseWriter.Write(b)
}

func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// newBusyPanel returns a panel over breakers whose logs are full.
func newBusyPanel(t *testing.T, breakers int) *Panel {
	t.Helper()
	store := engine.NewMemory()
	for i := range breakers {
		for range 16 {
			if _, err := store.Control(t.Context(), fmt.Sprint("breaker ", i), engine.Command{Action: engine.ActionTrip}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := New(store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A stream that resumed keeps the ids that may repeat, and those for a while only.
func TestBubble_replayIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBusyPanel(t, 100)
		w := httptest.NewRecorder()
		out := &eventWriter{w: w, control: http.NewResponseController(w)}
		if err := p.replayEvents(t.Context(), out, &eventID{0, "0-0"}); err != nil {
			t.Fatal(err)
		}
		if n := len(out.replayed); n != maxQueued {
			t.Errorf("%d ids are kept, want %d", n, maxQueued)
		}
		ctx, cancel := context.WithTimeout(t.Context(), heartbeatTime+time.Second)
		defer cancel()
		p.forwardEvents(ctx, &stream{events: make(chan engine.Event), lost: make(chan struct{})}, out)
		if n := len(out.replayed); n != 0 {
			t.Errorf("%d ids are kept after a heartbeat", n)
		}
	})
}

// Close ends a replay too: a server that shuts down must not wait for a slow browser.
func TestBubble_replayEndsWithThePanel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBusyPanel(t, 10)
		w := &slowWriter{httptest.NewRecorder(), time.Second}
		out := &eventWriter{w: w, control: http.NewResponseController(w)}
		began := time.Now()
		time.AfterFunc(5*time.Second, p.Close)
		err := p.replayEvents(t.Context(), out, &eventID{0, "0-0"})
		if took := time.Since(began); err == nil || took > 6*time.Second {
			t.Errorf("the replay took %v, %v", took, err)
		}
	})
}

// repaired is a storage of which one breaker cannot be read until it is repaired.
type repaired struct {
	*engine.Memory
	done atomic.Bool
}

func (r *repaired) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	if name == "b" && !r.done.Load() {
		return engine.Snapshot{}, errors.New("WRONGTYPE")
	}
	return r.Memory.Inspect(ctx, name)
}

// A breaker that cannot be read at first has its log from before: nothing in it is new.
func TestBubble_pollUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &repaired{Memory: engine.NewMemory()}
		trip := func(name string) {
			if _, err := store.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip}); err != nil {
				t.Fatal(err)
			}
		}
		trip("a")
		trip("b")
		f := newFeed(store, newFleet(store, store))
		events := make(chan engine.Event, 9)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.pollRecords(ctx, func(e engine.Event) { events <- e })
		time.Sleep(pollTime + pollTime/2)
		synctest.Wait()
		store.done.Store(true)
		time.Sleep(2 * pollTime)
		synctest.Wait()
		if e := <-events; e.Kind != engine.EventReady || len(events) != 0 {
			t.Errorf("got %v and %d events more, want only ready", e, len(events))
		}
		trip("b")
		if e := <-events; e.Kind != engine.EventTransition {
			t.Errorf("got %v, want the new transition", e)
		}
	})
}

// A browser that reads a replay slowly does not keep the reading of the fleet.
func TestBubble_replayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBusyPanel(t, 100)
		w := &slowWriter{httptest.NewRecorder(), sendTime / 2}
		out := &eventWriter{w: w, control: http.NewResponseController(w)}
		began := time.Now()
		if err := p.replayEvents(t.Context(), out, &eventID{0, "0-0"}); err == nil {
			t.Error("the replay has no end")
		}
		if took := time.Since(began); took > replayTime+sendTime {
			t.Errorf("the replay took %v", took)
		}
	})
}
