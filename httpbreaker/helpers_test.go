package httpbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// patience only ends a test that fails.
const patience = 30 * time.Second

// neverOpens counts, and lets everything through.
var neverOpens = redbreaker.Policy{ConsecutiveFailures: 1 << 30}

// opensAtOnce opens the circuit for a minute with the first failure.
var opensAtOnce = redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute}

// outcomes notes how calls ended.
type outcomes struct {
	mu   sync.Mutex
	list []redbreaker.Outcome
}

func (o *outcomes) note(out redbreaker.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, out)
}

func (o *outcomes) all() []redbreaker.Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]redbreaker.Outcome(nil), o.list...)
}

// count returns how many calls ended so.
func (o *outcomes) count(out redbreaker.Outcome) int {
	n := 0
	for _, got := range o.all() {
		if got == out {
			n++
		}
	}
	return n
}

// hooks is the option that notes outcomes.
func (o *outcomes) hooks() redbreaker.Option {
	return redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(_ context.Context, r redbreaker.CallResult) { o.note(r.Outcome) },
	})
}

func newBreaker(t testing.TB, p redbreaker.Policy, opts ...redbreaker.Option) (*redbreaker.Breaker, *outcomes) {
	t.Helper()
	o := &outcomes{}
	b, err := redbreaker.New("dep", p, append(opts, o.hooks())...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(b.Stop)
	return b, o
}

func newTransport(t testing.TB, s httpbreaker.Source, next http.RoundTripper, c httpbreaker.TransportConfig) *httpbreaker.Transport {
	t.Helper()
	transport, err := httpbreaker.NewTransport(s, next, c)
	if err != nil {
		t.Fatalf("NewTransport: %v", err)
	}
	return transport
}

// newClient returns a client of the server whose calls b protects.
func newClient(t testing.TB, server *httptest.Server, b *redbreaker.Breaker, c httpbreaker.TransportConfig) *http.Client {
	t.Helper()
	client := *server.Client()
	client.Transport = newTransport(t, httpbreaker.One(b), client.Transport, c)
	t.Cleanup(client.CloseIdleConnections)
	return &client
}

// newServer serves h over HTTP/1, or HTTP/2 with TLS.
func newServer(t testing.TB, http2 bool, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = quiet
	if http2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// eachProtocol runs a test over HTTP/1 and HTTP/2.
func eachProtocol(t *testing.T, test func(t *testing.T, http2 bool)) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/%d", map[bool]int{false: 1, true: 2}[http2]), func(t *testing.T) { test(t, http2) })
	}
}

func get(t testing.TB, ctx context.Context, client *http.Client, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err // not Fatal: get is called by other goroutines than the test's
	}
	return client.Do(r)
}

// mustGet fails the test where there is no response.
func mustGet(t testing.TB, client *http.Client, url string) *http.Response {
	t.Helper()
	r, err := get(t, t.Context(), client, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

func flush(w http.ResponseWriter) {
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(err)
	}
}

func wantOutcomes(t testing.TB, o *outcomes, want ...redbreaker.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, o.all()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func wantState(t testing.TB, b *redbreaker.Breaker, want redbreaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Errorf("state is %v, want %v", got, want)
	}
}

func wantRejected(t testing.TB, err error) *redbreaker.RejectedError {
	t.Helper()
	var r *redbreaker.RejectedError
	if !errors.As(err, &r) || !errors.Is(err, redbreaker.ErrRejected) {
		t.Fatalf("error is %v, want a rejection", err)
	}
	return r
}

func control(t testing.TB, b *redbreaker.Breaker, a redbreaker.Action) {
	t.Helper()
	if _, err := b.Control(t.Context(), redbreaker.Command{Action: a}); err != nil {
		t.Fatal(err)
	}
}

// clock is one that a test moves.
type clock struct{ now atomic.Int64 }

func newClock() (*clock, redbreaker.Option) {
	c := &clock{}
	c.advance(time.Second)
	return c, redbreaker.WithStorage(engine.NewMemory(engine.WithClock(func() time.Duration {
		return time.Duration(c.now.Load())
	})))
}

func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// roundTrip is a RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// closeRecorder is a request's body that records Close.
type closeRecorder struct {
	io.Reader
	closed atomic.Int32
}

func (c *closeRecorder) Close() error {
	c.closed.Add(1)
	return nil
}
