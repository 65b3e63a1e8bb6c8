package grpcbreaker

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"

	"github.com/redbreaker/redbreaker"
)

// Client has the interceptors of a client. Make it with [NewClient]. It is safe for
// concurrent use, and for any number of connections.
type Client struct {
	source Source
	config Config
}

// NewClient returns the interceptors of a client. It returns every fault of its
// arguments at once, each wrapping [redbreaker.ErrInvalid].
func NewClient(s Source, c Config) (*Client, error) {
	if err := c.complete("NewClient", s, redbreaker.Failure); err != nil {
		return nil, err
	}
	return &Client{s, c}, nil
}

// DialOptions returns both interceptors, for grpc.NewClient. They run in the order
// of the options: place them before interceptors whose work the breaker should
// count, such as one that signs requests, and after one that retries.
func (c *Client) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(c.Unary), grpc.WithChainStreamInterceptor(c.Stream)}
}

// Unary is a grpc.UnaryClientInterceptor.
func (c *Client) Unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	b, err := findBreaker(ctx, c.source, &c.config, targetOf(conn), method)
	if err != nil {
		return err
	}
	if b == nil {
		return invoke(ctx, method, request, reply, conn, opts...)
	}
	permit, err := b.Acquire(ctx)
	if err != nil {
		return newRejection(err)
	}
	returned := false
	defer func() {
		if !returned { // a panic or Goexit of another interceptor, which goes on
			permit.Failure(redbreaker.ErrPanicked)
		}
	}()
	var trailer metadata.MD
	err = invoke(ctx, method, request, reply, conn, append(opts[:len(opts):len(opts)], grpc.Trailer(&trailer))...)
	if err != nil && isClosed(conn) {
		permit.Ignore()
	} else {
		c.config.settleCall(ctx, &permit, method, err, trailer)
	}
	returned = true
	return err
}

// Stream is a grpc.StreamClientInterceptor.
func (c *Client) Stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	b, err := findBreaker(ctx, c.source, &c.config, targetOf(conn), method)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return open(ctx, desc, conn, method, opts...)
	}
	s := &clientStream{streamCall: streamCall{ctx: ctx, config: &c.config, method: method}, desc: desc, conn: conn}
	if s.permit, err = b.Acquire(ctx); err != nil {
		return nil, newRejection(err)
	}
	returned := false
	defer func() {
		if !returned {
			s.permit.Failure(redbreaker.ErrPanicked)
		}
	}()
	s.ClientStream, err = open(ctx, desc, conn, method, opts...)
	if err != nil {
		s.endStream(err, nil)
		returned = true
		return nil, err
	}
	s.probe = s.permit.Probe()
	s.watchContext()
	returned = true
	return s, nil
}

// targetOf returns the target of a connection. Tests call interceptors without one.
func targetOf(conn *grpc.ClientConn) string {
	if conn == nil {
		return ""
	}
	return conn.Target()
}

// isClosed reports whether the caller has closed the connection. Calls in flight
// then end as Canceled or as Unavailable, which is not the server's fault.
func isClosed(conn *grpc.ClientConn) bool {
	return conn != nil && conn.GetState() == connectivity.Shutdown
}
