// Package httpbreaker protects HTTP clients and servers with a circuit breaker.
//
// # Clients
//
// A [Transport] is an http.RoundTripper:
//
//	transport, err := httpbreaker.NewTransport(httpbreaker.One(payments), nil, httpbreaker.TransportConfig{})
//	...
//	client := &http.Client{Transport: transport}
//	response, err := client.Get("https://payments.example/charges/1")
//	var rejected *redbreaker.RejectedError
//	if errors.As(err, &rejected) {
//		return cached(), nil // not sent; the circuit is open for rejected.RetryAfter()
//	}
//
// [One] protects all requests with one breaker. [Keyed] uses a breaker of a registry
// for each key, such as the host with [ByHost].
//
// A call counts once, at its end:
//
//   - An error of the transport is a failure, and so is a deadline. If the caller
//     cancelled the request's context, the call is ignored.
//   - A status of 429, or of 500 or more except 501 and 505, is a failure; see
//     [JudgeStatus]. A Retry-After replaces Policy.OpenFor if this failure opens the
//     circuit; with TripOnRetryAfter it opens the circuit at once.
//   - Any other response is decided by its body. The end of the body is a success. An
//     error of Read is a failure, unless the caller cancelled. Closing the body before
//     its end is a success: the caller had enough. Closing it while another goroutine
//     waits in Read is ignored. Where there is no body to read (HEAD, 204, 304,
//     Content-Length 0, 101, CONNECT), the headers decide.
//   - A probe of a half-open circuit is decided by the first bytes of the body. The
//     fleet waits for it, and a stream may be long.
//
// A body that is neither read to its end nor closed is never counted. The
// net/http contract asks for Close in any case.
//
// A rejected request is not sent, and its body is closed. http.Client returns the
// *redbreaker.RejectedError within a *url.Error. It is no timeout and not
// temporary, and net/http does not retry it. A retry policy around the client
// must not retry it either: stop on errors.Is(err, redbreaker.ErrRejected).
//
// # Servers
//
// [NewHandler] puts a breaker before an http.Handler. While the circuit is open,
// requests get a 503 with Retry-After at once, so that the server is spared work that
// it cannot finish.
//
// The page docs/middleware.md of the repository lists the outcome of every status
// code, and explains how to combine retries, hedges and streams with a breaker.
package httpbreaker
