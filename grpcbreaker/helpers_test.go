package grpcbreaker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/grpcbreaker"
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

func newBreaker(t testing.TB, p redbreaker.Policy, opts ...redbreaker.Option) (*redbreaker.Breaker, *outcomes) {
	t.Helper()
	o := &outcomes{}
	b, err := redbreaker.New("dep", p, append(opts, redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(_ context.Context, r redbreaker.CallResult) { o.note(r.Outcome) },
	}))...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(b.Stop)
	return b, o
}

func newClient(t testing.TB, s grpcbreaker.Source, c grpcbreaker.Config) *grpcbreaker.Client {
	t.Helper()
	client, err := grpcbreaker.NewClient(s, c)
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	return client
}

func newServer(t testing.TB, s grpcbreaker.Source, c grpcbreaker.Config) *grpcbreaker.Server {
	t.Helper()
	server, err := grpcbreaker.NewServer(s, c)
	if err != nil {
		t.Fatalf("NewServer: %v", err)
	}
	return server
}

// start serves register's services in memory, and returns the server and a
// connection to it.
func start(t testing.TB, register func(*grpc.Server), client []grpc.DialOption, server []grpc.ServerOption) (*grpc.Server, *grpc.ClientConn) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	s := grpc.NewServer(server...)
	register(s)
	served := make(chan error)
	go func() { served <- s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///dep", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
	}, client...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		if err := <-served; err != nil && err != grpc.ErrServerStopped { // stopped before it served
			t.Error(err)
		}
	})
	return s, conn
}

// startService serves a TestService that works.
func startService(t testing.TB, client []grpc.DialOption, server []grpc.ServerOption) (*grpc.Server, pb.TestServiceClient) {
	t.Helper()
	works := &service{at: func(context.Context, int) error { return nil }}
	s, conn := start(t, func(r *grpc.Server) { pb.RegisterTestServiceServer(r, works) }, client, server)
	return s, pb.NewTestServiceClient(conn)
}

// service is a TestService whose calls pass numbered points: 0 at its begin, 1 after
// the headers, then one after each message received or sent.
type service struct {
	pb.UnimplementedTestServiceServer
	at func(ctx context.Context, point int) error
}

const messages = 3

func (s *service) pass(ctx context.Context, point *int) error {
	err := s.at(ctx, *point)
	*point++
	return err
}

func (s *service) UnaryCall(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	point := 0
	if err := s.pass(ctx, &point); err != nil {
		return nil, err
	}
	if err := grpc.SendHeader(ctx, metadata.MD{}); err != nil {
		return nil, err
	}
	return &pb.SimpleResponse{}, s.pass(ctx, &point)
}

// begin passes the first two points of a stream.
func (s *service) begin(stream grpc.ServerStream, point *int) error {
	if err := s.pass(stream.Context(), point); err != nil {
		return err
	}
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	return s.pass(stream.Context(), point)
}

func (s *service) StreamingOutputCall(_ *pb.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	point := 0
	err := s.begin(stream, &point)
	for i := 0; i < messages && err == nil; i++ {
		if err = stream.Send(&pb.StreamingOutputCallResponse{}); err == nil {
			err = s.pass(stream.Context(), &point)
		}
	}
	return err
}

func (s *service) StreamingInputCall(stream grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	point := 0
	err := s.begin(stream, &point)
	for err == nil {
		if _, err = stream.Recv(); err == nil || err == io.EOF {
			if failure := s.pass(stream.Context(), &point); failure != nil {
				return failure
			}
		}
	}
	if err != io.EOF {
		return err
	}
	return stream.SendAndClose(&pb.StreamingInputCallResponse{})
}

func (s *service) FullDuplexCall(stream grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	point := 0
	if err := s.begin(stream, &point); err != nil {
		return err
	}
	for {
		_, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.pass(stream.Context(), &point)
		}
		if err == nil {
			err = stream.Send(&pb.StreamingOutputCallResponse{})
		}
		if err == nil {
			err = s.pass(stream.Context(), &point)
		}
		if err != nil {
			return err
		}
	}
}

// kind is one of the four kinds of calls.
type kind struct {
	name   string
	points int // that a whole call passes at the server
	// call makes a call. before is called before each operation of the client;
	// once it returns false, the client does nothing more, and leaks a stream.
	call func(ctx context.Context, c pb.TestServiceClient, before func() bool) error
}

// errLeaked is the result of a call that was abandoned.
var errLeaked = errors.New("leaked")

// operations runs the operations of a client until one fails, or is not to run.
func operations(before func() bool, all ...func() error) error {
	for _, operation := range all {
		if !before() {
			return errLeaked
		}
		if err := operation(); err != nil {
			return err
		}
	}
	return nil
}

// ended reports the good end of a stream.
func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	if err == nil {
		return errors.New("the stream goes on after its last message")
	}
	return err
}

var kinds = []kind{
	{"unary", 2, func(ctx context.Context, c pb.TestServiceClient, _ func() bool) error {
		_, err := c.UnaryCall(ctx, &pb.SimpleRequest{})
		return err
	}},
	{"server stream", 2 + messages, func(ctx context.Context, c pb.TestServiceClient, before func() bool) error {
		s, err := c.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
		if err != nil {
			return err
		}
		receive := func() error { _, err := s.Recv(); return err }
		header := func() error { _, err := s.Header(); return err }
		return operations(before, header, receive, receive, receive, func() error { return ended(receive()) })
	}},
	{"client stream", 3 + messages, func(ctx context.Context, c pb.TestServiceClient, before func() bool) error {
		s, err := c.StreamingInputCall(ctx)
		if err != nil {
			return err
		}
		send := func() error {
			if err := s.Send(&pb.StreamingInputCallRequest{}); err != nil && err != io.EOF {
				return err
			}
			return nil // the status comes with the response
		}
		return operations(before, send, send, send, func() error { _, err := s.CloseAndRecv(); return err })
	}},
	{"bidirectional stream", 2 + 2*messages, func(ctx context.Context, c pb.TestServiceClient, before func() bool) error {
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		send := func() error {
			if err := s.Send(&pb.StreamingOutputCallRequest{}); err != nil && err != io.EOF {
				return err
			}
			return nil
		}
		receive := func() error { _, err := s.Recv(); return err }
		return operations(before, send, receive, send, receive, send, receive, s.CloseSend, func() error { return ended(receive()) })
	}},
}

func always() bool { return true }

func wantOutcomes(t testing.TB, o *outcomes, want ...redbreaker.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, o.all()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// eventually waits for another goroutine, and reports how long that may take.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// wantSettled waits until a call was counted, and compares how.
func wantSettled(t testing.TB, side string, o *outcomes, want redbreaker.Outcome) {
	t.Helper()
	eventually(t, "the "+side+" counts the call", func() bool { return len(o.all()) > 0 })
	if diff := cmp.Diff([]redbreaker.Outcome{want}, o.all()); diff != "" {
		t.Errorf("outcomes of the %s (-want +got):\n%s", side, diff)
	}
}

func wantState(t testing.TB, b *redbreaker.Breaker, want redbreaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Errorf("state is %v, want %v", got, want)
	}
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

func name(k kind, point int) string { return k.name + " at " + strconv.Itoa(point) }
