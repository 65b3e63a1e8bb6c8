package grpcbreaker_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/grpcbreaker"
)

// BenchmarkUnary: what a closed breaker in memory adds to a call, beside an
// interceptor that only calls on.
func BenchmarkUnary(b *testing.B) {
	breaker, err := redbreaker.New("dep", neverOpens)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(breaker.Stop)
	ctx := context.Background()
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	for _, c := range []struct {
		name      string
		intercept grpc.UnaryClientInterceptor
	}{
		{"bare", func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, method, request, reply, conn, opts...)
		}},
		{"client", newClient(b, grpcbreaker.One(breaker), grpcbreaker.Config{}).Unary},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.intercept(ctx, "/shop.Payments/Charge", nil, nil, nil, invoke); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	server := newServer(b, grpcbreaker.One(breaker), grpcbreaker.Config{})
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.Payments/Charge"}
	handle := func(context.Context, any) (any, error) { return nil, nil }
	b.Run("server", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := server.Unary(ctx, nil, info, handle); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCall: what both interceptors add to a real call in memory.
func BenchmarkCall(b *testing.B) {
	breaker, err := redbreaker.New("dep", neverOpens)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(breaker.Stop)
	for _, c := range []struct {
		name   string
		client []grpc.DialOption
		server []grpc.ServerOption
	}{
		{"bare", nil, nil},
		{"protected", newClient(b, grpcbreaker.One(breaker), grpcbreaker.Config{}).DialOptions(),
			newServer(b, grpcbreaker.One(breaker), grpcbreaker.Config{}).ServerOptions()},
	} {
		for _, k := range kinds[:2] {
			b.Run(k.name+"/"+c.name, func(b *testing.B) {
				_, client := startService(b, c.client, c.server)
				b.ReportAllocs()
				for b.Loop() {
					ctx, cancel := context.WithCancel(context.Background())
					if err := k.call(ctx, client, always); err != nil {
						b.Fatal(err)
					}
					cancel()
				}
			})
		}
	}
}
