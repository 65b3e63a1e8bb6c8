package grpcbreaker

import (
	"context"
	"strings"

	"github.com/redbreaker/redbreaker"
)

// Source returns the breaker for a call. target is the client's, as given to
// grpc.NewClient, and empty at a server; method is such as /package.Service/Method.
// A nil breaker with a nil error leaves the call unprotected. An error ends the
// call. It runs on every call, and concurrently.
type Source func(ctx context.Context, target, method string) (*redbreaker.Breaker, error)

// One protects all calls with one breaker. A nil breaker gives a nil Source, which
// the constructors report.
func One(b *redbreaker.Breaker) Source {
	if b == nil {
		return nil
	}
	return func(context.Context, string, string) (*redbreaker.Breaker, error) { return b, nil }
}

// Keyed protects each call with the breaker of r that is named key(target, method):
// [ByTarget], [ByService], [ByMethod] or a function of your own. A call with an
// empty key is left unprotected. A nil r or key gives a nil Source, which the
// constructors report.
func Keyed(r *redbreaker.Registry, key func(target, method string) string) Source {
	if r == nil || key == nil {
		return nil
	}
	return func(_ context.Context, target, method string) (*redbreaker.Breaker, error) {
		name := key(target, method)
		if name == "" {
			return nil, nil
		}
		return r.Get(name)
	}
}

// ByTarget is the key of a client's call by its target, such as
// dns:///payments:50051. It is empty at a server.
func ByTarget(target, _ string) string { return target }

// ByService is the key of a call by its service, after the target if there is one:
// dns:///payments:50051/package.Service at a client, package.Service at a server.
func ByService(target, method string) string {
	if i := strings.LastIndexByte(method, '/'); i > 0 {
		method = method[:i]
	}
	return ByMethod(target, method)
}

// ByMethod is the key of a call by its method, after the target if there is one.
func ByMethod(target, method string) string {
	if target == "" {
		return strings.TrimPrefix(method, "/")
	}
	return target + method
}
