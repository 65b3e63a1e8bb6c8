// Package grpcbreaker protects gRPC clients and servers with a circuit breaker, by
// interceptors for unary calls and streams.
//
//	breakers, err := grpcbreaker.NewClient(grpcbreaker.One(payments), grpcbreaker.Config{})
//	...
//	conn, err := grpc.NewClient(target, append(breakers.DialOptions(), credentials)...)
//
//	protection, err := grpcbreaker.NewServer(grpcbreaker.Keyed(registry, grpcbreaker.ByMethod), grpcbreaker.Config{})
//	...
//	server := grpc.NewServer(protection.ServerOptions()...)
//
// # What counts
//
// Unavailable, DeadlineExceeded, Internal, Unknown, DataLoss and ResourceExhausted
// are failures, and so is a code that gRPC does not define. Canceled is ignored,
// and so is every failure of a call whose caller has cancelled its context. Any
// other code is a success: the server answered. A panic of a server's handler is a
// failure and continues. A deadline of the caller that has passed counts as
// Config.CallerDeadline says.
//
// If a failure opens the circuit, a google.rpc.RetryInfo in its status or, at a client,
// the trailer grpc-retry-pushback-ms replaces Policy.OpenFor.
//
// # Streams
//
// A stream counts once, at its end, so that one which breaks after an hour is a
// failure. At a client it ends when RecvMsg returns an error (io.EOF is a success),
// when Header or SendMsg fails with an error other than io.EOF, or, if the server sends
// a single response, when that arrives. If the caller abandons a stream, the call is
// ignored when its context ends, so give each stream a context that ends. At a server
// a stream ends when the handler returns.
//
// A probe of a half-open circuit is decided by the first message from the server:
// the fleet waits for it, and a stream may be long.
//
// # Rejections
//
// A rejected call is not sent, or not handled. Its error has the status Unavailable,
// with a RetryInfo if the end of the rejection is known, and unwraps to the
// *redbreaker.RejectedError. The status contains neither the breaker's name nor a
// cause, since servers send it to their clients. A server adds
// grpc-retry-pushback-ms, so that a client's retry policy waits until the rejection
// ends, or does not retry if no end is known. gRPC's own retries happen inside a
// client's interceptors, so gRPC does not retry a call that a client's breaker rejected.
//
// The page docs/middleware.md of the repository lists the outcome of every code.
package grpcbreaker
