package grpcbreaker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/redbreaker/redbreaker"
)

// rejection is the error of a call that was not admitted, with a status for gRPC.
type rejection struct {
	cause  error
	status *status.Status
}

// Error returns the text of the cause.
func (r *rejection) Error() string { return r.cause.Error() }

// Unwrap returns a *redbreaker.RejectedError, redbreaker.ErrStopped, or the error of
// a context that had ended.
func (r *rejection) Unwrap() error { return r.cause }

// GRPCStatus returns the status that clients and peers see.
func (r *rejection) GRPCStatus() *status.Status { return r.status }

// newRejection returns the error for a call that was not admitted.
func newRejection(cause error) error {
	var text string
	var rejected *redbreaker.RejectedError
	switch {
	case errors.As(cause, &rejected):
		text = "redbreaker: call rejected: " + string(rejected.Reason)
	case errors.Is(cause, redbreaker.ErrStopped):
		text = redbreaker.ErrStopped.Error()
	default: // the error of a context that had ended
		return &rejection{cause, status.FromContextError(cause)}
	}
	s := status.New(codes.Unavailable, text)
	if d := retryAfter(cause); d > 0 {
		if detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d)}); err == nil {
			s = detailed
		}
	}
	return &rejection{cause, s}
}

// findBreaker returns the breaker of a call, or nil if it is not protected.
func findBreaker(ctx context.Context, s Source, c *Config, target, method string) (*redbreaker.Breaker, error) {
	if !c.Methods(method) {
		return nil, nil
	}
	b, err := s(ctx, target, method)
	if errors.Is(err, redbreaker.ErrStopped) {
		err = newRejection(err)
	}
	return b, err
}

// retryAfter returns how long a rejection lasts; 0 if no end is known.
func retryAfter(cause error) time.Duration {
	var rejected *redbreaker.RejectedError
	if !errors.As(cause, &rejected) {
		return 0
	}
	return rejected.RetryAfter()
}

// setPushback lets clients with a retry policy wait for the end of a rejection. A
// negative number, where no end is known, forbids the retry.
func setPushback(ctx context.Context, cause error) {
	text := "-1"
	if d := retryAfter(cause); d > 0 {
		text = strconv.FormatInt(d.Milliseconds(), 10)
	}
	// An error means that the call has no trailers any more, as in a test without
	// a server.
	_ = grpc.SetTrailer(ctx, metadata.Pairs(pushbackKey, text))
}
