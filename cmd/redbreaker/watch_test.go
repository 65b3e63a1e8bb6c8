package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// lockedBuffer is written by the command and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// The command prints transitions as they happen, until its context ends.
func TestWatch(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for _, form := range []format{"text", "json"} {
			store := s.storage(t)
			watching, cancel := context.WithCancel(ctx)
			var out lockedBuffer
			ended := make(chan error, 1)
			go func() { ended <- (&session{store: store}).watch(watching, &out, form, nil) }()
			await := func(text string) {
				t.Helper()
				awaitOutput(t, &out, text)
			}
			await("ready")
			s.must(t, "trip", "payments", "--create", "--reason", "drill")
			if form == "json" {
				await(`"kind":"transition","name":"payments"`)
			} else {
				await(`payments: closed > open (operator)`)
			}
			s.must(t, "reset", "payments")
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("an interrupted watch ends with %v", err)
			}
		}
	})
}

func TestWatch_events(t *testing.T) {
	for want, e := range map[string]engine.Event{
		"dep: some transitions missed, now open, mode auto": {Kind: redbreaker.EventMissed, Name: "dep", Missed: -1, State: redbreaker.StateOpen},
		"dep: 3 transitions missed, now closed, mode auto":  {Kind: redbreaker.EventMissed, Name: "dep", Missed: 3},
		"7 events dropped: the output is too slow":          {Kind: redbreaker.EventDropped, Dropped: 7},
		"events do not arrive, reading instead: context":    {Kind: redbreaker.EventPushLost, Err: context.Canceled},
		"lost": {Kind: redbreaker.EventLost},
	} {
		var out bytes.Buffer
		form := format("text")
		if err := form.writeEvent(&out, e); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%q, %v, want %q", out.String(), err, want)
		}
	}
}

// With names only their transitions are printed.
func TestWatch_names(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		store := s.storage(t)
		watching, cancel := context.WithCancel(ctx)
		var out lockedBuffer
		ended := make(chan error, 1)
		go func() {
			ended <- (&session{store: store}).watch(watching, &out, "text", []string{"payments", "search"})
		}()
		awaitOutput(t, &out, "ready")
		s.must(t, "trip", "orders", "--create")
		s.must(t, "trip", "payments", "--create")
		s.must(t, "trip", "search", "--create")
		awaitOutput(t, &out, "payments: closed > open")
		awaitOutput(t, &out, "search: closed > open")
		cancel()
		if err := <-ended; err != nil || strings.Contains(out.String(), "orders") {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
}
