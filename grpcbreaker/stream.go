package grpcbreaker

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/redbreaker/redbreaker"
)

// streamCall is the call of a stream, which counts once.
type streamCall struct {
	ctx    context.Context
	config *Config
	method string
	probe  bool

	// mu is held to use the permit: sending, receiving and the end of the context
	// may meet, and the clock of a permit is not for concurrent use.
	mu     sync.Mutex
	permit redbreaker.Permit
}

// firstMessage takes note of the first message from the server: a probe has its
// answer, and the time by which the stream is slow ends.
func (c *streamCall) firstMessage() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.config.SlowStream {
		c.permit.StopClock()
	}
	if c.probe {
		c.permit.Settle(c.ctx, nil)
	}
}

// settleError settles the call, unless it was settled before.
func (c *streamCall) settleError(err error, trailer metadata.MD) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config.settleCall(c.ctx, &c.permit, c.method, err, trailer)
}

// settleIgnored settles the call as ignored, unless it was settled before.
func (c *streamCall) settleIgnored() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.permit.Ignore()
}

// clientStream sees how a client's stream ends.
//
// A stream may be abandoned: then only the end of its context shows that. But that
// end may also be seen by an operation in flight, which returns it as an error that
// may count, such as DeadlineExceeded. So operations are counted: if one is in
// flight, its return settles the call; if none is, the watch on the context does.
type clientStream struct {
	grpc.ClientStream
	streamCall
	desc *grpc.StreamDesc
	conn *grpc.ClientConn

	inFlight atomic.Int32
	stop     func() bool // ends the watch on the context; nil if that has no end
	received bool        // a message has come; owned by the caller of RecvMsg
}

// watchContext watches for the end of the context.
func (s *clientStream) watchContext() {
	if s.ctx.Done() != nil {
		s.stop = context.AfterFunc(s.ctx, func() {
			if s.inFlight.Load() == 0 {
				s.settleIgnored()
			}
		})
	}
}

// endOperation ends an operation. If the context ended meanwhile and the operation
// did not see it, there may be no other.
func (s *clientStream) endOperation() {
	if s.inFlight.Add(-1) == 0 && s.ctx.Err() != nil {
		s.settleIgnored()
	}
}

// endStream settles the call, and ends the watch on the context.
func (s *clientStream) endStream(err error, trailer metadata.MD) {
	if err != nil && isClosed(s.conn) {
		s.settleIgnored()
	} else {
		s.settleError(err, trailer)
	}
	s.stopWatch()
}

// stopWatch ends the watch on the context.
func (s *clientStream) stopWatch() {
	if s.stop != nil {
		s.stop()
	}
}

// RecvMsg receives a message. Any error ends the stream; io.EOF is its good end. If
// the server sends a single response, that ends it too.
func (s *clientStream) RecvMsg(m any) error {
	s.inFlight.Add(1)
	defer s.endOperation()
	err := s.ClientStream.RecvMsg(m)
	switch {
	case isEnd(err):
		s.endStream(nil, nil)
	case err != nil:
		s.endStream(err, s.ClientStream.Trailer())
	case !s.desc.ServerStreams:
		s.endStream(nil, nil)
	case !s.received:
		s.received = true
		s.firstMessage()
	}
	return err
}

// SendMsg sends a message. After io.EOF, RecvMsg has the status; any other error
// ends the stream.
func (s *clientStream) SendMsg(m any) error {
	s.inFlight.Add(1)
	defer s.endOperation()
	err := s.ClientStream.SendMsg(m)
	switch {
	case err == nil:
	case isEnd(err):
		s.endWithContext()
	case isOwnFault(err):
		s.settleIgnored()
		s.stopWatch()
	default:
		s.endStream(err, nil)
	}
	return err
}

// isEnd reports whether err is io.EOF itself, as gRPC returns it at the good end.
func isEnd(err error) bool {
	return err == io.EOF //nolint:errorlint // a wrapped io.EOF is the error of a connection
}

// isOwnFault reports whether SendMsg refused a message: one that cannot be encoded,
// or is too large. The server never saw it.
func isOwnFault(err error) bool {
	code := codeOf(err)
	return code == codes.Internal || code == codes.ResourceExhausted
}

// Header waits for the headers. Without headers and without an error, the stream has
// ended, and RecvMsg has the status.
func (s *clientStream) Header() (metadata.MD, error) {
	s.inFlight.Add(1)
	defer s.endOperation()
	md, err := s.ClientStream.Header()
	switch {
	case err != nil && !isEnd(err):
		s.endStream(err, nil)
	case md == nil:
		s.endWithContext()
	}
	return md, err
}

// endWithContext settles a stream that an operation found ended, if its context has
// ended too: a server that let a deadline pass counts, even if RecvMsg is not called.
func (s *clientStream) endWithContext() {
	if err := s.ctx.Err(); err != nil {
		s.endStream(status.FromContextError(err).Err(), nil)
	}
}

// serverStream sees a server's first message.
type serverStream struct {
	grpc.ServerStream
	streamCall
	sent atomic.Bool
}

// SendMsg sends a message.
func (s *serverStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil && !s.sent.Swap(true) {
		s.firstMessage()
	}
	return err
}
