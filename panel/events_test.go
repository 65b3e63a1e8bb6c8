package panel_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// patience is how long a test waits for an event: a busy machine needs some of it.
const patience = 30 * time.Second

// received is one server-sent event.
type received struct {
	kind, id string
	data     struct {
		ID, Shown, Text string
		Event           engine.Event
	}
}

// listener reads the events of a panel as a browser does.
type listener struct {
	t      testing.TB
	cancel context.CancelFunc
	events chan received // closed when the stream ends
}

// listen opens a stream. after is the id of the last event that was received, if any.
func listen(t testing.TB, url, after string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	response, err := http.DefaultClient.Do(r) //nolint:bodyclose // readEvents closes it
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %v", response.StatusCode, response.Header)
	}
	l := &listener{t: t, cancel: cancel, events: make(chan received, 1000)}
	go l.readEvents(response)
	t.Cleanup(func() {
		cancel()
		for range l.events { // until the reader has ended
		}
	})
	return l
}

func (l *listener) readEvents(response *http.Response) {
	defer close(l.events)
	defer response.Body.Close()
	var e received
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			e.kind = value
		case "id":
			e.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.data); err != nil {
				l.t.Errorf("%v: %s", err, value)
			}
		case "":
			if e.kind != "" {
				l.events <- e
			}
			e = received{}
		}
	}
}

// next returns the next event of a kind, and drops others.
func (l *listener) next(kind string) received {
	l.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, isOpen := <-l.events:
			if !isOpen {
				l.t.Fatalf("the stream ended before an event %s", kind)
			}
			if e.kind == kind {
				return e
			}
		case <-timeout:
			l.t.Fatalf("no event %s in %v", kind, patience)
		}
	}
}

// serve serves a panel on loopback.
func serve(t testing.TB, p *panel.Panel) string {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		p.Close()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL
}

// A storage that delivers no transitions is read.
func TestEvents_polled(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	l := listen(t, serve(t, b.panel), "")
	l.next("ready")
	b.control("calm", engine.Command{Action: engine.ActionTrip, Actor: "ann", Reason: "drill"})
	e := l.next("transition")
	moved := e.data.Event.Transition
	if e.data.ID != "calm" || e.data.Event.Name != "calm" || moved.To != engine.StateOpen || moved.By != "ann" || e.id == "" {
		t.Errorf("%+v", e)
	}
	if e.data.Text != "calm: closed to open. Command." {
		t.Errorf("for people: %q", e.data.Text)
	}
	b.count("fresh", engine.Policy{}, engine.Success)
	if e := l.next("transition"); e.data.Event.Name != "fresh" || e.data.Event.Transition.Cause != engine.CauseCreated {
		t.Errorf("a new breaker: %+v", e)
	}
	for range 20 { // more than a log keeps
		b.control("calm", engine.Command{Action: engine.ActionTrip})
	}
	if e := l.next("missed"); e.data.Event.Name != "calm" || e.data.Event.State != engine.StateOpen || e.data.Event.Missed != -1 {
		t.Errorf("a log that was overrun: %+v", e)
	}
}

// pushing is a storage that delivers the transitions that the test makes.
type pushing struct {
	*engine.Memory
	mu      sync.Mutex
	deliver func(engine.Event)
	watches int
	fault   error // of Watch
}

func (p *pushing) Watch(ctx context.Context, fn func(engine.Event)) error {
	if p.fault != nil {
		return p.fault
	}
	p.mu.Lock()
	p.watches++
	p.deliver = fn
	fn(engine.Event{Kind: engine.EventReady})
	p.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// control gives a command and delivers its transition.
func (p *pushing) control(t testing.TB, name string, action engine.Action) engine.Transition {
	t.Helper()
	s, err := p.Control(context.Background(), name, engine.Command{Action: action})
	if err != nil {
		t.Fatal(err)
	}
	moved := s.Log[len(s.Log)-1]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deliver != nil {
		p.deliver(engine.Event{Kind: engine.EventTransition, Name: name, Transition: moved})
	}
	return moved
}

func TestEvents_shareOneWatch(t *testing.T) {
	store := &pushing{Memory: engine.NewMemory()}
	url := serve(t, newPanel(t, store, panel.Options{}))
	var all []*listener
	for range 10 {
		l := listen(t, url, "")
		l.next("ready")
		all = append(all, l)
	}
	moved := store.control(t, "a", engine.ActionTrip)
	for _, l := range all {
		if e := l.next("transition"); e.data.Event.Transition.Epoch != moved.Epoch {
			t.Errorf("%+v", e)
		}
	}
	if store.watches != 1 {
		t.Errorf("%d watches for 10 streams", store.watches)
	}
}

// A page that loads because of an event shows what the event reported, however young the
// last reading is.
func TestEvents_pagesShowThem(t *testing.T) {
	store := &pushing{Memory: engine.NewMemory()}
	p := newPanel(t, store, panel.Options{})
	l := listen(t, serve(t, p), "")
	l.next("ready")
	for i := range 50 {
		action, want := engine.ActionTrip, "open"
		if i%2 == 1 {
			action, want = engine.ActionReset, "closed"
		}
		store.control(t, "a", action)
		l.next("transition")
		if list := decode[listed](t, send(t, p, "GET", "/api/breakers", "")); len(list.Breakers) != 1 || list.Breakers[0].State != want {
			t.Fatalf("after event %d the list has %+v, want %s", i, list.Breakers, want)
		}
	}
}

// A browser that was away receives what it missed, from the logs.
func TestEvents_resume(t *testing.T) {
	store := &pushing{Memory: engine.NewMemory()}
	url := serve(t, newPanel(t, store, panel.Options{}))
	l := listen(t, url, "")
	l.next("ready")
	store.control(t, "a", engine.ActionTrip)
	last := l.next("transition")
	l.cancel()

	var want []int64
	for range 3 {
		want = append(want, store.control(t, "a", engine.ActionTrip).Epoch, store.control(t, "b", engine.ActionTrip).Epoch)
	}
	again := listen(t, url, last.id)
	var got []int64
	ids := map[string]bool{}
	for len(got) < len(want) {
		e := again.next("transition")
		got = append(got, e.data.Event.Transition.Epoch)
		if ids[e.id] || e.id == last.id {
			t.Errorf("%s was sent twice", e.id)
		}
		ids[e.id] = true
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("it received %d, want %d", got, want)
	}
	// What comes live follows.
	moved := store.control(t, "a", engine.ActionReset)
	for e := again.next("transition"); e.data.Event.Transition.Epoch != moved.Epoch; {
		e = again.next("transition")
	}
}

// What the log no longer has is reported as missed.
func TestEvents_resumeAfterOverrun(t *testing.T) {
	store := &pushing{Memory: engine.NewMemory()}
	url := serve(t, newPanel(t, store, panel.Options{}))
	l := listen(t, url, "")
	l.next("ready")
	store.control(t, "a", engine.ActionTrip)
	last := l.next("transition")
	l.cancel()
	time.Sleep(2 * time.Millisecond) // the clock of the entries has milliseconds
	for range 40 {
		store.control(t, "a", engine.ActionTrip)
	}
	again := listen(t, url, last.id)
	if e := again.next("missed"); e.data.Event.Name != "a" || e.data.Event.Missed != -1 {
		t.Errorf("%+v", e)
	}
	for range 16 {
		again.next("transition")
	}
}

func TestEvents_badID(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	for _, id := range []string{"x", "1", "-1-2-3", "99999999999999999999-1-x", strings.Repeat("9", 1000)} {
		if a := b.send("GET", "/api/events", "", "Last-Event-ID: "+id); a.StatusCode != 400 {
			t.Errorf("%.20s: status %d", id, a.StatusCode)
		}
	}
}

// A storage whose push can never work is read.
func TestEvents_withoutPush(t *testing.T) {
	store := &pushing{Memory: engine.NewMemory(), fault: &engine.StorageError{Class: engine.ClassRefused, Op: "watch", Err: fmt.Errorf("NOPERM")}}
	l := listen(t, serve(t, newPanel(t, store, panel.Options{})), "")
	l.next("ready")
	store.control(t, "a", engine.ActionTrip)
	l.next("transition")
}

// Close ends the streams, so that a server that shuts down does not wait for them.
func TestEvents_close(t *testing.T) {
	store := &pushing{Memory: engine.NewMemory()}
	p := newPanel(t, store, panel.Options{})
	l := listen(t, serve(t, p), "")
	l.next("ready")
	p.Close()
	p.Close()
	timeout := time.After(patience)
	for isOpen := true; isOpen; {
		select {
		case _, isOpen = <-l.events:
		case <-timeout:
			t.Fatal("the stream goes on after Close")
		}
	}
	if a := send(t, p, "GET", "/api/events", ""); a.StatusCode != 503 {
		t.Errorf("after Close: status %d", a.StatusCode)
	}
	if a := send(t, p, "GET", "/", ""); a.StatusCode != 200 {
		t.Errorf("a page after Close: status %d", a.StatusCode)
	}
}
