package peers

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// answered is a transport without a network. Its responses have a body of 16 bytes,
// whose length is not known.
type answered struct{}

func (answered) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: &shortBody{left: 16}}, nil
}

type shortBody struct{ left int }

func (s *shortBody) Read(p []byte) (int, error) {
	n := min(len(p), s.left)
	s.left -= n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (*shortBody) Close() error { return nil }

// BenchmarkHTTP measures a request through an http.RoundTripper with a closed breaker
// in memory, read to its end, beside the transport without one.
func BenchmarkHTTP(b *testing.B) {
	breaker, err := redbreaker.New("dep", redbreaker.Policy{ConsecutiveFailures: never, OpenFor: openFor})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(breaker.Stop)
	protected, err := httpbreaker.NewTransport(httpbreaker.One(breaker), answered{}, httpbreaker.TransportConfig{})
	if err != nil {
		b.Fatal(err)
	}
	failsafe := failsafehttp.NewRoundTripper(answered{},
		circuitbreaker.NewBuilder[*http.Response]().WithFailureThreshold(calls).WithDelay(openFor).Build()) //nolint:bodyclose // it makes a type, no response
	for _, c := range []struct {
		name      string
		transport http.RoundTripper
	}{{"bare", answered{}}, {"redbreaker", protected}, {"failsafe-go", failsafe}} {
		b.Run("transport="+c.name, func(b *testing.B) {
			request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example/charges", nil)
			if err != nil {
				b.Fatal(err)
			}
			buffer := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				response, err := c.transport.RoundTrip(request)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = response.Body.Read(buffer)
				}
				_ = response.Body.Close()
			}
		})
	}
}
