//go:build go1.25

package web

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"iter"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// pipeListener accepts one pipe, whose deadlines are those of the bubble.
type pipeListener struct {
	conns chan net.Conn
	close sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error {
	l.close.Do(func() { close(l.conns) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// A client that does not send the body that it announced, or that does not read its
// response, is disconnected, also without the password.
func TestBubble_slowClients(t *testing.T) {
	for name, c := range map[string]struct {
		request  string
		password string
		pause    time.Duration // before the client reads
	}{
		"body":                  {request: "POST /breakers/search/reset HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"},
		"body without password": {request: "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n", password: "secret"},
		"response":              {request: "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", pause: 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := Config{Password: c.password}
				if c.password != "" {
					config.User = "ops"
				}
				ours, theirs := net.Pipe()
				defer ours.Close()
				l := &pipeListener{conns: make(chan net.Conn, 1)}
				l.conns <- theirs
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- newSite(t, config).Serve(ctx, l) }()
				defer func() {
					cancel()
					<-ended
				}()
				if _, err := io.WriteString(ours, c.request); err != nil {
					t.Fatal(err)
				}
				if err := ours.SetReadDeadline(time.Now().Add(c.pause + time.Minute)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.pause)
				response, err := io.ReadAll(ours)
				if err != nil {
					t.Fatalf("the client is still connected: %v", err)
				}
				if c.pause > 0 && bytes.Contains(response, []byte("</html>")) {
					t.Error("the response waited for its client")
				}
			})
		})
	}
}

// stuck is a storage whose Watch goes on for a minute after its context has ended, as one
// does whose connection hangs.
type stuck struct{ *engine.Memory }

func (s stuck) Watch(ctx context.Context, _ func(engine.Event)) error {
	<-ctx.Done()
	time.Sleep(time.Minute)
	return ctx.Err()
}

// The limit of a stop applies to the event streams and their Watch too.
func TestBubble_stopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		l := &pipeListener{conns: make(chan net.Conn, 1)}
		l.conns <- theirs
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- newSite(t, Config{Store: stuck{newStore(t)}}).Serve(ctx, l) }()
		if _, err := io.WriteString(ours, "GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(ours).ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		cancel()
		began := time.Now()
		<-ended
		if took := time.Since(began); took > stopTimeout {
			t.Errorf("Serve ended after %v, want %v at most", took, stopTimeout)
		}
		time.Sleep(time.Minute)
	})
}

// hanging is a storage that does not answer, and counts who asks.
type hanging struct {
	*engine.Memory
	asked, waiting atomic.Int32
}

func (h *hanging) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	return func(yield func(engine.Listed, error) bool) {
		h.asked.Add(1)
		h.waiting.Add(1)
		<-ctx.Done()
		h.waiting.Add(-1)
		yield(engine.Listed{}, ctx.Err())
	}
}

// Scrapes share one reading. It has a limit, and ends when their clients have left.
func TestBubble_scrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{Memory: engine.NewMemory()}
		s := newSite(t, Config{Store: store})
		for _, leave := range []time.Duration{time.Second, time.Hour} {
			ctx, cancel := context.WithTimeout(t.Context(), leave)
			began := time.Now()
			var all sync.WaitGroup
			for range 50 {
				all.Add(1)
				go func() {
					defer all.Done()
					ask(s, "GET", "/metrics", func(r *http.Request) { *r = *r.WithContext(ctx) })
				}()
			}
			all.Wait()
			cancel()
			synctest.Wait()
			if took := time.Since(began); took > scrapeTimeout || store.waiting.Load() != 0 {
				t.Errorf("clients leave after %v: the reading took %v, %d readings go on", leave, took, store.waiting.Load())
			}
		}
		if n := store.asked.Load(); n != 2 {
			t.Errorf("%d readings for 2 rounds of scrapes", n)
		}
	})
}
