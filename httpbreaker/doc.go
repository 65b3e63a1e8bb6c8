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
// [One] is one breaker for all requests, [Keyed] one of a registry for each key,
// such as [ByHost].
//
// A call counts once, at its end:
//
//   - An error of the transport is a failure, a deadline too. If the caller
//     cancelled the request's context, the call is ignored.
//   - A status of 500 or more, except 501 and 505, and 429 are failures; see
//     [JudgeStatus]. A Retry-After becomes the failure's own open time; by option
//     it opens the circuit at once.
//   - Any other response is decided by its body: its end is a success, an error of
//     Read is a failure, unless the caller cancelled. Closing the body before its
//     end is a success: the caller had enough. Closing it while another goroutine
//     waits for more is ignored. Where there is no body to read (HEAD, 204, 304,
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
// requests get a 503 with Retry-After. So a server protects itself, or answers at
// once for a dependency that is down.
//
// The outcome of every status code, and how retries, hedges and streams go with a
// breaker, is in docs/middleware.md of the repository.
package httpbreaker
