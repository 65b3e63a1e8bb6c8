//go:build go1.25

package panel_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// pipeListener accepts the other ends of pipes, whose deadlines are those of the bubble.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours, nil
}

// A server resets an HTTP/2 stream whose write deadline is over, although nothing is
// written. So a stream between two heartbeats has none.
func TestBubble_http2StreamIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		p := newPanel(t, &pushing{Memory: engine.NewMemory()}, panel.Options{})
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: p, Protocols: &protocols}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		transport := &http.Transport{Protocols: &protocols, DialContext: l.dial}
		defer transport.CloseIdleConnections()

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", "http://panel/api/events", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil || response.ProtoMajor != 2 {
			t.Fatal(response, err)
		}
		defer response.Body.Close()
		began := time.Now()
		heartbeats := 0
		for lines := bufio.NewScanner(response.Body); heartbeats < 3; {
			if !lines.Scan() {
				t.Fatalf("the stream ended after %v: %v", time.Since(began), lines.Err())
			}
			if lines.Text() == ": heartbeat" {
				heartbeats++
			}
		}
	})
}
