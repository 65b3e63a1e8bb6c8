package grpcbreaker_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/grpcbreaker"
)

// fixture is a service with a breaker on both sides.
type fixture struct {
	service            *service
	server             *grpc.Server
	client             pb.TestServiceClient
	onClient           *redbreaker.Breaker
	atClient, atServer *outcomes
}

func newFixture(t testing.TB, c grpcbreaker.Config, inner ...grpc.DialOption) *fixture {
	t.Helper()
	w := &fixture{service: &service{at: func(context.Context, int) error { return nil }}}
	var onServer *redbreaker.Breaker
	w.onClient, w.atClient = newBreaker(t, neverOpens)
	onServer, w.atServer = newBreaker(t, neverOpens)
	server, conn := start(t, func(s *grpc.Server) { pb.RegisterTestServiceServer(s, w.service) },
		append(newClient(t, grpcbreaker.One(w.onClient), c).DialOptions(), inner...),
		newServer(t, grpcbreaker.One(onServer), c).ServerOptions())
	w.server, w.client = server, pb.NewTestServiceClient(conn)
	// A deadline that passes while the connection is made would test nothing.
	conn.Connect()
	eventually(t, "the connection is made", func() bool { return conn.GetState() == connectivity.Ready })
	return w
}

// TestStream_whole: a call of each kind that succeeds counts once, at its end.
func TestStream_whole(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			w := newFixture(t, grpcbreaker.Config{})
			points := 0
			w.service.at = func(context.Context, int) error { points++; return nil }
			err := k.call(t.Context(), w.client, func() bool {
				if n := len(w.atClient.all()); n != 0 {
					t.Errorf("counted %d times before the end", n)
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			wantOutcomes(t, w.atClient, redbreaker.Success)
			wantSettled(t, "server", w.atServer, redbreaker.Success)
			if points != k.points {
				t.Errorf("passed %d points, want %d", points, k.points)
			}
		})
	}
}

// way is a way to cut a call.
type way struct {
	name string
	// cut runs at the server, and returns the handler's result.
	cut                func(ctx context.Context, w *fixture, cancel func()) error
	timeout            time.Duration
	code               codes.Code
	atClient, atServer redbreaker.Outcome
}

// cutCall makes a call of a kind that is cut at a point. It returns false if the
// timeout ended the call before that.
func (how way) cutCall(t *testing.T, k kind, point int, timeout time.Duration) bool {
	t.Helper()
	w := newFixture(t, grpcbreaker.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var cut atomic.Bool
	w.service.at = func(ctx context.Context, at int) error {
		if at != point {
			return nil
		}
		cut.Store(true)
		return how.cut(ctx, w, cancel)
	}
	err := k.call(ctx, w.client, always)
	if !cut.Load() && status.Code(err) == codes.DeadlineExceeded {
		return false
	}
	if status.Code(err) != how.code {
		t.Fatalf("ended with %v, want %v", err, how.code)
	}
	wantSettled(t, "client", w.atClient, how.atClient)
	wantSettled(t, "server", w.atServer, how.atServer)
	return true
}

// TestStream_cut: calls of all four kinds, cut at each of their points by each of
// the ways in which that happens.
func TestStream_cut(t *testing.T) {
	for _, how := range []way{
		{"a status", func(context.Context, *fixture, func()) error {
			return status.Error(codes.Unavailable, "down")
		}, patience, codes.Unavailable, redbreaker.Failure, redbreaker.Failure},
		{"the answer no", func(context.Context, *fixture, func()) error {
			return status.Error(codes.NotFound, "no such thing")
		}, patience, codes.NotFound, redbreaker.Success, redbreaker.Success},
		{"the server's end", func(ctx context.Context, w *fixture, _ func()) error {
			go w.server.Stop()
			<-ctx.Done()
			return ctx.Err()
		}, patience, codes.Unavailable, redbreaker.Failure, redbreaker.Ignored},
		{"cancellation", func(ctx context.Context, _ *fixture, cancel func()) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}, patience, codes.Canceled, redbreaker.Ignored, redbreaker.Ignored},
		{"cancellation, with another code", func(ctx context.Context, _ *fixture, cancel func()) error {
			cancel()
			<-ctx.Done()
			return status.Error(codes.Internal, "query: context canceled")
		}, patience, codes.Canceled, redbreaker.Ignored, redbreaker.Ignored},
		{"a deadline", func(ctx context.Context, _ *fixture, _ func()) error {
			<-ctx.Done()
			return ctx.Err()
		}, 200 * time.Millisecond, codes.DeadlineExceeded, redbreaker.Failure, redbreaker.Ignored},
	} {
		t.Run(how.name, func(t *testing.T) {
			for _, k := range kinds {
				for point := range k.points {
					t.Run(name(k, point), func(t *testing.T) {
						t.Parallel()
						// On a busy machine a deadline may pass before the call is at the point.
						for timeout := how.timeout; !how.cutCall(t, k, point, timeout); timeout *= 2 {
							if timeout > patience {
								t.Fatalf("the call was not cut within %v", timeout)
							}
						}
					})
				}
			}
		})
	}
}

// TestStream_leaked: a stream that its caller abandons, at each of its operations,
// is ignored as soon as its context ends, by a cancellation or a deadline.
func TestStream_leaked(t *testing.T) {
	for _, k := range kinds[1:] {
		for operation := range k.points {
			t.Run(name(k, operation), func(t *testing.T) {
				w := newFixture(t, grpcbreaker.Config{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				n := 0
				err := k.call(ctx, w.client, func() bool { n++; return n <= operation })
				if err == nil { // a whole call has fewer operations
					wantOutcomes(t, w.atClient, redbreaker.Success)
					return
				}
				if err != errLeaked {
					t.Fatal(err)
				}
				wantOutcomes(t, w.atClient)
				cancel()
				wantSettled(t, "client", w.atClient, redbreaker.Ignored)
			})
		}
	}
}

// TestStream_leakedDeadline: nor is an abandoned stream a failure when its deadline
// passes; but one that is read then is, whichever sees the deadline first.
func TestStream_leakedDeadline(t *testing.T) {
	for range 10 {
		for _, read := range []bool{true, false} {
			// On a busy machine the deadline may pass before there is a stream.
			for timeout := 50 * time.Millisecond; !passDeadline(t, read, timeout); timeout *= 2 {
				if timeout > patience {
					t.Fatalf("no stream within %v", timeout)
				}
			}
		}
	}
}

// passDeadline lets the deadline of a stream pass, while it is read or after it was
// abandoned. It returns false if the deadline passed before there was a stream.
func passDeadline(t *testing.T, read bool, timeout time.Duration) bool {
	t.Helper()
	last := &noticedStream{}
	w := newFixture(t, grpcbreaker.Config{}, grpc.WithChainStreamInterceptor(last.open))
	w.service.at = func(ctx context.Context, point int) error {
		if point == 2 {
			<-ctx.Done()
		}
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	s, err := w.client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
	if status.Code(err) == codes.DeadlineExceeded {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if !read {
		wantSettled(t, "client", w.atClient, redbreaker.Ignored)
		return true
	}
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Fatal(err)
	}
	if !last.inTime {
		return false // the stream was not being read when the deadline passed
	}
	wantOutcomes(t, w.atClient, redbreaker.Failure)
	return true
}

// noticedStream notes whether the last message was asked for before the context ended.
type noticedStream struct {
	grpc.ClientStream
	inTime bool
}

func (s *noticedStream) open(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	var err error
	s.ClientStream, err = next(ctx, desc, conn, method, opts...)
	return s, err
}

func (s *noticedStream) RecvMsg(m any) error {
	s.inTime = s.Context().Err() == nil
	return s.ClientStream.RecvMsg(m)
}

// TestStream_connectionClosed: to close the connection is the caller's decision.
func TestStream_connectionClosed(t *testing.T) {
	b, o := newBreaker(t, neverOpens)
	hang := &service{at: func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }}
	_, conn := start(t, func(s *grpc.Server) { pb.RegisterTestServiceServer(s, hang) },
		newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).DialOptions(), nil)
	s, err := pb.NewTestServiceClient(conn).StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := s.Recv(); err == nil { // Canceled or Unavailable
		t.Error("the stream goes on")
	}
	if _, err := pb.NewTestServiceClient(conn).UnaryCall(t.Context(), &pb.SimpleRequest{}); err == nil {
		t.Error("a closed connection made a call")
	}
	wantOutcomes(t, o, redbreaker.Ignored, redbreaker.Ignored)
}

// TestStream_probe: a probe is settled by the first message from the server, on
// both sides, while the stream goes on.
func TestStream_probe(t *testing.T) {
	atClient, o := newBreaker(t, opensAtOnce)
	atServer, _ := newBreaker(t, opensAtOnce)
	more := make(chan bool)
	slow := &service{at: func(_ context.Context, point int) error {
		switch point {
		case 1, 2:
			<-more
		case 3:
			return status.Error(codes.Unavailable, "cut")
		}
		return nil
	}}
	_, conn := start(t, func(s *grpc.Server) { pb.RegisterTestServiceServer(s, slow) },
		newClient(t, grpcbreaker.One(atClient), grpcbreaker.Config{}).DialOptions(),
		newServer(t, grpcbreaker.One(atServer), grpcbreaker.Config{}).ServerOptions())
	control(t, atClient, redbreaker.ActionHalfOpen)
	control(t, atServer, redbreaker.ActionHalfOpen)
	s, err := pb.NewTestServiceClient(conn).StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Header(); err != nil {
		t.Fatal(err)
	}
	wantState(t, atClient, redbreaker.StateHalfOpen) // headers alone show nothing
	wantState(t, atServer, redbreaker.StateHalfOpen)
	more <- true
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	wantState(t, atClient, redbreaker.StateClosed)
	wantState(t, atServer, redbreaker.StateClosed)
	more <- true
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	wantState(t, atClient, redbreaker.StateClosed)
	wantOutcomes(t, o, redbreaker.Success)
}

// TestStream_slow: by the time to the first message, or to the end.
func TestStream_slow(t *testing.T) {
	policy := redbreaker.Policy{Window: redbreaker.Window{Calls: 10, SlowCallRate: 1, SlowCallDuration: time.Second}}
	for _, c := range []struct {
		first, last time.Duration
		slowStream  bool
		want        redbreaker.Outcome
	}{
		{0, time.Hour, false, redbreaker.Success},
		{time.Second, 0, false, redbreaker.SlowSuccess},
		{0, time.Second, true, redbreaker.SlowSuccess},
		{0, time.Second / 2, true, redbreaker.Success},
	} {
		clock, storage := newClock()
		atClient, o := newBreaker(t, policy, storage)
		atServer, onServer := newBreaker(t, policy, storage)
		config := grpcbreaker.Config{SlowStream: c.slowStream}
		received := make(chan bool) // the client has the first message
		s := &service{at: func(_ context.Context, point int) error {
			switch point {
			case 0:
				clock.advance(c.first)
			case 2:
				<-received
				clock.advance(c.last)
			}
			return nil
		}}
		_, conn := start(t, func(r *grpc.Server) { pb.RegisterTestServiceServer(r, s) },
			newClient(t, grpcbreaker.One(atClient), config).DialOptions(), newServer(t, grpcbreaker.One(atServer), config).ServerOptions())
		stream, err := pb.NewTestServiceClient(conn).StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		received <- true
		for err == nil {
			_, err = stream.Recv()
		}
		wantOutcomes(t, o, c.want)
		wantSettled(t, "server", onServer, c.want)
	}
}

// TestStream_tooLarge: a message that SendMsg refuses says nothing about the server.
func TestStream_tooLarge(t *testing.T) {
	w := newFixture(t, grpcbreaker.Config{})
	s, err := w.client.StreamingInputCall(t.Context(), grpc.MaxCallSendMsgSize(10))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: []byte(strings.Repeat("x", 100))}})
	if status.Code(err) != codes.ResourceExhausted {
		t.Fatal(err)
	}
	wantOutcomes(t, w.atClient, redbreaker.Ignored)
}

// fakeStream is a ClientStream whose operations return errors.
type fakeStream struct {
	grpc.ClientStream
	send, receive, header error
}

func (f *fakeStream) SendMsg(any) error            { return f.send }
func (f *fakeStream) RecvMsg(any) error            { return f.receive }
func (f *fakeStream) Header() (metadata.MD, error) { return nil, f.header }
func (f *fakeStream) Trailer() metadata.MD         { return nil }

// TestStream_operations: which error of which operation ends a stream, also where
// another interceptor returns it.
func TestStream_operations(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "down")
	send := func(s grpc.ClientStream) error { return s.SendMsg(nil) }
	receive := func(s grpc.ClientStream) error { return s.RecvMsg(nil) }
	header := func(s grpc.ClientStream) error { _, err := s.Header(); return err }
	for _, c := range []struct {
		name      string
		stream    fakeStream
		operation func(grpc.ClientStream) error
		want      redbreaker.Outcome // 0: the stream goes on
	}{
		{"SendMsg fails", fakeStream{send: unavailable}, send, redbreaker.Failure},
		{"SendMsg with io.EOF", fakeStream{send: io.EOF}, send, 0},
		{"SendMsg refuses", fakeStream{send: status.Error(codes.Internal, "marshal")}, send, redbreaker.Ignored},
		{"RecvMsg fails", fakeStream{receive: unavailable}, receive, redbreaker.Failure},
		{"RecvMsg with io.EOF", fakeStream{receive: io.EOF}, receive, redbreaker.Success},
		{"RecvMsg", fakeStream{}, receive, 0},
		{"Header fails", fakeStream{header: unavailable}, header, redbreaker.Failure},
		{"Header with io.EOF", fakeStream{header: io.EOF}, header, 0},
		{"Header", fakeStream{}, header, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, o := newBreaker(t, neverOpens)
			_, conn := start(t, func(*grpc.Server) {}, nil, nil)
			ctx, cancel := context.WithCancel(t.Context())
			s, err := newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).Stream(ctx, &grpc.StreamDesc{ServerStreams: true}, conn, "/s/m",
				func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
					return &c.stream, nil
				})
			if err != nil {
				t.Fatal(err)
			}
			_ = c.operation(s)
			if c.want == 0 {
				wantOutcomes(t, o)
				c.want = redbreaker.Ignored // by the end of the context
			}
			cancel()
			wantSettled(t, "client", o, c.want)
		})
	}
}

// TestStream_contextEndsWithinOperation: an operation that succeeds while its
// context ends leaves a stream that is abandoned, perhaps.
func TestStream_contextEndsWithinOperation(t *testing.T) {
	b, o := newBreaker(t, neverOpens)
	_, conn := start(t, func(*grpc.Server) {}, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).Stream(ctx, &grpc.StreamDesc{ServerStreams: true}, conn, "/s/m",
		func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return &lateStream{cancel: cancel}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(nil); err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, o, redbreaker.Ignored)
}

// lateStream receives a message after its context has ended, and the watch on that
// had time to see the operation.
type lateStream struct {
	grpc.ClientStream
	cancel func()
}

func (s *lateStream) RecvMsg(any) error {
	s.cancel()
	time.Sleep(10 * time.Millisecond)
	return nil
}

// TestStream_notOpened: a stream that cannot be opened has ended.
func TestStream_notOpened(t *testing.T) {
	_, conn := start(t, func(*grpc.Server) {}, nil, nil)
	open := func(err error) func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			if err == nil {
				runtime.Goexit()
			}
			return nil, err
		}
	}
	for _, err := range []error{status.Error(codes.Unavailable, "down"), errors.New("plain"), nil} {
		b, o := newBreaker(t, neverOpens)
		client := newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}) // may end the test, so not in the goroutine
		done := make(chan bool)
		go func() {
			defer close(done)
			s, got := client.Stream(t.Context(), &grpc.StreamDesc{}, conn, "/s/m", open(err))
			if s != nil || got != err {
				t.Errorf("got %v, %v", s, got)
			}
		}()
		<-done
		wantOutcomes(t, o, redbreaker.Failure)
	}
}

// openFake opens a stream through the interceptor that has the operations of fake.
func openFake(t *testing.T, ctx context.Context, b *redbreaker.Breaker, conn *grpc.ClientConn, fake grpc.ClientStream) grpc.ClientStream {
	t.Helper()
	s, err := newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).Stream(ctx, &grpc.StreamDesc{ServerStreams: true}, conn, "/s/m",
		func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return fake, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStream_deadlineWithinSend: a server that takes no messages until the deadline
// has failed, though SendMsg returns io.EOF, and Header nothing.
func TestStream_deadlineWithinSend(t *testing.T) {
	for name, operation := range map[string]func(grpc.ClientStream) error{
		"SendMsg": func(s grpc.ClientStream) error { return s.SendMsg(nil) },
		"Header":  func(s grpc.ClientStream) error { _, err := s.Header(); return err },
	} {
		b, o := newBreaker(t, neverOpens)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_ = operation(openFake(t, ctx, b, nil, &stuckStream{ctx: ctx}))
		if diff := cmp.Diff([]redbreaker.Outcome{redbreaker.Failure}, o.all()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// stuckStream is one whose operations end with its context.
type stuckStream struct {
	grpc.ClientStream
	ctx context.Context
}

func (s *stuckStream) SendMsg(any) error {
	<-s.ctx.Done()
	return io.EOF
}

func (s *stuckStream) Header() (metadata.MD, error) {
	<-s.ctx.Done()
	return nil, nil
}

// TestClosedConnection: an Unavailable from a connection that the caller has closed
// is not the server's.
func TestClosedConnection(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "transport is closing")
	_, conn := start(t, func(*grpc.Server) {}, nil, nil)
	b, o := newBreaker(t, neverOpens)
	client := newClient(t, grpcbreaker.One(b), grpcbreaker.Config{})
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		return unavailable
	}
	stream := func() grpc.ClientStream { return openFake(t, t.Context(), b, conn, &fakeStream{receive: unavailable}) }
	s := stream()
	_ = s.RecvMsg(nil)
	_ = client.Unary(t.Context(), "/s/m", nil, nil, conn, invoke)
	wantOutcomes(t, o, redbreaker.Failure, redbreaker.Failure)

	s = stream()
	conn.Close()
	_ = s.RecvMsg(nil)
	_ = client.Unary(t.Context(), "/s/m", nil, nil, conn, invoke)
	wantOutcomes(t, o, redbreaker.Failure, redbreaker.Failure, redbreaker.Ignored, redbreaker.Ignored)
}

// TestStream_watchEnds: a stream that has ended is not kept by its context.
func TestStream_watchEnds(t *testing.T) {
	b, _ := newBreaker(t, neverOpens)
	for _, fake := range []*fakeStream{{receive: io.EOF}, {send: status.Error(codes.Internal, "marshal")}, {send: status.Error(codes.Unavailable, "")}} {
		watched := &watchedContext{Context: context.Background(), done: make(chan struct{})}
		s := openFake(t, watched, b, nil, fake)
		if watched.watches.Load() != 1 {
			t.Fatal("the context is not watched")
		}
		_ = s.SendMsg(nil)
		if fake.send == nil {
			_ = s.RecvMsg(nil)
		}
		if watched.watches.Load() != 0 {
			t.Error("the context is watched after the end of the stream")
		}
	}
}

// watchedContext counts what waits for its end, which context.AfterFunc leaves to it.
type watchedContext struct {
	context.Context
	done    chan struct{}
	watches atomic.Int32
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }

func (c *watchedContext) AfterFunc(func()) func() bool {
	c.watches.Add(1)
	return func() bool {
		c.watches.Add(-1)
		return true
	}
}

// TestStream_shared: two clients that share a circuit, as two processes do through
// Redis, and a server whose streams break: the circuit opens for both.
func TestStream_shared(t *testing.T) {
	_, storage := newClock()
	calls := 0
	cut := &service{at: func(_ context.Context, point int) error {
		switch point {
		case 0:
			calls++
		case 3:
			return status.Error(codes.Unavailable, "cut")
		}
		return nil
	}}
	receiveAll := func(c pb.TestServiceClient) error {
		s, err := c.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
		for err == nil {
			_, err = s.Recv()
		}
		return err
	}
	var clients []pb.TestServiceClient
	for range 2 {
		b, _ := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 4}, storage)
		_, conn := start(t, func(r *grpc.Server) { pb.RegisterTestServiceServer(r, cut) },
			newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).DialOptions(), nil)
		clients = append(clients, pb.NewTestServiceClient(conn))
	}
	for i := range 4 {
		if err := receiveAll(clients[i%2]); errors.Is(err, redbreaker.ErrRejected) || status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	}
	for _, c := range clients {
		if err := receiveAll(c); !errors.Is(err, redbreaker.ErrRejected) {
			t.Errorf("not rejected: %v", err)
		}
	}
	if calls != 4 {
		t.Errorf("the server got %d calls, want 4", calls)
	}
}
