package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// Interceptor protects the calls of a connect client with a breaker. Handlers pass
// through it unprotected.
type Interceptor struct{ breaker *redbreaker.Breaker }

var _ connect.Interceptor = (*Interceptor)(nil)

// NewInterceptor returns an interceptor with a breaker. The options of the breaker may
// add a storage, so that a fleet shares the circuit.
func NewInterceptor(name string, policy redbreaker.Policy, opts ...redbreaker.Option) (*Interceptor, error) {
	breaker, err := redbreaker.New(name, policy, append(opts, redbreaker.WithClassifier(judge))...)
	return &Interceptor{breaker}, err
}

// Stop stops the breaker.
func (i *Interceptor) Stop() { i.breaker.Stop() }

// judge makes a success of every code with which a working service answers a request
// that it cannot fulfil, such as not_found. The other codes are failures, unless the
// caller cancelled.
func judge(err error) redbreaker.Outcome {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeInternal, connect.CodeUnknown,
		connect.CodeDataLoss, connect.CodeResourceExhausted:
		return 0
	case connect.CodeCanceled:
		return redbreaker.Ignored
	}
	return redbreaker.Success
}

// withRetryAfter adds the Retry-After of a response to its error.
func withRetryAfter(err error) error {
	var e *connect.Error
	if errors.As(err, &e) {
		return redbreaker.RetryAfterError(err, httpbreaker.RetryAfter(e.Meta(), time.Now()))
	}
	return err
}

// asConnect makes a rejection an error of connect. errors.Is still matches
// redbreaker.ErrRejected, at which retries should stop.
func asConnect(err error) error {
	if errors.Is(err, redbreaker.ErrRejected) {
		return connect.NewError(connect.CodeUnavailable, err)
	}
	return err
}

// WrapUnary protects unary calls.
func (i *Interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if !request.Spec().IsClient {
			return next(ctx, request)
		}
		judged := func(_ connect.AnyResponse, err error) error { return withRetryAfter(err) }
		response, err := redbreaker.CallCheck(ctx, i.breaker, judged, func(ctx context.Context) (connect.AnyResponse, error) {
			return next(ctx, request)
		})
		return response, asConnect(err)
	}
}

// WrapStreamingClient protects streams. A stream counts at its end; a probe counts with
// its first message, since the whole fleet waits for it.
func (i *Interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		c := &protectedConn{ctx: ctx}
		if c.permit, c.rejected = i.breaker.Acquire(ctx); c.rejected != nil {
			ctx, cancel := context.WithCancel(ctx)
			cancel() // a stream that is never sent
			c.StreamingClientConn = next(ctx, spec)
			return c
		}
		c.StreamingClientConn = next(ctx, spec)
		// A caller that abandons the stream ends its context.
		c.stop = context.AfterFunc(ctx, func() { c.settle(ctx.Err()) })
		return c
	}
}

// WrapStreamingHandler leaves handlers unprotected.
func (i *Interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// protectedConn is the client's side of a stream.
type protectedConn struct {
	connect.StreamingClientConn
	ctx      context.Context
	rejected error
	stop     func() bool

	mu     sync.Mutex // Send and Receive may run concurrently
	permit redbreaker.Permit
}

func (c *protectedConn) settle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, io.EOF) {
		err = nil // the end of the stream
	}
	c.permit.Settle(c.ctx, withRetryAfter(err)) // a second time it does nothing
}

func (c *protectedConn) Send(message any) error {
	if c.rejected != nil {
		return asConnect(c.rejected)
	}
	// A failed Send returns io.EOF; the error itself comes from Receive.
	return c.StreamingClientConn.Send(message)
}

func (c *protectedConn) Receive(message any) error {
	if c.rejected != nil {
		return asConnect(c.rejected)
	}
	err := c.StreamingClientConn.Receive(message)
	if err != nil {
		c.settle(err)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.permit.StopClock() // a long stream is not a slow call
	if c.permit.Probe() {
		c.permit.Success()
	}
	return nil
}

func (c *protectedConn) CloseResponse() error {
	if c.stop != nil {
		c.stop()
	}
	c.settle(nil) // the caller had enough
	return c.StreamingClientConn.CloseResponse()
}

// ResponseHeader is empty for a stream that was not sent, which would block.
func (c *protectedConn) ResponseHeader() http.Header {
	if c.rejected != nil {
		return http.Header{}
	}
	return c.StreamingClientConn.ResponseHeader()
}
