package httpbreaker

import (
	"net/http"
	"strings"

	"github.com/redbreaker/redbreaker"
)

// Source returns the breaker for a request. A nil breaker with a nil error leaves
// the request unprotected. An error ends the request before it is sent; a client
// gets it from http.Client, a server answers 503. It runs on every request, and
// concurrently.
type Source func(*http.Request) (*redbreaker.Breaker, error)

// One protects all requests with one breaker. A nil breaker gives a nil Source,
// which the constructors report.
func One(b *redbreaker.Breaker) Source {
	if b == nil {
		return nil
	}
	return func(*http.Request) (*redbreaker.Breaker, error) { return b, nil }
}

// Keyed protects each request with the breaker of r that is named key(request):
// [ByHost] for clients; for handlers within a http.ServeMux, which sets it, the
// pattern of the route:
//
//	httpbreaker.Keyed(registry, func(r *http.Request) string { return r.Pattern })
//
// A key is the name of a circuit, so it should take few values; a whole URL is no
// key. A request with an empty key is left unprotected. A nil r or key gives a nil
// Source, which the constructors report.
func Keyed(r *redbreaker.Registry, key func(*http.Request) string) Source {
	if r == nil || key == nil {
		return nil
	}
	return func(request *http.Request) (*redbreaker.Breaker, error) {
		name := key(request)
		if name == "" {
			return nil, nil
		}
		return r.Get(name)
	}
}

// ByHost is the key of a request by the host and port of its URL, in lower case
// and with the port of the scheme if the URL has none: https://API.example/x gives
// api.example:443. It is empty for a URL without a host, such as a server's.
func ByHost(r *http.Request) string {
	if r.URL == nil { // the next transport reports that
		return ""
	}
	host := strings.ToLower(r.URL.Host)
	if host == "" || hasPort(host) {
		return host
	}
	switch r.URL.Scheme {
	case "https", "wss":
		return strings.TrimSuffix(host, ":") + ":443"
	}
	return strings.TrimSuffix(host, ":") + ":80"
}

// hasPort reports whether a host ends in a port. The colons of an IPv6 address are
// in brackets.
func hasPort(host string) bool {
	colon := strings.LastIndexByte(host, ':')
	return colon >= 0 && colon > strings.LastIndexByte(host, ']') && colon < len(host)-1
}
