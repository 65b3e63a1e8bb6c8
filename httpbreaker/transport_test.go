package httpbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// quiet swallows what servers log of handlers that panic.
var quiet = log.New(io.Discard, "", 0)

// TestTransport_status: how each status counts, at the headers if it is a failure.
func TestTransport_status(t *testing.T) {
	failures := map[int]bool{429: true}
	for code := 500; code <= 599; code++ {
		failures[code] = code != 501 && code != 505
	}
	for code := 200; code <= 599; code++ {
		b, o := newBreaker(t, neverOpens)
		body := io.NopCloser(strings.NewReader("x"))
		transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, ContentLength: 1, Body: body}, nil
		}), httpbreaker.TransportConfig{})
		r, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil))
		if err != nil || r.StatusCode != code {
			t.Fatalf("%d: %v, %v", code, r, err)
		}
		if failures[code] {
			wantOutcomes(t, o, redbreaker.Failure)
			if r.Body != body {
				t.Errorf("%d: a body that decides nothing was replaced", code)
			}
			continue
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Fatal(err)
		}
		wantOutcomes(t, o, redbreaker.Success)
	}
}

// TestTransport_body: a call ends where its body ends.
func TestTransport_body(t *testing.T) {
	errReset := errors.New("reset")
	for _, c := range []struct {
		name   string
		serve  http.HandlerFunc
		finish func(t *testing.T, cancel context.CancelCauseFunc, body io.ReadCloser)
		want   redbreaker.Outcome
	}{
		{"read to its end", nil, func(t *testing.T, _ context.CancelCauseFunc, body io.ReadCloser) {
			if text, err := io.ReadAll(body); err != nil || string(text) != "first second" {
				t.Errorf("read %q, %v", text, err)
			}
		}, redbreaker.Success},
		{"closed early", nil, func(_ *testing.T, _ context.CancelCauseFunc, body io.ReadCloser) {
			body.Close()
		}, redbreaker.Success},
		{"closed after a part", nil, func(t *testing.T, _ context.CancelCauseFunc, body io.ReadCloser) {
			if _, err := io.ReadFull(body, make([]byte, 5)); err != nil {
				t.Error(err)
			}
			body.Close()
		}, redbreaker.Success},
		{"cut", func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, func(t *testing.T, _ context.CancelCauseFunc, body io.ReadCloser) {
			if text, err := io.ReadAll(body); err == nil || string(text) != "first " {
				t.Errorf("read %q, %v", text, err)
			}
		}, redbreaker.Failure},
		{"cancelled", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, func(t *testing.T, cancel context.CancelCauseFunc, body io.ReadCloser) {
			time.AfterFunc(10*time.Millisecond, func() { cancel(nil) })
			if _, err := io.ReadAll(body); !errors.Is(err, context.Canceled) {
				t.Errorf("read with %v", err)
			}
		}, redbreaker.Ignored},
		{"cancelled with a cause", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, func(t *testing.T, cancel context.CancelCauseFunc, body io.ReadCloser) {
			time.AfterFunc(10*time.Millisecond, func() { cancel(errReset) })
			if _, err := io.ReadAll(body); err == nil {
				t.Error("read to the end")
			}
		}, redbreaker.Ignored},
		{"cancelled, then closed", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, func(_ *testing.T, cancel context.CancelCauseFunc, body io.ReadCloser) {
			cancel(nil)
			body.Close()
		}, redbreaker.Ignored},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, http2 bool) {
				server := newServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, "first ")
					flush(w)
					if c.serve != nil {
						c.serve(w, r)
					}
					fmt.Fprint(w, "second")
				})
				b, o := newBreaker(t, neverOpens)
				client := newClient(t, server, b, httpbreaker.TransportConfig{})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				r, err := get(t, ctx, client, server.URL)
				if err != nil {
					t.Fatal(err)
				}
				wantOutcomes(t, o) // not before
				c.finish(t, cancel, r.Body)
				wantOutcomes(t, o, c.want)
				r.Body.Close()
				wantOutcomes(t, o, c.want) // and once
			})
		})
	}
}

// TestTransport_deadline: a deadline is a failure, before the headers and after,
// whether it comes from the context or from http.Client.
func TestTransport_deadline(t *testing.T) {
	for _, early := range []bool{true, false} {
		for _, byClient := range []bool{true, false} {
			t.Run(fmt.Sprintf("headers %v, client %v", !early, byClient), func(t *testing.T) {
				eachProtocol(t, func(t *testing.T, http2 bool) {
					// On a busy machine the deadline may pass before the call is made, or before the
					// headers arrive, which are other cases.
					timeout := 100 * time.Millisecond
					for !endByDeadline(t, http2, early, byClient, timeout) {
						if timeout *= 2; timeout > patience {
							t.Fatalf("the call did not get that far within %v", timeout/2)
						}
					}
				})
			})
		}
	}
}

// endByDeadline makes a call that its deadline ends, before the headers or after. It
// returns false if the deadline passed earlier than it should.
func endByDeadline(t *testing.T, http2, early, byClient bool, timeout time.Duration) bool {
	t.Helper()
	var arrived atomic.Bool
	server := newServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
		arrived.Store(true)
		if !early {
			fmt.Fprint(w, "x")
			flush(w)
		}
		<-r.Context().Done()
	})
	b, o := newBreaker(t, neverOpens)
	client := newClient(t, server, b, httpbreaker.TransportConfig{})
	ctx := t.Context()
	if byClient {
		client.Timeout = timeout
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	r, err := get(t, ctx, client, server.URL)
	if tooEarly := !arrived.Load() || !early && err != nil; tooEarly && errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if !early {
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(r.Body)
		r.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	wantOutcomes(t, o, redbreaker.Failure)
	return true
}

// TestTransport_closedAfterDeadline: a caller that closes the body after its
// deadline says nothing about the server.
func TestTransport_closedAfterDeadline(t *testing.T) {
	b, o := newBreaker(t, neverOpens)
	transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(strings.NewReader("x"))}, nil
	}), httpbreaker.TransportConfig{})
	ctx := &endedContext{Context: t.Context(), done: make(chan struct{})}
	r, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	close(ctx.done)
	r.Body.Close()
	wantOutcomes(t, o, redbreaker.Ignored)
}

// endedContext is a context whose deadline passes when the test closes done: a real one
// may pass before the test is ready for it.
type endedContext struct {
	context.Context
	done chan struct{}
}

func (c *endedContext) Done() <-chan struct{} { return c.done }

func (c *endedContext) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestTransport_noHeaders: how a request ends that gets no response.
func TestTransport_noHeaders(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		arrived := make(chan bool)
		server := newServer(t, http2, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/abort" {
				panic(http.ErrAbortHandler)
			}
			arrived <- true
			<-r.Context().Done()
		})
		b, o := newBreaker(t, neverOpens)
		client := newClient(t, server, b, httpbreaker.TransportConfig{})

		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if _, err := get(t, ctx, client, server.URL); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		wantOutcomes(t, o, redbreaker.Ignored)

		if _, err := get(t, t.Context(), client, server.URL+"/abort"); err == nil {
			t.Error("aborted: no error")
		}
		wantOutcomes(t, o, redbreaker.Ignored, redbreaker.Failure)

		server.CloseClientConnections()
		server.Listener.Close()
		if _, err := get(t, t.Context(), client, server.URL); err == nil {
			t.Error("refused: no error")
		}
		wantOutcomes(t, o, redbreaker.Ignored, redbreaker.Failure, redbreaker.Failure)
	})
}

// TestTransport_noBody: without a body the headers decide.
func TestTransport_noBody(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		server := newServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/204":
				w.WriteHeader(http.StatusNoContent)
			case "/304":
				w.WriteHeader(http.StatusNotModified)
			case "/empty":
				w.Header().Set("Content-Length", "0")
			case "/head":
				w.Header().Set("Content-Length", "1000")
			}
		})
		for _, path := range []string{"/204", "/304", "/empty", "/head"} {
			b, o := newBreaker(t, neverOpens)
			client := newClient(t, server, b, httpbreaker.TransportConfig{})
			method := http.MethodGet
			if path == "/head" {
				method = http.MethodHead
			}
			request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := client.Do(request)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if o.count(redbreaker.Success) != 1 {
				t.Errorf("%s: not settled at the headers", path)
			}
			r.Body.Close()
			wantOutcomes(t, o, redbreaker.Success)
		}
	})
}

// TestTransport_connections: where the body is a connection, or there is none, the
// headers decide, whatever else they say.
func TestTransport_connections(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		open   bool
	}{
		{http.MethodGet, 101, false}, {http.MethodConnect, 200, false}, {http.MethodHead, 200, false},
		{http.MethodGet, 204, false}, {http.MethodGet, 304, false}, {http.MethodGet, 200, true}, {http.MethodPost, 206, true},
	} {
		b, o := newBreaker(t, neverOpens)
		body := io.NopCloser(strings.NewReader("x"))
		r, err := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: c.status, ContentLength: -1, Body: body}, nil
		}), httpbreaker.TransportConfig{}).RoundTrip(httptest.NewRequest(c.method, "http://x/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if replaced := r.Body != body; replaced != c.open || len(o.all()) == 1 == c.open {
			t.Errorf("%s, %d: body replaced %v, outcomes %v", c.method, c.status, replaced, o.all())
		}
		r.Body.Close()
		wantOutcomes(t, o, redbreaker.Success)
	}
}

// TestTransport_probeReadsNothing: a Read without bytes shows nothing.
func TestTransport_probeReadsNothing(t *testing.T) {
	b, o := newBreaker(t, opensAtOnce)
	control(t, b, redbreaker.ActionHalfOpen)
	errReset := errors.New("reset")
	reads := []error{nil, nil, errReset}
	r, err := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(readFunc(func([]byte) (int, error) {
			err := reads[0]
			reads = reads[1:]
			return 0, err
		}))}, nil
	}), httpbreaker.TransportConfig{}).RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	for err == nil {
		_, err = r.Body.Read(make([]byte, 1))
	}
	wantOutcomes(t, o, redbreaker.Failure)
	wantState(t, b, redbreaker.StateOpen)
}

// readFunc is a Reader.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestTransport_switchingProtocols: after a 101 the body is still the connection.
func TestTransport_switchingProtocols(t *testing.T) {
	server := newServer(t, false, func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		fmt.Fprint(conn, "echo "+line)
	})
	b, o := newBreaker(t, neverOpens)
	client := newClient(t, server, b, httpbreaker.TransportConfig{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "echo")
	r, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	wantOutcomes(t, o, redbreaker.Success)
	conn, ok := r.Body.(io.ReadWriteCloser)
	if r.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("%s with a body of type %T", r.Status, r.Body)
	}
	fmt.Fprintln(conn, "hello")
	if text, err := io.ReadAll(conn); string(text) != "echo hello\n" {
		t.Errorf("read %q, %v", text, err)
	}
}

// TestTransport_informational: responses before the final one count nothing.
func TestTransport_informational(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		server := newServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.Copy(io.Discard, r.Body) // which sends the 100
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		b, o := newBreaker(t, neverOpens)
		client := newClient(t, server, b, httpbreaker.TransportConfig{})
		var hints atomic.Int32
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error {
				hints.Add(1)
				return nil
			},
		})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Expect", "100-continue")
		r, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if hints.Load() == 0 {
			t.Error("no informational response came")
		}
		wantOutcomes(t, o, redbreaker.Failure)
	})
}

// TestTransport_trailers: trailers arrive, and a judge of the body sees them.
func TestTransport_trailers(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		server := newServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Outcome")
			fmt.Fprint(w, "text")
			flush(w)
			w.Header().Set("Outcome", "lost")
		})
		errLost := errors.New("lost")
		b, o := newBreaker(t, neverOpens)
		var chunks []string
		client := newClient(t, server, b, httpbreaker.TransportConfig{
			BodyJudge: func(r *http.Response) func([]byte) error {
				return func(chunk []byte) error {
					chunks = append(chunks, string(chunk))
					if chunk == nil && r.Trailer.Get("Outcome") == "lost" {
						return errLost
					}
					return nil
				}
			},
		})
		r := mustGet(t, client, server.URL)
		if text, err := io.ReadAll(r.Body); err != nil || string(text) != "text" || r.Trailer.Get("Outcome") != "lost" {
			t.Errorf("read %q, %v, trailers %v", text, err, r.Trailer)
		}
		if diff := cmp.Diff([]string{"text", ""}, chunks); diff != "" {
			t.Errorf("judged (-want +got):\n%s", diff)
		}
		wantOutcomes(t, o, redbreaker.Failure)
	})
}

// TestTransport_gzip: the transport's own decompression stays, and a compressed
// body that is cut is a failure.
func TestTransport_gzip(t *testing.T) {
	whole := gzipped(t, strings.Repeat("text ", 1000))
	for size, want := range map[int]redbreaker.Outcome{len(whole): redbreaker.Success, len(whole) / 2: redbreaker.Failure} {
		server := newServer(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(whole[:size])
		})
		b, o := newBreaker(t, neverOpens)
		r := mustGet(t, newClient(t, server, b, httpbreaker.TransportConfig{}), server.URL)
		text, err := io.ReadAll(r.Body)
		if !r.Uncompressed || (err == nil) != (len(text) == 5000) {
			t.Errorf("uncompressed %v, %d bytes, %v", r.Uncompressed, len(text), err)
		}
		wantOutcomes(t, o, want)
	}
}

// TestTransport_redirect: each hop counts for its own host.
func TestTransport_redirect(t *testing.T) {
	last := newServer(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	first := newServer(t, false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, last.URL, http.StatusFound) })
	o := &outcomes{}
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: opensAtOnce}, o.hooks())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	client := *first.Client()
	client.Transport = newTransport(t, httpbreaker.Keyed(registry, httpbreaker.ByHost), client.Transport, httpbreaker.TransportConfig{})
	t.Cleanup(client.CloseIdleConnections)
	if r := mustGet(t, &client, first.URL); r.StatusCode != http.StatusBadGateway {
		t.Errorf("got %s", r.Status)
	}
	wantOutcomes(t, o, redbreaker.Success, redbreaker.Failure)
	for url, want := range map[string]redbreaker.State{first.URL: redbreaker.StateClosed, last.URL: redbreaker.StateOpen} {
		b, err := registry.Get(strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, b, want)
	}
	_, err = get(t, t.Context(), &client, first.URL)
	if r := wantRejected(t, err); r.Name != strings.TrimPrefix(last.URL, "http://") {
		t.Errorf("rejected by %s", r.Name)
	}
}

// TestTransport_rejected: a rejection is found in the error of http.Client, does
// not look like one to retry, and the request goes nowhere but its body is closed.
func TestTransport_rejected(t *testing.T) {
	served := 0
	b, o := newBreaker(t, opensAtOnce)
	transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
		served++
		return nil, errors.New("down")
	}), httpbreaker.TransportConfig{})
	client := &http.Client{Transport: transport}
	if _, err := get(t, t.Context(), client, "http://x/"); err == nil {
		t.Fatal("no error")
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
		body := &closeRecorder{Reader: strings.NewReader("x")}
		request, err := http.NewRequestWithContext(t.Context(), method, "http://x/", body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Do(request)
		if r := wantRejected(t, err); r.Reason != redbreaker.ReasonOpen || r.RetryAfter() < 59*time.Second {
			t.Errorf("rejected with %v", r)
		}
		var within *url.Error
		if !errors.As(err, &within) || within.Timeout() || within.Temporary() {
			t.Errorf("%v looks like an error to retry", err)
		}
		if body.closed.Load() == 0 {
			t.Errorf("%s: the request's body is open", method)
		}
	}
	if served != 1 {
		t.Errorf("%d requests were sent, want 1", served)
	}
	wantOutcomes(t, o, redbreaker.Failure)
}

// TestTransport_unavailable: nor does the rejection of a storage that timed out
// look like a timeout, though it wraps one.
func TestTransport_unavailable(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	rejected := &redbreaker.RejectedError{Name: "x", Reason: redbreaker.ReasonUnavailable,
		Err: &redbreaker.StorageError{Class: redbreaker.ClassUnknown, Op: "acquire", Err: timeout}}
	transport := newTransport(t, func(*http.Request) (*redbreaker.Breaker, error) { return nil, rejected }, nil, httpbreaker.TransportConfig{})
	_, err := get(t, t.Context(), &http.Client{Transport: transport}, "http://x/")
	var temporary interface {
		Timeout() bool
		Temporary() bool
	}
	if !errors.As(err, &temporary) || temporary.Timeout() || temporary.Temporary() {
		t.Errorf("%v looks like a timeout", err)
	}
}

// TestTransport_notSent: whatever stops a request before it is sent, its body is
// closed, the error is the caller's, and nothing counts.
func TestTransport_notSent(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	errSource := errors.New("no such tenant")
	b, o := newBreaker(t, neverOpens)
	stopped, _ := newBreaker(t, neverOpens)
	stopped.Stop()
	for want, c := range map[error]struct {
		ctx    context.Context
		source httpbreaker.Source
	}{
		context.Canceled:      {done, httpbreaker.One(b)},
		errSource:             {t.Context(), func(*http.Request) (*redbreaker.Breaker, error) { return nil, errSource }},
		redbreaker.ErrStopped: {t.Context(), httpbreaker.One(stopped)},
	} {
		body := &closeRecorder{Reader: strings.NewReader("x")}
		request, err := http.NewRequestWithContext(c.ctx, http.MethodPost, "http://x/", body)
		if err != nil {
			t.Fatal(err)
		}
		next := roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("the request was sent")
			return nil, errSource
		})
		r, err := newTransport(t, c.source, next, httpbreaker.TransportConfig{}).RoundTrip(request)
		if r != nil || !errors.Is(err, want) {
			t.Errorf("got %v, %v, want %v", r, err, want)
		}
		if body.closed.Load() != 1 {
			t.Errorf("%v: the request's body was closed %d times", want, body.closed.Load())
		}
	}
	wantOutcomes(t, o)
}

// TestTransport_unprotected: without a breaker a request passes as if there were
// no Transport.
func TestTransport_unprotected(t *testing.T) {
	sent := &http.Response{StatusCode: 500, Body: http.NoBody}
	next := roundTrip(func(*http.Request) (*http.Response, error) { return sent, nil })
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	none := httpbreaker.Keyed(registry, func(*http.Request) string { return "" })
	r, err := newTransport(t, none, next, httpbreaker.TransportConfig{}).RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil))
	if r != sent || err != nil {
		t.Errorf("got %v, %v", r, err)
	}
	for name := range registry.All() {
		t.Errorf("a breaker %q was made", name)
	}
}

// TestTransport_probe: a probe is decided by the first bytes, so half-open ends
// while the stream goes on; what the stream becomes then no longer counts.
func TestTransport_probe(t *testing.T) {
	more := make(chan bool)
	server := newServer(t, false, func(w http.ResponseWriter, r *http.Request) {
		flush(w)
		for range 2 {
			select {
			case <-more:
			case <-r.Context().Done():
			}
			fmt.Fprintln(w, "event")
			flush(w)
		}
		panic(http.ErrAbortHandler)
	})
	b, o := newBreaker(t, opensAtOnce)
	client := newClient(t, server, b, httpbreaker.TransportConfig{})
	control(t, b, redbreaker.ActionHalfOpen)
	r := mustGet(t, client, server.URL)
	wantState(t, b, redbreaker.StateHalfOpen) // headers alone show nothing
	_, err := get(t, t.Context(), client, server.URL)
	if r := wantRejected(t, err); r.Reason != redbreaker.ReasonProbing {
		t.Errorf("rejected: %v", r)
	}
	more <- true
	if _, err := r.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	wantState(t, b, redbreaker.StateClosed)
	more <- true
	if _, err := io.ReadAll(r.Body); err == nil {
		t.Error("the stream was not cut")
	}
	wantState(t, b, redbreaker.StateClosed)
	wantOutcomes(t, o, redbreaker.Success)
}

// TestTransport_probeFails: by an error before the first byte, by a judge of the
// first chunk, by headers.
func TestTransport_probeFails(t *testing.T) {
	errEvent := errors.New("error event")
	for path, c := range map[string]httpbreaker.TransportConfig{
		"/cut":   {},
		"/503":   {},
		"/event": {BodyJudge: func(*http.Response) func([]byte) error { return func([]byte) error { return errEvent } }},
	} {
		server := newServer(t, false, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/503":
				w.WriteHeader(http.StatusServiceUnavailable)
			case "/event":
				fmt.Fprint(w, "event: error\n\n")
			default:
				flush(w)
				panic(http.ErrAbortHandler)
			}
		})
		b, o := newBreaker(t, opensAtOnce)
		client := newClient(t, server, b, c)
		control(t, b, redbreaker.ActionHalfOpen)
		_, _ = io.ReadAll(mustGet(t, client, server.URL+path).Body)
		wantState(t, b, redbreaker.StateOpen)
		wantOutcomes(t, o, redbreaker.Failure)
	}
}

// TestTransport_probeClosedUnread: a caller that reads nothing gives the slot back
// with Close.
func TestTransport_probeClosedUnread(t *testing.T) {
	server := newServer(t, false, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "text") })
	b, o := newBreaker(t, opensAtOnce)
	client := newClient(t, server, b, httpbreaker.TransportConfig{})
	control(t, b, redbreaker.ActionHalfOpen)
	mustGet(t, client, server.URL).Body.Close()
	wantState(t, b, redbreaker.StateClosed)
	wantOutcomes(t, o, redbreaker.Success)
}

// TestTransport_slow: a call is slow by the time to its headers, or to its end.
func TestTransport_slow(t *testing.T) {
	policy := redbreaker.Policy{Window: redbreaker.Window{Calls: 10, SlowCallRate: 1, SlowCallDuration: time.Second}}
	for _, c := range []struct {
		headers, body time.Duration
		slowBody      bool
		want          redbreaker.Outcome
	}{
		{0, time.Hour, false, redbreaker.Success},
		{time.Second, 0, false, redbreaker.SlowSuccess},
		{0, time.Second, true, redbreaker.SlowSuccess},
		{time.Second / 2, time.Second / 4, true, redbreaker.Success},
		{time.Second / 2, time.Second / 2, true, redbreaker.SlowSuccess},
	} {
		clock, storage := newClock()
		b, o := newBreaker(t, policy, storage)
		transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
			clock.advance(c.headers)
			return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(strings.NewReader("x"))}, nil
		}), httpbreaker.TransportConfig{SlowBody: c.slowBody})
		r, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil))
		if err != nil {
			t.Fatal(err)
		}
		clock.advance(c.body)
		_, _ = io.ReadAll(r.Body)
		wantOutcomes(t, o, c.want)
	}
}

// TestTransport_retryAfter: the server's word is how long the circuit stays open.
func TestTransport_retryAfter(t *testing.T) {
	for _, c := range []struct {
		status int
		header http.Header
		vendor bool
		want   time.Duration
	}{
		{503, http.Header{"Retry-After": {"300"}}, false, 5 * time.Minute},
		{429, http.Header{"Retry-After": {"Sat, 28 Nov 2026 10:10:00 GMT"}, "Date": {"Sat, 28 Nov 2026 10:00:00 GMT"}}, false, 10 * time.Minute},
		{503, http.Header{"Retry-After-Ms": {"300000"}}, false, time.Minute},
		{503, http.Header{"Retry-After-Ms": {"300000"}}, true, 5 * time.Minute},
		{429, http.Header{"X-Ratelimit-Reset-Requests": {"4m0s"}}, true, 4 * time.Minute},
		{500, http.Header{"X-Ratelimit-Reset-Requests": {"4m0s"}}, true, time.Minute},
		{503, http.Header{"Retry-After": {"5"}}, false, 5 * time.Second},
		{503, nil, true, time.Minute},
	} {
		_, storage := newClock()
		b, _ := newBreaker(t, opensAtOnce, storage)
		transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: c.status, Header: c.header, Body: http.NoBody}, nil
		}), httpbreaker.TransportConfig{VendorHeaders: c.vendor})
		if _, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil)); err != nil {
			t.Fatal(err)
		}
		if got := b.Status().RetryAfter; got != c.want {
			t.Errorf("%d %v: open for %v, want %v", c.status, c.header, got, c.want)
		}
	}
}

// TestTransport_tripOnRetryAfter: by option, a server that asks for a pause gets it
// with the first response, whatever the thresholds.
func TestTransport_tripOnRetryAfter(t *testing.T) {
	for _, c := range []struct {
		status int
		header http.Header
		trip   bool
		want   time.Duration // 0: the circuit stays closed
	}{
		{429, http.Header{"Retry-After": {"300"}}, true, 5 * time.Minute},
		{503, http.Header{"Retry-After": {"5"}}, true, 5 * time.Second},
		{529, http.Header{"Retry-After": {"5"}}, true, 5 * time.Second},
		{429, http.Header{"Retry-After": {"5"}}, false, 0},
		{429, http.Header{"Retry-After": {"0"}}, true, 0},
		{503, nil, true, 0},
		{500, http.Header{"Retry-After": {"5"}}, true, 0},
		{200, http.Header{"Retry-After": {"5"}}, true, 0},
	} {
		_, storage := newClock()
		b, _ := newBreaker(t, neverOpens, storage)
		transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: c.status, Header: c.header, Body: http.NoBody}, nil
		}), httpbreaker.TransportConfig{TripOnRetryAfter: c.trip})
		if _, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil)); err != nil {
			t.Fatal(err)
		}
		if s := b.Status(); s.RetryAfter != c.want || (s.State == redbreaker.StateOpen) != (c.want > 0) {
			t.Errorf("%d %v, trip %v: %v for %v, want %v", c.status, c.header, c.trip, s.State, s.RetryAfter, c.want)
		}
	}
}

// TestTransport_judge: a rule of the user's, in place of the status; the breaker's
// classifiers still decide about its error.
func TestTransport_judge(t *testing.T) {
	errQuota, errIgnored := errors.New("quota"), errors.New("maintenance")
	b, o := newBreaker(t, neverOpens, redbreaker.WithClassifier(redbreaker.Ignore(errIgnored)))
	transport := newTransport(t, httpbreaker.One(b), roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: map[string]int{"/quota": 403, "/503": 503, "/ignored": 503}[r.URL.Path], Body: http.NoBody}, nil
	}), httpbreaker.TransportConfig{Judge: func(r *http.Response) error {
		switch r.StatusCode {
		case 403:
			return errQuota
		case 503:
			return errIgnored
		}
		return nil
	}})
	for _, path := range []string{"/quota", "/503"} {
		if _, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x"+path, nil)); err != nil {
			t.Fatal(err)
		}
	}
	wantOutcomes(t, o, redbreaker.Failure, redbreaker.Ignored)
}

// TestTransport_classifier: a classifier finds the StatusError.
func TestTransport_classifier(t *testing.T) {
	b, o := newBreaker(t, neverOpens, redbreaker.WithClassifier(redbreaker.IgnoreIf(func(err error) bool {
		var status *httpbreaker.StatusError
		return errors.As(err, &status) && status.StatusCode == 429
	})))
	for _, code := range []int{429, 503} {
		transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {"1"}}, Body: http.NoBody}, nil
		}), httpbreaker.TransportConfig{})
		if _, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil)); err != nil {
			t.Fatal(err)
		}
	}
	wantOutcomes(t, o, redbreaker.Ignored, redbreaker.Failure)
}

// TestTransport_hookContext: hooks get the request's context, for traces.
func TestTransport_hookContext(t *testing.T) {
	type key struct{}
	var got []any
	b, err := redbreaker.New("dep", neverOpens, redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(ctx context.Context, _ redbreaker.CallResult) { got = append(got, ctx.Value(key{})) },
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	transport := newTransport(t, httpbreaker.One(b), roundTrip(func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/error":
			return nil, errors.New("down")
		case "/503":
			return &http.Response{StatusCode: 503, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(strings.NewReader("x"))}, nil
	}), httpbreaker.TransportConfig{})
	for _, path := range []string{"/error", "/503", "/read", "/close"} {
		r, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x"+path, nil).WithContext(context.WithValue(t.Context(), key{}, path)))
		if err != nil {
			continue
		}
		if path == "/read" {
			_, _ = io.ReadAll(r.Body)
		}
		r.Body.Close()
	}
	if diff := cmp.Diff([]any{"/error", "/503", "/read", "/close"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTransport_panics: whatever runs within the call may panic or exit: that is a
// failure, and goes on.
func TestTransport_panics(t *testing.T) {
	answer := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: 1, Body: io.NopCloser(strings.NewReader("x"))}, nil
	})
	for name, c := range map[string]struct {
		next   http.RoundTripper
		config httpbreaker.TransportConfig
		exits  bool
	}{
		"next":       {next: roundTrip(func(*http.Request) (*http.Response, error) { panic("boom") })},
		"exit":       {next: roundTrip(func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil }), exits: true},
		"judge":      {next: answer, config: httpbreaker.TransportConfig{Judge: func(*http.Response) error { panic("boom") }}},
		"body judge": {next: answer, config: httpbreaker.TransportConfig{BodyJudge: func(*http.Response) func([]byte) error { panic("boom") }}},
		"chunk": {next: answer, config: httpbreaker.TransportConfig{BodyJudge: func(*http.Response) func([]byte) error {
			return func([]byte) error { panic("boom") }
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			b, o := newBreaker(t, neverOpens)
			transport := newTransport(t, httpbreaker.One(b), c.next, c.config)
			ended := make(chan any)
			go func() {
				defer func() { ended <- recover() }()
				r, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil))
				if err == nil {
					defer r.Body.Close()
					_, _ = io.ReadAll(r.Body)
				}
			}()
			if got := <-ended; (got == nil) != c.exits {
				t.Errorf("recovered %v", got)
			}
			wantOutcomes(t, o, redbreaker.Failure)
		})
	}
}

// TestTransport_brokenNext: a RoundTripper that returns nothing is a failure.
func TestTransport_brokenNext(t *testing.T) {
	b, o := newBreaker(t, neverOpens)
	transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil }), httpbreaker.TransportConfig{})
	if r, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil)); r != nil || err != nil {
		t.Errorf("got %v, %v", r, err)
	}
	wantOutcomes(t, o, redbreaker.Failure)
}

// TestTransport_closeFails: a body whose Close fails has failed.
func TestTransport_closeFails(t *testing.T) {
	b, o := newBreaker(t, neverOpens)
	errClose := errors.New("close")
	transport := newTransport(t, httpbreaker.One(b), roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: badCloser{errClose}}, nil
	}), httpbreaker.TransportConfig{})
	r, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != errClose {
		t.Errorf("closed with %v", err)
	}
	wantOutcomes(t, o, redbreaker.Failure)
}

type badCloser struct{ err error }

func (badCloser) Read([]byte) (int, error) { return 0, io.EOF }
func (c badCloser) Close() error           { return c.err }

// TestTransport_closeWhileReading: Close may come from another goroutine, as
// net/http allows. Then it is not known whether the stream had stalled.
func TestTransport_closeWhileReading(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		server := newServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			flush(w)
			<-r.Context().Done()
		})
		b, o := newBreaker(t, neverOpens)
		reading := make(chan struct{})
		transport := server.Client().Transport
		client := &http.Client{Transport: newTransport(t, httpbreaker.One(b), roundTrip(func(r *http.Request) (*http.Response, error) {
			response, err := transport.RoundTrip(r)
			if err == nil {
				response.Body = noticedBody{response.Body, reading}
			}
			return response, err
		}), httpbreaker.TransportConfig{})}
		r := mustGet(t, client, server.URL)
		ended := make(chan error)
		go func() {
			_, err := r.Body.Read(make([]byte, 1))
			ended <- err
		}()
		<-reading
		r.Body.Close()
		if err := <-ended; err == nil {
			t.Error("the read ended without an error")
		}
		wantOutcomes(t, o, redbreaker.Ignored)
	})
}

// noticedBody closes a channel when it is read, which must be once.
type noticedBody struct {
	io.ReadCloser
	reading chan struct{}
}

func (b noticedBody) Read(p []byte) (int, error) {
	close(b.reading)
	return b.ReadCloser.Read(p)
}

func TestTransport_closeIdleConnections(t *testing.T) {
	b, _ := newBreaker(t, neverOpens)
	next := &idler{}
	client := &http.Client{Transport: newTransport(t, httpbreaker.One(b), next, httpbreaker.TransportConfig{})}
	client.CloseIdleConnections()
	if next.closed != 1 {
		t.Errorf("passed on %d times", next.closed)
	}
	(&http.Client{Transport: newTransport(t, httpbreaker.One(b), roundTrip(noResponse), httpbreaker.TransportConfig{})}).CloseIdleConnections()
}

func noResponse(*http.Request) (*http.Response, error) { return nil, nil }

type idler struct {
	http.Transport
	closed int
}

func (i *idler) CloseIdleConnections() { i.closed++ }

func TestNewTransport_faults(t *testing.T) {
	var typed *http.Transport
	_, err := httpbreaker.NewTransport(httpbreaker.One(nil), typed, httpbreaker.TransportConfig{})
	if !errors.Is(err, redbreaker.ErrInvalid) {
		t.Errorf("error is %v", err)
	}
	want := "redbreaker: NewTransport got a nil source, check the breaker, registry or key that it was made of: invalid argument\n" +
		"redbreaker: NewTransport got a nil *http.Transport as next, pass a transport or nil: invalid argument"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range []httpbreaker.Source{nil, httpbreaker.Keyed(nil, httpbreaker.ByHost), httpbreaker.Keyed(&redbreaker.Registry{}, nil)} {
		if _, err := httpbreaker.NewTransport(s, nil, httpbreaker.TransportConfig{}); !errors.Is(err, redbreaker.ErrInvalid) {
			t.Errorf("error is %v", err)
		}
	}
}
