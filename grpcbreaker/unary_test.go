package grpcbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/grpcbreaker"
)

// unary calls a unary method of w.
func (w *fixture) unary(ctx context.Context) error {
	_, err := w.client.UnaryCall(ctx, &pb.SimpleRequest{})
	return err
}

// fails makes every call of w end with err.
func (w *fixture) fails(err error) {
	w.service.at = func(context.Context, int) error { return err }
}

// TestCodes: how each code counts, at a client and at a server, for unary calls and
// for streams.
func TestCodes(t *testing.T) {
	const success, failure, ignored = redbreaker.Success, redbreaker.Failure, redbreaker.Ignored
	for code, want := range map[codes.Code]redbreaker.Outcome{
		codes.OK:                 success,
		codes.Canceled:           ignored,
		codes.Unknown:            failure,
		codes.InvalidArgument:    success,
		codes.DeadlineExceeded:   failure,
		codes.NotFound:           success,
		codes.AlreadyExists:      success,
		codes.PermissionDenied:   success,
		codes.ResourceExhausted:  failure,
		codes.FailedPrecondition: success,
		codes.Aborted:            success,
		codes.OutOfRange:         success,
		codes.Unimplemented:      success,
		codes.Internal:           failure,
		codes.Unavailable:        failure,
		codes.DataLoss:           failure,
		codes.Unauthenticated:    success,
		codes.Code(17):           failure,
		codes.Code(1000):         failure,
	} {
		for _, k := range kinds {
			t.Run(fmt.Sprintf("%v, %s", code, k.name), func(t *testing.T) {
				w := newFixture(t, grpcbreaker.Config{})
				w.fails(status.Error(code, "text"))
				if err := k.call(t.Context(), w.client, always); status.Code(err) != code {
					t.Errorf("got %v", err)
				}
				wantSettled(t, "client", w.atClient, want)
				wantSettled(t, "server", w.atServer, want)
			})
		}
	}
}

// TestServer_plainErrors: an error that is no status counts by the code that gRPC
// sends for it.
func TestServer_plainErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want redbreaker.Outcome
	}{
		{errors.New("plain"), redbreaker.Failure},
		{context.Canceled, redbreaker.Ignored},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), redbreaker.Failure},
		{fmt.Errorf("query: %w", status.Error(codes.NotFound, "row")), redbreaker.Success},
		{fmt.Errorf("cache: %w", &redbreaker.RejectedError{Name: "cache"}), redbreaker.Ignored},
	} {
		w := newFixture(t, grpcbreaker.Config{})
		w.fails(c.err)
		_ = w.unary(t.Context())
		if diff := cmp.Diff([]redbreaker.Outcome{c.want}, w.atServer.all()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.err, diff)
		}
	}
}

// TestCallerDeadline: how a deadline of the caller's counts is the user's choice. A
// DeadlineExceeded of the server's own is a failure in any case.
func TestCallerDeadline(t *testing.T) {
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, c := range []struct {
		choice             redbreaker.Outcome
		atClient, atServer redbreaker.Outcome
	}{
		{0, redbreaker.Failure, redbreaker.Ignored},
		{redbreaker.Failure, redbreaker.Failure, redbreaker.Failure},
		{redbreaker.Ignored, redbreaker.Ignored, redbreaker.Ignored},
	} {
		for _, err := range []error{
			status.Error(codes.DeadlineExceeded, ""), status.Error(codes.Internal, "query: context deadline exceeded"), context.DeadlineExceeded,
		} {
			for _, ctx := range []context.Context{late, t.Context()} {
				atClient, atServer := c.atClient, c.atServer
				if ctx != late {
					atClient, atServer = redbreaker.Failure, redbreaker.Failure
				}
				config := grpcbreaker.Config{CallerDeadline: c.choice}
				b, o := newBreaker(t, neverOpens)
				// The deadline passes within the call.
				call := &delayedContext{Context: ctx}
				_ = newClient(t, grpcbreaker.One(b), config).Unary(call, "/s/m", nil, nil, nil,
					func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
						call.passed = true
						return err
					})
				wantOutcomes(t, o, atClient)

				b, o = newBreaker(t, neverOpens)
				call = &delayedContext{Context: ctx}
				_, _ = newServer(t, grpcbreaker.One(b), config).Unary(call, nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"},
					func(context.Context, any) (any, error) { call.passed = true; return nil, err })
				wantOutcomes(t, o, atServer)
			}
		}
	}
}

// delayedContext has no error until it has passed.
type delayedContext struct {
	context.Context
	passed bool
}

func (c *delayedContext) Err() error {
	if !c.passed {
		return nil
	}
	return c.Context.Err()
}

// TestJudge: a rule of the user's comes first, then those of the package, then the
// classifiers of the breaker.
func TestJudge(t *testing.T) {
	errIgnored := errors.New("maintenance")
	judge := grpcbreaker.Config{Judge: func(method string, err error) redbreaker.Outcome {
		if method != "/s/m" {
			t.Errorf("judged %s", method)
		}
		switch status.Code(err) {
		case codes.NotFound, codes.Canceled:
			return redbreaker.Failure
		case codes.Unavailable:
			return redbreaker.Ignored
		case codes.Internal:
			return redbreaker.Success
		}
		return 0
	}}
	for _, c := range []struct {
		err  error
		want redbreaker.Outcome
	}{
		{nil, redbreaker.Success},
		{status.Error(codes.NotFound, ""), redbreaker.Failure},
		{status.Error(codes.Canceled, ""), redbreaker.Failure},
		{status.Error(codes.Unavailable, ""), redbreaker.Ignored},
		{status.Error(codes.Internal, ""), redbreaker.Success},
		{status.Error(codes.DataLoss, ""), redbreaker.Failure},
		{status.Error(codes.Aborted, ""), redbreaker.Success},
		{errIgnored, redbreaker.Ignored},
	} {
		b, o := newBreaker(t, neverOpens, redbreaker.WithClassifier(redbreaker.Ignore(errIgnored)))
		_, err := newServer(t, grpcbreaker.One(b), judge).Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"},
			func(context.Context, any) (any, error) { return nil, c.err })
		if err != c.err {
			t.Errorf("%v became %v", c.err, err)
		}
		if diff := cmp.Diff([]redbreaker.Outcome{c.want}, o.all()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.err, diff)
		}
	}
}

// TestOpenTime: the server's word is how long the circuit stays open.
func TestOpenTime(t *testing.T) {
	detailed := func(d time.Duration) error {
		s, err := status.New(codes.Unavailable, "down").WithDetails(&errdetails.ErrorInfo{}, &errdetails.RetryInfo{RetryDelay: durationpb.New(d)})
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	plain := status.Error(codes.ResourceExhausted, "quota")
	for _, c := range []struct {
		err      error
		pushback string
		want     time.Duration
	}{
		{plain, "", time.Minute},
		{detailed(5 * time.Minute), "", 5 * time.Minute},
		{plain, "300000", 5 * time.Minute},
		{detailed(2 * time.Minute), "300000", 5 * time.Minute},
		{detailed(5 * time.Minute), "-1", 5 * time.Minute},
		{plain, "-1", time.Minute},
		{plain, "soon", time.Minute},
		{plain, "99999999999999999999", time.Minute},
		{plain, "9223372036854775807", time.Hour}, // Backoff.Max
		{detailed(-5 * time.Minute), "", time.Minute},
	} {
		for _, k := range kinds {
			_, storage := newClock()
			b, _ := newBreaker(t, opensAtOnce, storage)
			s := &service{at: func(ctx context.Context, _ int) error {
				if c.pushback != "" {
					if err := grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", c.pushback)); err != nil {
						t.Error(err)
					}
				}
				return c.err
			}}
			_, conn := start(t, func(r *grpc.Server) { pb.RegisterTestServiceServer(r, s) },
				newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).DialOptions(), nil)
			_ = k.call(t.Context(), pb.NewTestServiceClient(conn), always)
			if got := b.Status().RetryAfter; got != c.want {
				t.Errorf("%s, %v, %q: open for %v, want %v", k.name, c.err, c.pushback, got, c.want)
			}
		}
	}
}

// TestTripOnRetryAfter: by option, a server that asks for a pause gets it at once.
func TestTripOnRetryAfter(t *testing.T) {
	for _, c := range []struct {
		code codes.Code
		wait time.Duration
		trip bool
		want redbreaker.State
	}{
		{codes.Unavailable, 5 * time.Second, true, redbreaker.StateOpen},
		{codes.ResourceExhausted, 5 * time.Second, true, redbreaker.StateOpen},
		{codes.Internal, 5 * time.Second, true, redbreaker.StateClosed},
		{codes.Unavailable, 0, true, redbreaker.StateClosed},
		{codes.Unavailable, 5 * time.Second, false, redbreaker.StateClosed},
	} {
		s, err := status.New(c.code, "").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(c.wait)})
		if err != nil {
			t.Fatal(err)
		}
		_, storage := newClock()
		b, _ := newBreaker(t, neverOpens, storage)
		_ = newClient(t, grpcbreaker.One(b), grpcbreaker.Config{TripOnRetryAfter: c.trip}).Unary(t.Context(), "/s/m", nil, nil, nil,
			func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return s.Err() })
		wantState(t, b, c.want)
		if got := b.Status().RetryAfter; c.want == redbreaker.StateOpen && got != c.wait {
			t.Errorf("open for %v, want %v", got, c.wait)
		}
	}
}

// TestClient_rejected: a rejection is Unavailable with RetryInfo, and still the
// *RejectedError; the server gets nothing.
func TestClient_rejected(t *testing.T) {
	_, storage := newClock()
	b, _ := newBreaker(t, opensAtOnce, storage)
	s := &service{at: func(context.Context, int) error { t.Error("the call was sent"); return nil }}
	_, conn := start(t, func(r *grpc.Server) { pb.RegisterTestServiceServer(r, s) },
		newClient(t, grpcbreaker.One(b), grpcbreaker.Config{}).DialOptions(), nil)
	control(t, b, redbreaker.ActionTrip)
	for _, k := range kinds {
		err := k.call(t.Context(), pb.NewTestServiceClient(conn), always)
		var rejected *redbreaker.RejectedError
		if !errors.As(err, &rejected) || rejected.Name != "dep" || rejected.RetryAfter() != time.Minute {
			t.Errorf("%s: %v", k.name, err)
		}
		wantRejection(t, err, "redbreaker: call rejected: open", time.Minute)
		if got, want := err.Error(), "redbreaker: dep: call rejected: open, retry after 1m0s"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// wantRejection compares a status with that of a rejection.
func wantRejection(t *testing.T, err error, text string, retry time.Duration) {
	t.Helper()
	s, ok := status.FromError(err)
	if !ok || s.Code() != codes.Unavailable || s.Message() != text {
		t.Errorf("status %v, want Unavailable, %s", s, text)
	}
	var got time.Duration
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			got = info.GetRetryDelay().AsDuration()
		}
	}
	if got != retry {
		t.Errorf("retry after %v, want %v", got, retry)
	}
}

// TestServer_rejects: the status reaches the client with its details, without the
// breaker's name, and with a pushback.
func TestServer_rejects(t *testing.T) {
	for _, c := range []struct {
		action   redbreaker.Action
		text     string
		retry    time.Duration
		pushback []string
	}{
		{redbreaker.ActionTrip, "redbreaker: call rejected: open", time.Minute, []string{"60000"}},
		{redbreaker.ActionForceOpen, "redbreaker: call rejected: forced", 0, []string{"-1"}},
	} {
		_, storage := newClock()
		b, o := newBreaker(t, opensAtOnce, storage)
		control(t, b, c.action)
		s := &service{at: func(context.Context, int) error { t.Error("the call was handled"); return nil }}
		_, conn := start(t, func(r *grpc.Server) { pb.RegisterTestServiceServer(r, s) }, nil,
			newServer(t, grpcbreaker.One(b), grpcbreaker.Config{}).ServerOptions())
		client := pb.NewTestServiceClient(conn)
		var trailer metadata.MD
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{}, grpc.Trailer(&trailer))
		wantRejection(t, err, c.text, c.retry)
		if diff := cmp.Diff(c.pushback, trailer.Get("grpc-retry-pushback-ms")); diff != "" {
			t.Errorf("pushback (-want +got):\n%s", diff)
		}
		stream, err := client.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantRejection(t, err, c.text, c.retry)
		if diff := cmp.Diff(c.pushback, stream.Trailer().Get("grpc-retry-pushback-ms")); diff != "" {
			t.Errorf("pushback (-want +got):\n%s", diff)
		}
		wantOutcomes(t, o)
	}
}

// TestServer_rejectsRetries: a client with a retry policy waits for a pushback, and
// does not retry without an end.
func TestServer_rejectsRetries(t *testing.T) {
	const policy = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3,
		"initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	for action, wantRejected := range map[redbreaker.Action]int{redbreaker.ActionTrip: 1, redbreaker.ActionForceOpen: 1} {
		rejected := 0
		b, err := redbreaker.New("dep", redbreaker.Policy{OpenFor: 400 * time.Millisecond}, redbreaker.WithHooks(redbreaker.Hooks{
			OnReject: func(context.Context, *redbreaker.RejectedError) { rejected++ },
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Stop)
		s := &service{at: func(context.Context, int) error { return nil }}
		_, conn := start(t, func(r *grpc.Server) { pb.RegisterTestServiceServer(r, s) },
			[]grpc.DialOption{grpc.WithDefaultServiceConfig(policy)}, newServer(t, grpcbreaker.One(b), grpcbreaker.Config{}).ServerOptions())
		client := pb.NewTestServiceClient(conn)
		if _, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{}); err != nil { // connects
			t.Fatal(err)
		}
		control(t, b, action)
		_, err = client.UnaryCall(t.Context(), &pb.SimpleRequest{})
		if want := action == redbreaker.ActionForceOpen; (err != nil) != want {
			t.Errorf("%v: ended with %v", action, err)
		}
		if rejected != wantRejected {
			t.Errorf("%v: rejected %d times, want %d", action, rejected, wantRejected)
		}
	}
}

// TestNotAdmitted: what else ends a call before it is made.
func TestNotAdmitted(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	b, o := newBreaker(t, neverOpens)
	stopped, _ := newBreaker(t, neverOpens)
	stopped.Stop()
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	registry.Stop()
	errSource := status.Error(codes.InvalidArgument, "no such tenant")
	for _, c := range []struct {
		name   string
		ctx    context.Context
		source grpcbreaker.Source
		want   error
		code   codes.Code
	}{
		{"cancelled", done, grpcbreaker.One(b), context.Canceled, codes.Canceled},
		{"late", late, grpcbreaker.One(b), context.DeadlineExceeded, codes.DeadlineExceeded},
		{"stopped", t.Context(), grpcbreaker.One(stopped), redbreaker.ErrStopped, codes.Unavailable},
		{"registry stopped", t.Context(), grpcbreaker.Keyed(registry, grpcbreaker.ByMethod), redbreaker.ErrStopped, codes.Unavailable},
		{"source", t.Context(), func(context.Context, string, string) (*redbreaker.Breaker, error) { return nil, errSource }, errSource, codes.InvalidArgument},
	} {
		_, conn := start(t, func(*grpc.Server) {}, nil, nil)
		client, server := newClient(t, c.source, grpcbreaker.Config{}), newServer(t, c.source, grpcbreaker.Config{})
		_, openErr := client.Stream(c.ctx, &grpc.StreamDesc{}, conn, "/s/m", nil)
		_, handleErr := server.Unary(c.ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, nil)
		for _, err := range []error{
			client.Unary(c.ctx, "/s/m", nil, nil, conn, nil), openErr, handleErr,
			server.Stream(nil, &contextStream{ctx: c.ctx}, &grpc.StreamServerInfo{FullMethod: "/s/m"}, nil),
		} {
			if !errors.Is(err, c.want) || status.Code(err) != c.code {
				t.Errorf("%s: %v with code %v, want %v, %v", c.name, err, status.Code(err), c.want, c.code)
			}
		}
	}
	wantOutcomes(t, o)
}

// contextStream is a ServerStream that has a context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *contextStream) Context() context.Context { return s.ctx }

// TestUnprotected: health checks and reflection pass an open circuit, as does what
// Methods or the Source leaves out.
func TestUnprotected(t *testing.T) {
	b, o := newBreaker(t, neverOpens)
	control(t, b, redbreaker.ActionForceOpen)
	register := func(s *grpc.Server) {
		healthpb.RegisterHealthServer(s, health.NewServer())
		reflection.Register(s)
		pb.RegisterTestServiceServer(s, &service{at: func(context.Context, int) error { return nil }})
	}
	dial := func(s grpcbreaker.Source, c grpcbreaker.Config) *grpc.ClientConn {
		_, conn := start(t, register, newClient(t, s, c).DialOptions(), newServer(t, s, c).ServerOptions())
		return conn
	}
	conn := dial(grpcbreaker.One(b), grpcbreaker.Config{})
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err == nil {
		_ = stream.CloseSend()
		_, err = stream.Recv()
	}
	if err != nil && err.Error() != "EOF" {
		t.Error(err)
	}
	if _, err := pb.NewTestServiceClient(conn).UnaryCall(t.Context(), &pb.SimpleRequest{}); !errors.Is(err, redbreaker.ErrRejected) {
		t.Errorf("the service is unprotected: %v", err)
	}
	for _, conn := range []*grpc.ClientConn{
		dial(grpcbreaker.One(b), grpcbreaker.Config{Methods: func(method string) bool { return method == "/only/this" }}),
		dial(func(context.Context, string, string) (*redbreaker.Breaker, error) { return nil, nil }, grpcbreaker.Config{}),
	} {
		for _, k := range kinds {
			if err := k.call(t.Context(), pb.NewTestServiceClient(conn), always); err != nil {
				t.Errorf("%s: %v", k.name, err)
			}
		}
	}
	wantOutcomes(t, o)
}

// TestKeys: one breaker for each target, service or method.
func TestKeys(t *testing.T) {
	const target, method = "dns:///payments:50051", "/shop.Payments/Charge"
	for _, c := range []struct {
		key            func(target, method string) string
		client, server string
	}{
		{grpcbreaker.ByTarget, "dns:///payments:50051", ""},
		{grpcbreaker.ByService, "dns:///payments:50051/shop.Payments", "shop.Payments"},
		{grpcbreaker.ByMethod, "dns:///payments:50051/shop.Payments/Charge", "shop.Payments/Charge"},
	} {
		if got := c.key(target, method); got != c.client {
			t.Errorf("at a client %q, want %q", got, c.client)
		}
		if got := c.key("", method); got != c.server {
			t.Errorf("at a server %q, want %q", got, c.server)
		}
	}
	if got := grpcbreaker.ByService("", "odd"); got != "odd" {
		t.Errorf("a method without a service: %q", got)
	}
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	_, conn := start(t, func(r *grpc.Server) {
		pb.RegisterTestServiceServer(r, &service{at: func(context.Context, int) error { return nil }})
	}, newClient(t, grpcbreaker.Keyed(registry, grpcbreaker.ByMethod), grpcbreaker.Config{}).DialOptions(),
		newServer(t, grpcbreaker.Keyed(registry, grpcbreaker.ByTarget), grpcbreaker.Config{}).ServerOptions())
	for _, k := range kinds[:2] {
		if err := k.call(t.Context(), pb.NewTestServiceClient(conn), always); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for name := range registry.All() {
		names = append(names, name)
	}
	want := []string{
		"passthrough:///dep/grpc.testing.TestService/StreamingOutputCall",
		"passthrough:///dep/grpc.testing.TestService/UnaryCall",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("breakers (-want +got):\n%s", diff)
	}
}

// TestPanics: a panic or an exit counts as a failure and continues, on both sides.
func TestPanics(t *testing.T) {
	for _, exits := range []bool{false, true} {
		blow := func() {
			if exits {
				runtime.Goexit()
			}
			panic("boom")
		}
		_, conn := start(t, func(*grpc.Server) {}, nil, nil)
		for name, call := range map[string]func(s grpcbreaker.Source){
			"client": func(s grpcbreaker.Source) {
				_ = newClient(t, s, grpcbreaker.Config{}).Unary(t.Context(), "/s/m", nil, nil, conn,
					func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
						blow()
						return nil
					})
			},
			"server": func(s grpcbreaker.Source) {
				_, _ = newServer(t, s, grpcbreaker.Config{}).Unary(t.Context(), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) { blow(); return nil, nil })
			},
			"server stream": func(s grpcbreaker.Source) {
				_ = newServer(t, s, grpcbreaker.Config{}).Stream(nil, &contextStream{ctx: t.Context()}, &grpc.StreamServerInfo{}, func(any, grpc.ServerStream) error { blow(); return nil })
			},
			"judge": func(s grpcbreaker.Source) {
				c := grpcbreaker.Config{Judge: func(string, error) redbreaker.Outcome { blow(); return 0 }}
				_, _ = newServer(t, s, c).Unary(t.Context(), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) { return nil, errors.New("x") })
			},
		} {
			b, o := newBreaker(t, neverOpens)
			ended := make(chan any)
			go func() {
				defer func() { ended <- recover() }()
				call(grpcbreaker.One(b))
			}()
			if got := <-ended; (got == nil) != exits {
				t.Errorf("%s: recovered %v", name, got)
			}
			if diff := cmp.Diff([]redbreaker.Outcome{redbreaker.Failure}, o.all()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// TestFaults: constructors name everything that is wrong.
func TestFaults(t *testing.T) {
	const bad = "redbreaker: %[1]s got a nil source, check the breaker, registry or key that it was made of: invalid argument\n" +
		"redbreaker: %[1]s got a CallerDeadline of success, use Failure or Ignored: invalid argument"
	_, clientErr := grpcbreaker.NewClient(grpcbreaker.One(nil), grpcbreaker.Config{CallerDeadline: redbreaker.Success})
	_, serverErr := grpcbreaker.NewServer(grpcbreaker.Keyed(nil, grpcbreaker.ByMethod), grpcbreaker.Config{CallerDeadline: redbreaker.Success})
	for constructor, err := range map[string]error{"NewClient": clientErr, "NewServer": serverErr} {
		if diff := cmp.Diff(fmt.Sprintf(bad, constructor), fmt.Sprint(err)); diff != "" || !errors.Is(err, redbreaker.ErrInvalid) {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
