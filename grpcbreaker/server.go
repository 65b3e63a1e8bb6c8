package grpcbreaker

import (
	"context"

	"google.golang.org/grpc"

	"github.com/redbreaker/redbreaker"
)

// Server has the interceptors of a server that protects itself, or answers at once
// for a dependency that is down. Make it with [NewServer]. It is safe for concurrent
// use.
type Server struct {
	source Source
	config Config
}

// NewServer returns the interceptors of a server. It returns every fault of its
// arguments at once, each wrapping [redbreaker.ErrInvalid].
func NewServer(s Source, c Config) (*Server, error) {
	if err := c.complete("NewServer", s, redbreaker.Ignored); err != nil {
		return nil, err
	}
	return &Server{s, c}, nil
}

// ServerOptions returns both interceptors, for grpc.NewServer. They run in the order
// of the options: place them after one that recovers from panics, so that the panic
// counts.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(s.Unary), grpc.ChainStreamInterceptor(s.Stream)}
}

// Unary is a grpc.UnaryServerInterceptor.
func (s *Server) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	b, err := findBreaker(ctx, s.source, &s.config, "", info.FullMethod)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return handle(ctx, request)
	}
	permit, err := b.Acquire(ctx)
	if err != nil {
		return nil, rejectCall(ctx, err)
	}
	returned := false
	defer func() {
		if !returned { // a panic or Goexit of the handler, which goes on
			permit.Failure(redbreaker.ErrPanicked)
		}
	}()
	reply, err := handle(ctx, request)
	s.config.settleCall(ctx, &permit, info.FullMethod, err, nil)
	returned = true
	return reply, err
}

// Stream is a grpc.StreamServerInterceptor.
func (s *Server) Stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx := stream.Context()
	b, err := findBreaker(ctx, s.source, &s.config, "", info.FullMethod)
	if err != nil {
		return err
	}
	if b == nil {
		return handle(service, stream)
	}
	w := &serverStream{ServerStream: stream, streamCall: streamCall{ctx: ctx, config: &s.config, method: info.FullMethod}}
	if w.permit, err = b.Acquire(ctx); err != nil {
		return rejectCall(ctx, err)
	}
	w.probe = w.permit.Probe()
	returned := false
	defer func() {
		if !returned {
			w.permit.Failure(redbreaker.ErrPanicked)
		}
	}()
	err = handle(service, w)
	w.settleError(err, nil)
	returned = true
	return err
}

// rejectCall returns the error of a call that is not admitted, and adds a trailer.
func rejectCall(ctx context.Context, cause error) error {
	setPushback(ctx, cause)
	return newRejection(cause)
}
