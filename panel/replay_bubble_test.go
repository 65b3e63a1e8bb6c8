//go:build go1.25

package panel

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
