package grpcbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/grpcbreaker"
)

// account holds how calls ended, as one side counted them.
type account struct{ success, failure, ignored, rejected atomic.Int64 }

func (a *account) String() string {
	return fmt.Sprintf("%d successes, %d failures, %d ignored, %d rejected", a.success.Load(), a.failure.Load(), a.ignored.Load(), a.rejected.Load())
}

func (a *account) total() int64 {
	return a.success.Load() + a.failure.Load() + a.ignored.Load() + a.rejected.Load()
}

// lacksOne reports whether an outcome did not occur.
func (a *account) lacksOne() bool {
	return a.success.Load() == 0 || a.failure.Load() == 0 || a.ignored.Load() == 0 || a.rejected.Load() == 0
}

func (a *account) hooks() redbreaker.Option {
	return redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(_ context.Context, r redbreaker.CallResult) {
			switch r.Outcome {
			case redbreaker.Success:
				a.success.Add(1)
			case redbreaker.Failure:
				a.failure.Add(1)
			case redbreaker.Ignored:
				a.ignored.Add(1)
			}
		},
		OnReject: func(context.Context, *redbreaker.RejectedError) { a.rejected.Add(1) },
	})
}

// TestLoad: 256 goroutines make calls of all four kinds to a server that fails at
// random points, and leave or abandon some. On both sides the breakers count exactly
// the calls that were made.
func TestLoad(t *testing.T) {
	calls := 20
	if testing.Short() {
		calls = 4
	}
	policy := redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: time.Millisecond, HalfOpen: redbreaker.HalfOpen{Probes: 3, Successes: 2}}
	var serverSide, clientSide, seen account
	var arrived atomic.Int64
	inner, _ := newBreaker(t, policy, serverSide.hooks())
	outer, _ := newBreaker(t, policy, clientSide.hooks())
	faulty := &service{at: func(ctx context.Context, _ int) error {
		switch rand.IntN(40) {
		case 0, 1, 2:
			return status.Error(codes.Unavailable, "down")
		case 3:
			return status.Error(codes.NotFound, "no such thing")
		}
		return ctx.Err()
	}}
	protection := newServer(t, grpcbreaker.One(inner), grpcbreaker.Config{})
	_, conn := start(t, func(s *grpc.Server) { pb.RegisterTestServiceServer(s, faulty) },
		newClient(t, grpcbreaker.One(outer), grpcbreaker.Config{}).DialOptions(),
		append([]grpc.ServerOption{
			grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
				reply, err := handle(ctx, request)
				if !wasLate(err) {
					arrived.Add(1)
				}
				return reply, err
			}),
			grpc.ChainStreamInterceptor(func(service any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
				err := handle(service, s)
				if !wasLate(err) {
					arrived.Add(1)
				}
				return err
			}),
		}, protection.ServerOptions()...))
	client := pb.NewTestServiceClient(conn)

	var callers sync.WaitGroup
	for range 256 {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for range calls {
				callOnce(client, &seen)
			}
		}()
	}
	callers.Wait()
	made := int64(256 * calls)
	// How often each outcome occurs is chance: a lone caller goes on for those that
	// the crowd did not have.
	for end := made + 20_000; seen.lacksOne() && made < end; made++ {
		callOnce(client, &seen)
	}
	eventually(t, "the client has counted every call", func() bool { return clientSide.total() >= made })
	eventually(t, "the server has counted every call", func() bool { return serverSide.total() >= arrived.Load() })
	t.Logf("callers: %v\nclient: %v\nserver: %v of %d calls", &seen, &clientSide, &serverSide, arrived.Load())
	if clientSide.total() != made || seen.total() != made || serverSide.total() != arrived.Load() {
		t.Errorf("counted %d and %d of %d calls, %d of %d at the server", clientSide.total(), seen.total(), made, serverSide.total(), arrived.Load())
	}
	if seen.rejected.Load() != clientSide.rejected.Load() {
		t.Errorf("%d calls were rejected, %d counted", seen.rejected.Load(), clientSide.rejected.Load())
	}
	// A probe counts by its first message, whatever its caller sees then: only as
	// many calls may differ as there were probes.
	if clientSide.success.Load() < seen.success.Load() || clientSide.failure.Load() > seen.failure.Load() || clientSide.ignored.Load() > seen.ignored.Load() {
		t.Errorf("callers saw %v, counted %v", &seen, &clientSide)
	}
	if seen.lacksOne() {
		t.Error("an outcome did not occur: the test shows nothing of it")
	}
}

// wasLate reports whether a call's caller had left before the breaker was asked.
func wasLate(err error) bool {
	_, isRejection := err.(interface{ GRPCStatus() *status.Status })
	return isRejection && errors.Is(err, context.Canceled)
}

// callOnce makes a call of some kind, abandons some, and notes what it saw.
func callOnce(client pb.TestServiceClient, seen *account) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	leak := rand.IntN(50)
	err := kinds[rand.IntN(len(kinds))].call(ctx, client, func() bool { leak--; return leak != 0 })
	switch {
	case errors.Is(err, redbreaker.ErrRejected):
		seen.rejected.Add(1)
		time.Sleep(5 * time.Millisecond)
	case err == errLeaked:
		seen.ignored.Add(1)
	case err == nil, err == io.EOF, status.Code(err) == codes.NotFound:
		seen.success.Add(1)
	default:
		seen.failure.Add(1)
	}
}
