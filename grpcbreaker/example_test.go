package grpcbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/grpcbreaker"
)

// The interceptors of a client. A rejection is Unavailable for gRPC, and a
// *redbreaker.RejectedError for those who want to know more.
func ExampleNewClient() {
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1})
	if err != nil {
		panic(err)
	}
	defer payments.Stop()
	client, err := grpcbreaker.NewClient(grpcbreaker.One(payments), grpcbreaker.Config{})
	if err != nil {
		panic(err)
	}
	// conn, err := grpc.NewClient(target, append(client.DialOptions(), ...)...)

	down := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		return status.Error(codes.Unavailable, "connection refused")
	}
	for range 2 {
		err := client.Unary(context.Background(), "/shop.Payments/Charge", nil, nil, nil, down)
		var rejected *redbreaker.RejectedError
		fmt.Println(status.Code(err), errors.As(err, &rejected))
	}
	// Output:
	// Unavailable false
	// Unavailable true
}

// The interceptors of a server, with a circuit for each method.
func ExampleNewServer() {
	methods, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{
		Policy: redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: 5 * time.Second},
	})
	if err != nil {
		panic(err)
	}
	defer methods.Stop()
	server, err := grpcbreaker.NewServer(grpcbreaker.Keyed(methods, grpcbreaker.ByMethod), grpcbreaker.Config{})
	if err != nil {
		panic(err)
	}
	// s := grpc.NewServer(server.ServerOptions()...)

	handle := func(context.Context, any) (any, error) { return nil, errors.New("no database") }
	for _, method := range []string{"/shop.Payments/Charge", "/shop.Payments/Charge", "/shop.Payments/Refund"} {
		_, err := server.Unary(context.Background(), nil, &grpc.UnaryServerInfo{FullMethod: method}, handle)
		fmt.Println(method, status.Convert(err).Message())
	}
	// Output:
	// /shop.Payments/Charge no database
	// /shop.Payments/Charge redbreaker: call rejected: open
	// /shop.Payments/Refund no database
}

// Circuits by target, by service, by method, and by a key of your own.
func ExampleKeyed() {
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
	if err != nil {
		panic(err)
	}
	defer registry.Stop()
	for _, source := range []grpcbreaker.Source{
		grpcbreaker.Keyed(registry, grpcbreaker.ByTarget),
		grpcbreaker.Keyed(registry, grpcbreaker.ByService),
		grpcbreaker.Keyed(registry, grpcbreaker.ByMethod),
		grpcbreaker.Keyed(registry, func(_, method string) string { return "tenant of " + method }),
	} {
		b, err := source(context.Background(), "payments:50051", "/shop.Payments/Charge")
		if err != nil {
			panic(err)
		}
		fmt.Println(b.Name())
	}
	// Output:
	// payments:50051
	// payments:50051/shop.Payments
	// payments:50051/shop.Payments/Charge
	// tenant of /shop.Payments/Charge
}

// Aborted is a failure here: it means that the database lost a leader.
func ExampleConfig() {
	ledger, err := redbreaker.New("ledger", redbreaker.Policy{ConsecutiveFailures: 1})
	if err != nil {
		panic(err)
	}
	defer ledger.Stop()
	client, err := grpcbreaker.NewClient(grpcbreaker.One(ledger), grpcbreaker.Config{
		Judge: func(_ string, err error) redbreaker.Outcome {
			if status.Code(err) == codes.Aborted {
				return redbreaker.Failure
			}
			return 0 // the rules of the package
		},
	})
	if err != nil {
		panic(err)
	}
	aborted := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		return status.Error(codes.Aborted, "no leader")
	}
	_ = client.Unary(context.Background(), "/bank.Ledger/Post", nil, nil, nil, aborted)
	fmt.Println(ledger.State())
	// Output: open
}
