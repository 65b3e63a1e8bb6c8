package httpbreaker

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// HandlerConfig is how a handler judges its responses, and what it answers to
// rejected requests. The zero value is usable. Its functions run concurrently.
type HandlerConfig struct {
	// Judge returns the failure that status and headers of a response are, or nil.
	// nil: every status of 500 or more is one, except 501 and 505. A 429 is none:
	// with it a server limits one client. A Retry-After among the headers becomes
	// the failure's own open time.
	Judge func(status int, h http.Header) error

	// Reject answers a request that is not admitted. err is a
	// *redbreaker.RejectedError, redbreaker.ErrStopped, the error of a context that
	// has ended, or that of the Source. The header Retry-After is set already: in
	// whole seconds, rounded up, at least 1. nil: a 503 with a line of text.
	Reject func(w http.ResponseWriter, r *http.Request, err error)

	// SlowBody makes the time to the end of the handler the one by which a call is
	// slow; a client that reads slowly then makes it slow. Default: the time to the
	// headers.
	SlowBody bool
}

// NewHandler returns a handler that calls next for the requests that a breaker
// admits, and counts how they end:
//
//   - A status of 500 or more, except 501 and 505, is a failure.
//   - A panic, http.ErrAbortHandler among them, is a failure and goes on.
//   - If the client has disconnected by the end, the call is ignored, whatever
//     became of it. Net/http then cancels the request's context.
//   - A probe that streams is decided by its first Flush, or by Hijack.
//
// Put http.TimeoutHandler within, so that its 503 counts. The http.ResponseWriter
// that next gets implements Flusher and Hijacker if that of the server does, and
// io.ReaderFrom; http.ResponseController reaches everything else by Unwrap.
//
// It returns every fault of its arguments at once, each wrapping
// [redbreaker.ErrInvalid].
func NewHandler(s Source, next http.Handler, c HandlerConfig) (http.Handler, error) {
	var faults []error
	if s == nil {
		faults = append(faults, noSource("NewHandler"))
	}
	if engine.IsNil(next) {
		faults = append(faults, engine.Invalid("NewHandler got no next handler, pass the one to protect"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if c.Judge == nil {
		c.Judge = func(status int, _ http.Header) error { return judgeServerStatus(status) }
	}
	if c.Reject == nil {
		c.Reject = rejectPlainly
	}
	return &handler{source: s, next: next, config: c}, nil
}

type handler struct {
	source Source
	next   http.Handler
	config HandlerConfig
}

// ServeHTTP calls the next handler if the request is admitted.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := h.source(r)
	if err != nil {
		h.reject(w, r, err)
		return
	}
	if b == nil {
		h.next.ServeHTTP(w, r)
		return
	}
	c := &responseWriter{ResponseWriter: w, handler: h, ctx: r.Context()}
	if c.permit, err = b.Acquire(c.ctx); err != nil {
		h.reject(w, r, err)
		return
	}
	returned := false
	defer func() { c.settleEnd(returned) }()
	h.next.ServeHTTP(c.withCapabilities(), r)
	returned = true
}

// reject answers a request that is not admitted.
func (h *handler) reject(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Retry-After", strconv.FormatInt(retrySeconds(err), 10))
	h.config.Reject(w, r, err)
}

// retrySeconds returns when a rejected request may come again. Where no end is
// known, a second keeps clients from coming back at once.
func retrySeconds(err error) int64 {
	var rejected *redbreaker.RejectedError
	if !errors.As(err, &rejected) {
		return 1
	}
	return max(1, int64(math.Ceil(rejected.RetryAfter().Seconds())))
}

// rejectPlainly is the default of HandlerConfig.Reject. The error stays out: it has
// the names of the protected dependencies.
func rejectPlainly(w http.ResponseWriter, _ *http.Request, _ error) {
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// responseWriter sees the status of a response. The permit is settled at the end
// of the handler, or, of a probe, where it begins to stream.
type responseWriter struct {
	http.ResponseWriter
	handler *handler
	permit  redbreaker.Permit
	ctx     context.Context // the request's
	status  int             // 0 until the headers are written
	failure error           // what the judge made of them
}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader writes the headers. Informational ones may come before the final.
func (w *responseWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.judgeHeaders(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body, after the headers.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.judgeHeaders(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// judgeHeaders judges the headers that are written first.
func (w *responseWriter) judgeHeaders(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if !w.handler.config.SlowBody {
		w.permit.StopClock()
	}
	header := w.Header()
	if err := w.handler.config.Judge(status, header); err != nil {
		w.failure = redbreaker.RetryAfterError(err, RetryAfter(header, time.Now()))
	}
}

// beginStream settles a probe, since the handler may now go on for hours.
func (w *responseWriter) beginStream(status int) {
	w.judgeHeaders(status)
	if w.permit.Probe() {
		w.permit.Settle(w.ctx, w.failure)
	}
}

// settleEnd settles the call when the handler has ended, perhaps not by returning. A
// handler that wrote nothing has answered 200.
func (w *responseWriter) settleEnd(returned bool) {
	if errors.Is(w.ctx.Err(), context.Canceled) {
		w.permit.Ignore()
		return
	}
	judged := false
	defer func() {
		if !judged {
			w.permit.Failure(redbreaker.ErrPanicked)
		}
	}()
	if returned {
		w.judgeHeaders(http.StatusOK)
		w.permit.Settle(w.ctx, w.failure)
		judged = true
	}
}
