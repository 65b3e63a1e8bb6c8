//go:build go1.25

package panel_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// pipe is a response that a test reads while it is written. While it is stalled, writes
// block until their deadline.
type pipe struct {
	header http.Header

	mu       sync.Mutex
	text     strings.Builder
	stalled  bool
	deadline time.Time
}

func (p *pipe) Header() http.Header { return p.header }
func (p *pipe) WriteHeader(int)     {}
func (p *pipe) Flush()              {}

func (p *pipe) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	return nil
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled {
		wait := time.Until(p.deadline)
		p.mu.Unlock()
		time.Sleep(wait)
		p.mu.Lock()
		return 0, errors.New("i/o timeout")
	}
	return p.text.Write(b)
}

func (p *pipe) read() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// openStream opens a stream to a pipe, and returns a function that closes it.
func openStream(t *testing.T, p *panel.Panel) (*pipe, chan struct{}, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "/api/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	w, ended := &pipe{header: http.Header{}}, make(chan struct{})
	go func() {
		defer close(ended)
		p.ServeHTTP(w, r)
	}()
	synctest.Wait()
	return w, ended, cancel
}

func hasEnded(ended chan struct{}) bool {
	synctest.Wait()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

func TestBubble_heartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPanel(t, &pushing{Memory: engine.NewMemory()}, panel.Options{})
		w, ended, cancel := openStream(t, p)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := strings.Count(w.read(), ": heartbeat\n\n"); n != 40 {
			t.Errorf("%d heartbeats in 10 minutes, want 40", n)
		}
		cancel()
		if !hasEnded(ended) {
			t.Error("the stream goes on after its browser has left")
		}
	})
}

// The Watch outlives its last stream for 30 s, and no longer.
func TestBubble_watchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &pushing{Memory: engine.NewMemory()}
		p := newPanel(t, store, panel.Options{})
		for range 5 {
			_, ended, cancel := openStream(t, p)
			cancel()
			<-ended
			time.Sleep(29 * time.Second)
		}
		if store.watches != 1 {
			t.Errorf("%d watches, want the one that lingers", store.watches)
		}
		time.Sleep(2 * time.Second)
		_, ended, cancel := openStream(t, p)
		if store.watches != 2 {
			t.Errorf("%d watches after a pause of 31 s, want 2", store.watches)
		}
		cancel()
		<-ended
		time.Sleep(31 * time.Second)
		synctest.Wait() // a Watch that stays would be a deadlock of the bubble
	})
}

// A browser that reads nothing is disconnected, and does not delay others.
func TestBubble_slowBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &pushing{Memory: engine.NewMemory()}
		p := newPanel(t, store, panel.Options{})
		slow, ended, cancelSlow := openStream(t, p)
		defer cancelSlow()
		fast, _, cancelFast := openStream(t, p)
		defer cancelFast()
		slow.mu.Lock()
		slow.stalled = true
		slow.mu.Unlock()
		for range 1000 {
			store.control(t, "a", engine.ActionTrip)
			synctest.Wait()
		}
		if n := strings.Count(fast.read(), "event: transition\n"); n != 1000 {
			t.Errorf("the other browser received %d of 1000", n)
		}
		time.Sleep(11 * time.Second)
		if !hasEnded(ended) {
			t.Error("the browser that reads nothing is still connected")
		}
	})
}

// counting is a storage that counts how often it is listed, which takes a while.
type counting struct {
	*pushing
	mu    sync.Mutex
	lists int
}

func (c *counting) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	c.mu.Lock()
	c.lists++
	c.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	return c.pushing.Names(ctx)
}

// Requests share a reading of the fleet while it is young.
func TestBubble_requestsShareReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{pushing: &pushing{Memory: engine.NewMemory()}}
		store.control(t, "a", engine.ActionReset)
		p := newPanel(t, store, panel.Options{})
		ask := func() {
			var all sync.WaitGroup
			for range 100 {
				all.Add(1)
				go func() {
					defer all.Done()
					if l := decode[listed](t, send(t, p, "GET", "/api/breakers", "")); l.Total != 1 {
						t.Errorf("%+v", l)
					}
				}()
			}
			all.Wait()
		}
		for want := 1; want < 4; want++ {
			ask()
			ask()
			if store.lists != want {
				t.Errorf("%d listings, want %d", store.lists, want)
			}
			time.Sleep(time.Second)
		}
	})
}
