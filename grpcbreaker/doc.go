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
// A failure's own open time comes from google.rpc.RetryInfo in its status or, at a
// client, from the trailer grpc-retry-pushback-ms.
//
// # Streams
//
// A stream counts once, at its end, so that one which breaks after an hour is a
// failure. At a client it ends when RecvMsg returns an error, io.EOF being a success;
// when Header or SendMsg fails, except with io.EOF; or, if the server sends a single
// response, with that. A stream that the caller abandons is ignored as soon as its
// context ends; give a stream a context that does. At a server it ends when the
// handler returns.
//
// A probe of a half-open circuit is decided by the first message from the server:
// the fleet waits for it, and a stream may be long.
//
// # Rejections
//
// A rejected call is not sent, or not handled. Its error has the status Unavailable,
// with a RetryInfo if the end of the rejection is known, and unwraps to the
// *redbreaker.RejectedError. The status has no name and no cause, since servers
// send it to their clients. A server adds grpc-retry-pushback-ms, so that a client's
// retry policy waits as long, or does not retry if no end is known. gRPC's own
// retries run within a client's interceptors, so a client's rejection is final.
//
// The outcome of every code is in docs/middleware.md of the repository.
package grpcbreaker
