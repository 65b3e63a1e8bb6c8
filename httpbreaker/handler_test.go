package httpbreaker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

func newHandler(t testing.TB, s httpbreaker.Source, next http.HandlerFunc, c httpbreaker.HandlerConfig) http.Handler {
	t.Helper()
	h, err := httpbreaker.NewHandler(s, next, c)
	if err != nil {
		t.Fatalf("NewHandler: %v", err)
	}
	return h
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler_status(t *testing.T) {
	for code := 200; code <= 599; code++ {
		b, o := newBreaker(t, neverOpens)
		h := newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }, httpbreaker.HandlerConfig{})
		if got := serve(h, httptest.NewRequest(http.MethodGet, "/", nil)).Code; got != code {
			t.Fatalf("%d became %d", code, got)
		}
		want := redbreaker.Success
		if code >= 500 && code != 501 && code != 505 {
			want = redbreaker.Failure
		}
		wantOutcomes(t, o, want)
	}
}

// TestHandler_firstStatus: the first final status counts, as it does on the wire.
func TestHandler_firstStatus(t *testing.T) {
	for name, c := range map[string]struct {
		next http.HandlerFunc
		want redbreaker.Outcome
	}{
		"nothing written": {func(http.ResponseWriter, *http.Request) {}, redbreaker.Success},
		"Write first":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x"); w.WriteHeader(500) }, redbreaker.Success},
		"String first":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x"); w.WriteHeader(500) }, redbreaker.Success},
		"Flush first":     {func(w http.ResponseWriter, _ *http.Request) { flush(w); w.WriteHeader(500) }, redbreaker.Success},
		"hints, then 503": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(503) }, redbreaker.Failure},
		"503, then 200":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); w.WriteHeader(200) }, redbreaker.Failure},
		"ReadFrom, then 5": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(strings.NewReader("xyz"), 2))
			w.WriteHeader(500)
		}, redbreaker.Success},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, http2 bool) {
				b, o := newBreaker(t, neverOpens)
				h := newHandler(t, httpbreaker.One(b), c.next, httpbreaker.HandlerConfig{})
				server := newServer(t, http2, h.ServeHTTP)
				_, _ = io.ReadAll(mustGet(t, server.Client(), server.URL).Body)
				eventually(t, "the handler ends", func() bool { return len(o.all()) > 0 })
				wantOutcomes(t, o, c.want)
			})
		})
	}
}

// TestHandler_rejects: 503 with Retry-After in whole seconds, rounded up, at least 1.
func TestHandler_rejects(t *testing.T) {
	served := 0
	next := func(w http.ResponseWriter, _ *http.Request) { served++; w.WriteHeader(500) }
	clock, storage := newClock()
	b, o := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: 3 * time.Second}, storage)
	h := newHandler(t, httpbreaker.One(b), next, httpbreaker.HandlerConfig{})
	serve(h, httptest.NewRequest(http.MethodGet, "/", nil))
	for _, c := range []struct {
		advance time.Duration
		want    string
	}{{0, "3"}, {time.Millisecond, "3"}, {999 * time.Millisecond, "2"}, {time.Second, "1"}, {999 * time.Millisecond, "1"}} {
		clock.advance(c.advance)
		w := serve(h, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != 503 || w.Header().Get("Retry-After") != c.want || w.Body.String() != "Service Unavailable\n" {
			t.Errorf("got %d, Retry-After %q, %q; want 503, %q", w.Code, w.Header().Get("Retry-After"), w.Body, c.want)
		}
	}
	if served != 1 {
		t.Errorf("served %d requests, want 1", served)
	}
	wantOutcomes(t, o, redbreaker.Failure)

	control(t, b, redbreaker.ActionForceOpen) // has no end
	if w := serve(h, httptest.NewRequest(http.MethodGet, "/", nil)); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("forced open: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}

// TestHandler_reject: the answer is the user's, whatever the reason.
func TestHandler_reject(t *testing.T) {
	errSource := errors.New("no such tenant")
	open, _ := newBreaker(t, opensAtOnce)
	control(t, open, redbreaker.ActionTrip)
	closed, _ := newBreaker(t, opensAtOnce)
	stopped, _ := newBreaker(t, opensAtOnce)
	stopped.Stop()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for want, c := range map[error]struct {
		source httpbreaker.Source
		ctx    context.Context
		after  string
	}{
		redbreaker.ErrRejected: {httpbreaker.One(open), t.Context(), "60"},
		redbreaker.ErrStopped:  {httpbreaker.One(stopped), t.Context(), "1"},
		context.Canceled:       {httpbreaker.One(closed), done, "1"},
		errSource:              {func(*http.Request) (*redbreaker.Breaker, error) { return nil, errSource }, t.Context(), "1"},
	} {
		h := newHandler(t, c.source, func(http.ResponseWriter, *http.Request) { t.Errorf("%v: served", want) }, httpbreaker.HandlerConfig{
			Reject: func(w http.ResponseWriter, r *http.Request, err error) {
				if !errors.Is(err, want) {
					t.Errorf("rejected for %v, want %v", err, want)
				}
				http.Error(w, "back soon: "+r.URL.Path, http.StatusTeapot)
			},
		})
		w := serve(h, httptest.NewRequest(http.MethodGet, "/x", nil).WithContext(c.ctx))
		if w.Code != http.StatusTeapot || w.Body.String() != "back soon: /x\n" || w.Header().Get("Retry-After") != c.after {
			t.Errorf("%v: %d %q, Retry-After %q", want, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
	}
}

// TestHandler_unprotected: without a breaker the next handler gets the very writer.
func TestHandler_unprotected(t *testing.T) {
	w := httptest.NewRecorder()
	none := func(*http.Request) (*redbreaker.Breaker, error) { return nil, nil }
	h := newHandler(t, none, func(got http.ResponseWriter, _ *http.Request) {
		if got != w {
			t.Errorf("the writer is a %T", got)
		}
	}, httpbreaker.HandlerConfig{})
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
}

// TestHandler_judge: the rule for responses is the user's, and a Retry-After that
// the handler sets is the open time.
func TestHandler_judge(t *testing.T) {
	_, storage := newClock()
	b, o := newBreaker(t, opensAtOnce, storage)
	h := newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "300")
		w.WriteHeader(http.StatusTooManyRequests)
	}, httpbreaker.HandlerConfig{Judge: func(status int, h http.Header) error {
		if status == http.StatusTooManyRequests && h.Get("Retry-After") != "" {
			return errors.New("overloaded")
		}
		return nil
	}})
	serve(h, httptest.NewRequest(http.MethodGet, "/", nil))
	wantOutcomes(t, o, redbreaker.Failure)
	if got := b.Status().RetryAfter; got != 5*time.Minute {
		t.Errorf("open for %v, want 5m", got)
	}
}

// TestHandler_panics: a panic counts as a failure and goes on, as does an exit.
func TestHandler_panics(t *testing.T) {
	for name, c := range map[string]struct {
		next   http.HandlerFunc
		config httpbreaker.HandlerConfig
		want   any
	}{
		"abort":         {next: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: http.ErrAbortHandler},
		"panic":         {next: func(http.ResponseWriter, *http.Request) { panic("boom") }, want: "boom"},
		"after headers": {next: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); flush(w); panic("boom") }, want: "boom"},
		"exit":          {next: func(http.ResponseWriter, *http.Request) { runtime.Goexit() }},
		"judge": {next: func(http.ResponseWriter, *http.Request) {},
			config: httpbreaker.HandlerConfig{Judge: func(int, http.Header) error { panic("judge") }}, want: "judge"},
	} {
		t.Run(name, func(t *testing.T) {
			b, o := newBreaker(t, neverOpens)
			h := newHandler(t, httpbreaker.One(b), c.next, c.config)
			ended := make(chan any)
			go func() {
				defer func() { ended <- recover() }()
				serve(h, httptest.NewRequest(http.MethodGet, "/", nil))
			}()
			if got := <-ended; got != c.want {
				t.Errorf("recovered %v, want %v", got, c.want)
			}
			wantOutcomes(t, o, redbreaker.Failure)
		})
	}
}

// TestHandler_clientLeaves: a client that disconnects is no failure of the server,
// whether the handler then returns, fails or panics.
func TestHandler_clientLeaves(t *testing.T) {
	for _, path := range []string{"/return", "/500", "/abort"} {
		eachProtocol(t, func(t *testing.T, http2 bool) {
			b, o := newBreaker(t, neverOpens)
			arrived := make(chan bool, 1)
			h := newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, r *http.Request) {
				arrived <- true
				<-r.Context().Done()
				switch r.URL.Path {
				case "/500":
					w.WriteHeader(http.StatusInternalServerError)
				case "/abort":
					panic(http.ErrAbortHandler)
				}
			}, httpbreaker.HandlerConfig{})
			server := newServer(t, http2, h.ServeHTTP)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-arrived
				cancel()
			}()
			if _, err := get(t, ctx, server.Client(), server.URL+path); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", path, err)
			}
			eventually(t, "the handler ends", func() bool { return len(o.all()) > 0 })
			wantOutcomes(t, o, redbreaker.Ignored)
		})
	}
}

// TestHandler_proxy: a reverse proxy panics both if its backend breaks and if its
// client leaves. Only the first is a failure.
func TestHandler_proxy(t *testing.T) {
	backend := newServer(t, false, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "part")
		flush(w)
		if r.URL.Path == "/break" {
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
	})
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = backend.Client().Transport
	proxy.FlushInterval = -1
	proxy.ErrorLog = quiet
	for path, want := range map[string]redbreaker.Outcome{"/break": redbreaker.Failure, "/leave": redbreaker.Ignored} {
		b, o := newBreaker(t, neverOpens)
		server := newServer(t, false, newHandler(t, httpbreaker.One(b), proxy.ServeHTTP, httpbreaker.HandlerConfig{}).ServeHTTP)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := get(t, ctx, server.Client(), server.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if path == "/leave" {
			cancel()
		}
		_, _ = io.ReadAll(r.Body)
		r.Body.Close()
		eventually(t, "the handler ends", func() bool { return len(o.all()) > 0 })
		wantOutcomes(t, o, want)
	}
}

// TestHandler_probeStreams: a probe that streams is settled by its first flush.
func TestHandler_probeStreams(t *testing.T) {
	for _, flushing := range []bool{true, false} {
		b, o := newBreaker(t, opensAtOnce)
		inside := make(chan redbreaker.State)
		release := make(chan bool)
		h := newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "first")
			if flushing {
				flush(w)
			}
			inside <- b.State()
			<-release
		}, httpbreaker.HandlerConfig{})
		control(t, b, redbreaker.ActionHalfOpen)
		server := newServer(t, false, h.ServeHTTP)
		go func() {
			_, _ = get(t, t.Context(), server.Client(), server.URL)
		}()
		want := redbreaker.StateHalfOpen
		if flushing {
			want = redbreaker.StateClosed
		}
		if got := <-inside; got != want {
			t.Errorf("flushing %v: %v within the handler, want %v", flushing, got, want)
		}
		release <- true
		eventually(t, "the circuit closes", func() bool { return b.State() == redbreaker.StateClosed })
		wantOutcomes(t, o, redbreaker.Success)
	}
}

// TestHandler_capabilities: the writer can what the server's can, and no more.
func TestHandler_capabilities(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		b, o := newBreaker(t, neverOpens)
		server := newServer(t, http2, newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) {
			_, flushes := w.(http.Flusher)
			_, hijacks := w.(http.Hijacker)
			_, copies := w.(io.ReaderFrom)
			fmt.Fprintf(w, "%v %v %v ", flushes, hijacks, copies)
			c := http.NewResponseController(w)
			fmt.Fprint(w, c.SetWriteDeadline(time.Now().Add(time.Minute)), c.Flush())
		}, httpbreaker.HandlerConfig{}).ServeHTTP)
		text, _ := io.ReadAll(mustGet(t, server.Client(), server.URL).Body)
		if want := fmt.Sprintf("true %v true <nil> <nil>", !http2); string(text) != want {
			t.Errorf("got %q, want %q", text, want)
		}
		eventually(t, "the handler ends", func() bool { return len(o.all()) > 0 })
		wantOutcomes(t, o, redbreaker.Success)
	})

	b, _ := newBreaker(t, neverOpens)
	newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := w.(http.Flusher); ok {
			t.Error("it claims to flush")
		}
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("flushed with %v", err)
		}
	}, httpbreaker.HandlerConfig{}).ServeHTTP(bareWriter{}, httptest.NewRequest(http.MethodGet, "/", nil))

	// A writer that is wrapped by another middleware still flushes and hijacks.
	hijacked := &hijackRecorder{ResponseRecorder: httptest.NewRecorder()}
	newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		if _, _, err := w.(http.Hijacker).Hijack(); err != nil {
			t.Error(err)
		}
	}, httpbreaker.HandlerConfig{}).ServeHTTP(unwrapper{hijacked}, httptest.NewRequest(http.MethodGet, "/", nil))
	if !hijacked.Flushed || hijacked.hijacked != 1 {
		t.Errorf("flushed %v, hijacked %d", hijacked.Flushed, hijacked.hijacked)
	}
}

type bareWriter struct{}

func (bareWriter) Header() http.Header         { return http.Header{} }
func (bareWriter) Write(p []byte) (int, error) { return len(p), nil }
func (bareWriter) WriteHeader(int)             {}

type unwrapper struct{ w http.ResponseWriter }

func (u unwrapper) Header() http.Header         { return u.w.Header() }
func (u unwrapper) Write(p []byte) (int, error) { return u.w.Write(p) }
func (u unwrapper) WriteHeader(code int)        { u.w.WriteHeader(code) }
func (u unwrapper) Unwrap() http.ResponseWriter { return u.w }

type hijackRecorder struct {
	*httptest.ResponseRecorder
	hijacked int
}

func (h *hijackRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked++
	return nil, nil, nil
}

// TestHandler_hijack: a probe that takes over the connection is a success then; a
// call of a closed circuit at the handler's end.
func TestHandler_hijack(t *testing.T) {
	for _, probe := range []bool{true, false} {
		b, o := newBreaker(t, opensAtOnce)
		if probe {
			control(t, b, redbreaker.ActionHalfOpen)
		}
		server := newServer(t, false, newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if got := len(o.all()) == 1; got != probe {
				t.Errorf("probe %v: settled %v", probe, got)
			}
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		}, httpbreaker.HandlerConfig{}).ServeHTTP)
		if r := mustGet(t, server.Client(), server.URL); r.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("got %s", r.Status)
		}
		eventually(t, "the handler ends", func() bool { return len(o.all()) > 0 })
		wantOutcomes(t, o, redbreaker.Success)
	}
}

// TestHandler_slow: by the time to the headers, or to the end.
func TestHandler_slow(t *testing.T) {
	policy := redbreaker.Policy{Window: redbreaker.Window{Calls: 10, SlowCallRate: 1, SlowCallDuration: time.Second}}
	for _, c := range []struct {
		headers, body time.Duration
		slowBody      bool
		want          redbreaker.Outcome
	}{
		{0, time.Hour, false, redbreaker.Success},
		{time.Second, 0, false, redbreaker.SlowSuccess},
		{0, time.Second, true, redbreaker.SlowSuccess},
	} {
		clock, storage := newClock()
		b, o := newBreaker(t, policy, storage)
		serve(newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) {
			clock.advance(c.headers)
			fmt.Fprint(w, "x")
			clock.advance(c.body)
		}, httpbreaker.HandlerConfig{SlowBody: c.slowBody}), httptest.NewRequest(http.MethodGet, "/", nil))
		wantOutcomes(t, o, c.want)
	}
}

// TestHandler_timeoutWithin: the 503 of a http.TimeoutHandler counts.
func TestHandler_timeoutWithin(t *testing.T) {
	b, o := newBreaker(t, neverOpens)
	slow := http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), time.Millisecond, "")
	serve(newHandler(t, httpbreaker.One(b), slow.ServeHTTP, httpbreaker.HandlerConfig{}), httptest.NewRequest(http.MethodGet, "/", nil))
	wantOutcomes(t, o, redbreaker.Failure)
}

func TestNewHandler_faults(t *testing.T) {
	_, err := httpbreaker.NewHandler(nil, http.HandlerFunc(nil), httpbreaker.HandlerConfig{})
	want := "redbreaker: NewHandler got a nil source, check the breaker, registry or key that it was made of: invalid argument\n" +
		"redbreaker: NewHandler got no next handler, pass the one to protect: invalid argument"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" || !errors.Is(err, redbreaker.ErrInvalid) {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
