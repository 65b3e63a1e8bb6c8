package httpbreaker

import (
	"errors"
	"net/http"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// TransportConfig is how a [Transport] judges responses. The zero value is usable.
// Its functions run on the caller's path, and concurrently.
type TransportConfig struct {
	// Judge returns the failure that status and headers of a response are, or nil.
	// It does not read the body. nil: JudgeStatus. A rule of your own may call
	// that first:
	//
	//	if err := httpbreaker.JudgeStatus(r); err != nil || r.StatusCode != http.StatusForbidden {
	//		return err
	//	}
	//	return errQuota // this API says 403 when the quota is used up
	//
	// The breaker's classifiers get the error, and may still ignore it. Judge may
	// give the failure an open time by redbreaker.RetryAfterError; one in the
	// headers takes its place.
	Judge func(*http.Response) error

	// BodyJudge returns a function that watches the body of this response, or nil
	// to leave it unwatched. The function gets the bytes of each Read that had
	// some, which it must not keep; then, once, nil at the end of the body, when
	// Response.Trailer is filled. The first error that it returns is the failure.
	// The caller's Read is unchanged. nil: no body is watched. See EventStream.
	BodyJudge func(*http.Response) func(chunk []byte) error

	// VendorHeaders also reads the headers by which large APIs ask to wait:
	// retry-after-ms, x-ms-retry-after-ms, and, with a 429, x-ratelimit-reset,
	// x-ratelimit-reset-* and anthropic-ratelimit-*-reset.
	VendorHeaders bool

	// TripOnRetryAfter lets a 429, 503 or 529 that says when to come back open the
	// circuit at once, whatever the thresholds: the server asks for a pause. See
	// redbreaker.TripError. Leave it off where a 429 limits one of the many clients
	// that share the breaker, such as one tenant's key.
	TripOnRetryAfter bool

	// SlowBody makes the time to the end of the body the one by which a call is
	// slow. It includes the time that the caller spends between reads. Default:
	// the time to the headers.
	SlowBody bool
}

// Transport is an http.RoundTripper that asks a breaker before each request, and
// counts how it ended. Make it with [NewTransport]. It is safe for concurrent use.
//
// It adds no goroutine, does not read the body itself, and changes nothing of a
// response but its Body. http.Client calls it for each redirect, so each hop
// counts for its own host.
type Transport struct {
	source Source
	next   http.RoundTripper
	config TransportConfig
}

// NewTransport returns a Transport that sends through next. A nil next is
// http.DefaultTransport. It returns every fault of its arguments at once, each
// wrapping [redbreaker.ErrInvalid].
func NewTransport(s Source, next http.RoundTripper, c TransportConfig) (*Transport, error) {
	var faults []error
	if s == nil {
		faults = append(faults, noSource("NewTransport"))
	}
	if next == nil {
		next = http.DefaultTransport
	} else if engine.IsNil(next) {
		faults = append(faults, engine.Invalid("NewTransport got a nil %T as next, pass a transport or nil", next))
	}
	if c.Judge == nil {
		c.Judge = JudgeStatus
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Transport{source: s, next: next, config: c}, nil
}

// noSource is the fault of a constructor without a Source.
func noSource(constructor string) error {
	return engine.Invalid("%s got a nil source, check the breaker, registry or key that it was made of", constructor)
}

// RoundTrip sends the request if its circuit admits it. Otherwise it closes the
// request's body and returns a *redbreaker.RejectedError, the error of a context
// that is already done, redbreaker.ErrStopped, or the error of the Source.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := t.source(r)
	if err != nil {
		return nil, refuseRequest(r, err)
	}
	if b == nil {
		return t.next.RoundTrip(r)
	}
	// One allocation for all that outlives this function.
	c := &call{ctx: r.Context()}
	if c.permit, err = b.Acquire(c.ctx); err != nil {
		return nil, refuseRequest(r, err)
	}
	returned := false
	defer func() {
		if !returned { // a panic or Goexit of next or a judge, which goes on
			c.permit.Failure(redbreaker.ErrPanicked)
		}
	}()
	response, err := t.next.RoundTrip(r)
	t.settleHeaders(c, r, response, err)
	returned = true
	return response, err
}

// errNoResponse is the failure of a RoundTripper that breaks its contract.
var errNoResponse = errors.New("redbreaker: the next RoundTripper returned neither a response nor an error")

// settleHeaders settles a call that is decided by its headers, and leaves the others to
// the response's body.
func (t *Transport) settleHeaders(c *call, r *http.Request, response *http.Response, err error) {
	if err != nil {
		c.permit.Settle(c.ctx, err)
		return
	}
	if response == nil {
		c.permit.Failure(errNoResponse)
		return
	}
	if !t.config.SlowBody {
		c.permit.StopClock()
	}
	if failure := t.config.Judge(response); failure != nil {
		c.permit.Settle(c.ctx, t.withOpenTime(failure, response))
		return
	}
	if !hasBody(r, response) {
		c.permit.Settle(c.ctx, nil)
		return
	}
	if t.config.BodyJudge != nil {
		c.judge = t.config.BodyJudge(response)
	}
	c.probe = c.permit.Probe()
	c.ReadCloser = response.Body
	response.Body = c
}

// withOpenTime gives a failure the open time that its response asks for, if it does.
func (t *Transport) withOpenTime(failure error, r *http.Response) error {
	var d time.Duration
	if t.config.VendorHeaders {
		d = vendorRetryAfter(r.StatusCode, r.Header, time.Now())
	} else {
		d = RetryAfter(r.Header, time.Now())
	}
	if d > 0 && t.config.TripOnRetryAfter && asksForPause(r.StatusCode) {
		return redbreaker.TripError(failure, d)
	}
	return redbreaker.RetryAfterError(failure, d)
}

// asksForPause reports whether a status may mean that all clients should pause. 529
// is how some APIs say that they are overloaded.
func asksForPause(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == 529
}

// CloseIdleConnections closes those of the next transport, if it can, for
// http.Client.CloseIdleConnections.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// refuseRequest closes the body of a request that is not sent, as a RoundTripper must.
func refuseRequest(r *http.Request, err error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return err
}

// hasBody reports whether a response has a body whose end says something. After a
// 101, and after a CONNECT that succeeded, the body is a connection: HTTP does not
// define its end, and callers write to it.
func hasBody(r *http.Request, response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusNotModified:
		return false
	}
	return r.Method != http.MethodHead && r.Method != http.MethodConnect && response.ContentLength != 0 &&
		response.Body != nil && response.Body != http.NoBody
}
