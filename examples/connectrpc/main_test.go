package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/redbreaker/redbreaker"
)

type text = wrapperspb.StringValue

const (
	unary  = "/test.v1.Test/Unary"
	server = "/test.v1.Test/Server"
)

// fixture is a client behind an interceptor and a service that fails as a test says.
type fixture struct {
	*Interceptor
	err    error // of the service; nil: it works
	asked  atomic.Int64
	unary  *connect.Client[text, text]
	stream *connect.Client[text, text]
}

func newFixture(t *testing.T, failures int) *fixture {
	t.Helper()
	f := &fixture{}
	mux := http.NewServeMux()
	mux.Handle(unary, connect.NewUnaryHandler(unary, func(_ context.Context, r *connect.Request[text]) (*connect.Response[text], error) {
		f.asked.Add(1)
		return connect.NewResponse(r.Msg), f.err
	}))
	mux.Handle(server, connect.NewServerStreamHandler(server, func(ctx context.Context, r *connect.Request[text], s *connect.ServerStream[text]) error {
		f.asked.Add(1)
		if err := s.Send(r.Msg); err != nil {
			return err
		}
		if r.Msg.GetValue() == "hang" {
			<-ctx.Done()
		}
		return f.err
	}))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	var err error
	f.Interceptor, err = NewInterceptor("orders", redbreaker.Policy{
		ConsecutiveFailures: failures, OpenFor: time.Hour,
		Backoff: redbreaker.Backoff{Max: 3 * time.Hour}, // the longest that a Retry-After may ask for
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	f.unary = connect.NewClient[text, text](s.Client(), s.URL+unary, connect.WithInterceptors(f))
	f.stream = connect.NewClient[text, text](s.Client(), s.URL+server, connect.WithInterceptors(f))
	return f
}

func (f *fixture) call(ctx context.Context) error {
	_, err := f.unary.CallUnary(ctx, connect.NewRequest(wrapperspb.String("x")))
	return err
}

// read reads a stream to its end.
func (f *fixture) read(ctx context.Context) (messages int, err error) {
	s, err := f.stream.CallServerStream(ctx, connect.NewRequest(wrapperspb.String("x")))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	for s.Receive() {
		messages++
	}
	return messages, s.Err()
}

func (f *fixture) wantState(t *testing.T, want redbreaker.State) {
	t.Helper()
	if got := f.breaker.State(); got != want {
		t.Errorf("the circuit is %v, want %v", got, want)
	}
}

// Each code is a failure or an answer.
func TestJudge(t *testing.T) {
	failures := map[connect.Code]bool{
		connect.CodeUnavailable: true, connect.CodeDeadlineExceeded: true, connect.CodeInternal: true,
		connect.CodeUnknown: true, connect.CodeDataLoss: true, connect.CodeResourceExhausted: true,
	}
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		f := newFixture(t, 1)
		f.err = connect.NewError(code, errors.New("no"))
		if err := f.call(t.Context()); connect.CodeOf(err) != code {
			t.Errorf("%v: got %v", code, err)
		}
		want := redbreaker.StateClosed
		if failures[code] {
			want = redbreaker.StateOpen
		}
		f.wantState(t, want)
	}
}

// A rejected call reaches no server, is unavailable, and still is a rejection.
func TestInterceptor_rejects(t *testing.T) {
	f := newFixture(t, 1)
	f.err = connect.NewError(connect.CodeUnavailable, errors.New("down"))
	_ = f.call(t.Context())
	f.wantState(t, redbreaker.StateOpen)
	before := f.asked.Load()
	for what, call := range map[string]func() error{
		"unary":  func() error { return f.call(t.Context()) },
		"stream": func() error { _, err := f.read(t.Context()); return err },
	} {
		var rejected *redbreaker.RejectedError
		if err := call(); !errors.As(err, &rejected) || connect.CodeOf(err) != connect.CodeUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := f.asked.Load(); got != before {
		t.Errorf("%d rejected calls reached the server", got-before)
	}
}

// The Retry-After of a failure is the circuit's open time.
func TestInterceptor_retryAfter(t *testing.T) {
	f := newFixture(t, 1)
	e := connect.NewError(connect.CodeUnavailable, errors.New("down"))
	e.Meta().Set("Retry-After", "7200")
	f.err = e
	_ = f.call(t.Context())
	if left := f.breaker.Status().RetryAfter; left < 119*time.Minute {
		t.Errorf("open for another %v, want 2 hours", left)
	}
}

// A stream that fails after its messages is a failure; a whole one is none.
func TestInterceptor_streams(t *testing.T) {
	f := newFixture(t, 1)
	if n, err := f.read(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d messages, %v", n, err)
	}
	f.wantState(t, redbreaker.StateClosed)
	f.err = connect.NewError(connect.CodeInternal, errors.New("broken"))
	if n, err := f.read(t.Context()); n != 1 || connect.CodeOf(err) != connect.CodeInternal {
		t.Fatalf("%d messages, %v", n, err)
	}
	f.wantState(t, redbreaker.StateOpen)
}

// A probe counts with the first message of its stream.
func TestInterceptor_probe(t *testing.T) {
	f := newFixture(t, 1)
	if _, err := f.breaker.Control(t.Context(), redbreaker.Command{Action: redbreaker.ActionHalfOpen}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := f.stream.CallServerStream(ctx, connect.NewRequest(wrapperspb.String("hang")))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Receive() {
		t.Fatal(s.Err())
	}
	f.wantState(t, redbreaker.StateClosed)
}

// A caller that abandons a stream is ignored: a probe's slot is free again.
func TestInterceptor_abandoned(t *testing.T) {
	f := newFixture(t, 1)
	if _, err := f.breaker.Control(t.Context(), redbreaker.Command{Action: redbreaker.ActionHalfOpen}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := f.stream.CallServerStream(ctx, connect.NewRequest(wrapperspb.String("hang"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		snapshot, err := f.breaker.Inspect(t.Context())
		if err == nil && snapshot.State == redbreaker.StateHalfOpen && snapshot.Probes.Outstanding == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the probe is not settled: %+v, %v", snapshot, err)
		}
	}
}
