package grpcbreaker

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// Config is how calls are judged. The zero value is usable. Its functions run on
// the caller's path, and concurrently.
type Config struct {
	// Methods reports whether a method, such as /package.Service/Method, is
	// protected. nil: every method is, but those of health checks and reflection.
	Methods func(method string) bool

	// Judge says how a call with an error counts: Success, Failure or Ignored; any
	// other value, such as 0, leaves it to the rules of this package, and those to
	// the classifiers of the breaker if the code is that of a failure. nil: the
	// rules decide.
	Judge func(method string, err error) redbreaker.Outcome

	// CallerDeadline is how a call counts that failed when the deadline of its
	// context had passed: Failure or Ignored. 0: Failure at a client, where a
	// server that hangs would otherwise never open the circuit; Ignored at a
	// server, since its client chose the deadline.
	CallerDeadline redbreaker.Outcome

	// TripOnRetryAfter lets an Unavailable or ResourceExhausted that says when to
	// come back, by RetryInfo or grpc-retry-pushback-ms, open the circuit at once,
	// whatever the thresholds: the server asks for a pause. See
	// redbreaker.TripError. Leave it off where the server limits single clients
	// that share the breaker.
	TripOnRetryAfter bool

	// SlowStream makes the time to the end of a stream the one by which it is
	// slow. Default: the time to the first message from the server.
	SlowStream bool
}

// complete fills in the defaults of one side, and returns the faults of it all.
func (c *Config) complete(constructor string, s Source, callerDeadline redbreaker.Outcome) error {
	var faults []error
	if s == nil {
		faults = append(faults, engine.Invalid("%s got a nil source, check the breaker, registry or key that it was made of", constructor))
	}
	switch c.CallerDeadline {
	case 0:
		c.CallerDeadline = callerDeadline
	case redbreaker.Failure, redbreaker.Ignored:
	default:
		faults = append(faults, engine.Invalid("%s got a CallerDeadline of %v, use Failure or Ignored", constructor, c.CallerDeadline))
	}
	if c.Methods == nil {
		c.Methods = isProtected
	}
	return errors.Join(faults...)
}

// isProtected reports whether a method is neither a health check nor reflection:
// those say nothing about the services, and must work while circuits are open.
func isProtected(method string) bool {
	return !strings.HasPrefix(method, "/grpc.health.") && !strings.HasPrefix(method, "/grpc.reflection.")
}

// settleCall settles a call that ended with err. trailer is nil at a server.
func (c *Config) settleCall(ctx context.Context, p *redbreaker.Permit, method string, err error, trailer metadata.MD) {
	if err == nil {
		p.Settle(ctx, nil)
		return
	}
	if c.Judge != nil {
		switch c.Judge(method, err) {
		case redbreaker.Success:
			p.Success()
			return
		case redbreaker.Failure:
			p.Failure(c.withOpenTime(err, trailer))
			return
		case redbreaker.Ignored:
			p.Ignore()
			return
		}
	}
	switch code := codeOf(err); {
	case code == codes.Canceled:
		p.Ignore()
	case !isFailure(code):
		p.Success()
	case c.CallerDeadline == redbreaker.Ignored && errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.Ignore()
	default:
		p.Settle(ctx, c.withOpenTime(err, trailer)) // ignored if the caller cancelled
	}
}

// isFailure reports whether a code says that the server does not work. A code that
// gRPC does not define is taken as Unknown.
func isFailure(code codes.Code) bool {
	switch code {
	case codes.OK, codes.Canceled, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.FailedPrecondition, codes.Aborted, codes.OutOfRange, codes.Unimplemented, codes.Unauthenticated:
		return false
	}
	return true
}

// codeOf returns the code under which gRPC would send err.
func codeOf(err error) codes.Code {
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// pushbackKey is the trailer by which a server says when to retry.
const pushbackKey = "grpc-retry-pushback-ms"

// withOpenTime gives a failure the open time that the server asks for, if it does.
func (c *Config) withOpenTime(err error, trailer metadata.MD) error {
	d := max(readRetryDelay(err), readPushback(trailer))
	if code := codeOf(err); d > 0 && c.TripOnRetryAfter && (code == codes.Unavailable || code == codes.ResourceExhausted) {
		return redbreaker.TripError(err, d)
	}
	return redbreaker.RetryAfterError(err, d)
}

// readRetryDelay returns the delay of the RetryInfo in a status, or 0.
func readRetryDelay(err error) time.Duration {
	s, ok := status.FromError(err)
	if !ok {
		return 0
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay().IsValid() {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// readPushback returns the delay of a trailer, or 0. A negative one forbids retries, and
// names no time.
func readPushback(trailer metadata.MD) time.Duration {
	values := trailer.Get(pushbackKey)
	if len(values) == 0 {
		return 0
	}
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || ms < 0 {
		return 0
	}
	return time.Duration(min(ms, int64(engine.MaxDuration/time.Millisecond))) * time.Millisecond
}
