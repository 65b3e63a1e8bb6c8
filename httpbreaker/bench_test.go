package httpbreaker_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// answered is a transport without a network. Its responses have a body of a few
// bytes, whose length is not known.
type answered struct{}

func (answered) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, ContentLength: -1, Body: &fewBytes{left: 16}}, nil
}

type fewBytes struct{ left int }

func (f *fewBytes) Read(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *fewBytes) Close() error { return nil }

// fetch makes a call and reads it to its end, as a caller does.
func fetch(tb testing.TB, transport http.RoundTripper, r *http.Request, buffer []byte) {
	response, err := transport.RoundTrip(r)
	if err != nil {
		tb.Fatal(err)
	}
	for err == nil {
		_, err = response.Body.Read(buffer)
	}
	response.Body.Close()
}

// transports are the bare one and ours, over one breaker and over a registry. A
// breaker without hooks: a hook makes every breaker read the clock.
func transports(tb testing.TB) map[string]http.RoundTripper {
	tb.Helper()
	b, err := redbreaker.New("dep", neverOpens)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.Stop)
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: neverOpens})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(registry.Stop)
	return map[string]http.RoundTripper{
		"bare":  answered{},
		"one":   newTransport(tb, httpbreaker.One(b), answered{}, httpbreaker.TransportConfig{}),
		"keyed": newTransport(tb, httpbreaker.Keyed(registry, httpbreaker.ByHost), answered{}, httpbreaker.TransportConfig{}),
	}
}

func benchRequest(tb testing.TB) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example/charges", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// BenchmarkTransport: what a closed breaker in memory adds to a bare transport.
func BenchmarkTransport(b *testing.B) {
	all := transports(b)
	for _, name := range []string{"bare", "one", "keyed"} {
		b.Run(name, func(b *testing.B) {
			r, buffer := benchRequest(b), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				fetch(b, all[name], r, buffer)
			}
		})
	}
}

// BenchmarkHandler: what a closed breaker in memory adds to a bare handler.
func BenchmarkHandler(b *testing.B) {
	breaker, err := redbreaker.New("dep", neverOpens)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(breaker.Stop)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, c := range []struct {
		name string
		http.Handler
	}{{"bare", answer}, {"one", newHandler(b, httpbreaker.One(breaker), answer, httpbreaker.HandlerConfig{})}} {
		b.Run(c.name, func(b *testing.B) {
			r, w := benchRequest(b), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				c.ServeHTTP(w, r)
			}
		})
	}
}

// TestTransport_allocations: the wrapper of the body is all that a call allocates,
// and with a registry the key.
func TestTransport_allocations(t *testing.T) {
	all := transports(t)
	r, buffer := benchRequest(t), make([]byte, 64)
	count := func(name string) float64 {
		return testing.AllocsPerRun(1000, func() { fetch(t, all[name], r, buffer) })
	}
	bare := count("bare")
	for name, most := range map[string]float64{"one": 1, "keyed": 2} {
		if got := count(name) - bare; got > most {
			t.Errorf("%s: %v allocations more, want at most %v", name, got, most)
		}
	}
}
