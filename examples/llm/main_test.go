package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// provider is a server that answers by model.
type provider struct {
	*httptest.Server
	answers map[string]http.HandlerFunc
	asked   map[string]int
}

func newProvider(t *testing.T, answers map[string]http.HandlerFunc) *provider {
	t.Helper()
	p := &provider{answers: answers, asked: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		for model, answer := range p.answers {
			if strings.Contains(string(text), `"model":"`+model+`"`) {
				p.asked[model]++
				answer(w, r)
			}
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// testGateway is a gateway and its breakers.
type testGateway struct {
	*Gateway
	breakers *redbreaker.Registry
}

func newTestGateway(t *testing.T, failures int, candidates ...Candidate) *testGateway {
	t.Helper()
	breakers, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: redbreaker.Policy{
		ConsecutiveFailures: failures, OpenFor: time.Minute, Backoff: redbreaker.Backoff{Max: time.Hour},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(breakers.Stop)
	g, err := NewGateway(candidates, breakers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.client.CloseIdleConnections)
	return &testGateway{g, breakers}
}

func stream(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, text)
	}
}

// status answers with a status, and a Retry-After of so many seconds if it is not "".
func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

// complete returns the model that answered and the error of its stream.
func complete(t *testing.T, g *testGateway) (model string, err error) {
	t.Helper()
	answer, err := g.Complete(t.Context(), "hello")
	if err != nil {
		return "", err
	}
	defer answer.Close()
	_, err = io.Copy(io.Discard, answer)
	return answer.Model, err
}

func (g *testGateway) stateOf(t *testing.T, c Candidate) redbreaker.Status {
	t.Helper()
	for _, b := range g.breakers.All() {
		if strings.HasSuffix(b.Name(), "/"+c.Model) {
			return b.Status()
		}
	}
	t.Fatalf("no breaker of %s", c.Model)
	return redbreaker.Status{}
}

// One 429 with a Retry-After opens the circuit of its model for that time, and of no
// other model of the same host.
func TestGateway_limited(t *testing.T) {
	p := newProvider(t, map[string]http.HandlerFunc{"large": status(429, "120"), "small": stream("data: x\n\n")})
	large, small := Candidate{p.URL, "large"}, Candidate{p.URL, "small"}
	g := newTestGateway(t, 5, large, small)
	for range 3 {
		if model, err := complete(t, g); model != "small" || err != nil {
			t.Fatalf("%q answers, %v", model, err)
		}
	}
	if p.asked["large"] != 1 {
		t.Errorf("the limited model was asked %d times", p.asked["large"])
	}
	if s := g.stateOf(t, large); s.State != redbreaker.StateOpen || s.RetryAfter < 60*time.Second || s.RetryAfter > 120*time.Second {
		t.Errorf("large: %+v, want open for 2 minutes", s)
	}
	if s := g.stateOf(t, small); s.State != redbreaker.StateClosed {
		t.Errorf("small: %+v", s)
	}
}

// A 429 without a time is a failure among others.
func TestGateway_limitedWithoutTime(t *testing.T) {
	p := newProvider(t, map[string]http.HandlerFunc{"large": status(429, "")})
	large := Candidate{p.URL, "large"}
	g := newTestGateway(t, 2, large)
	for i, want := range []redbreaker.State{redbreaker.StateClosed, redbreaker.StateOpen} {
		if _, err := complete(t, g); err == nil || g.stateOf(t, large).State != want {
			t.Errorf("after %d: %v, the circuit is %v, want %v", i+1, err, g.stateOf(t, large).State, want)
		}
	}
	if _, err := complete(t, g); !errors.Is(err, redbreaker.ErrRejected) {
		t.Errorf("all candidates rejected: %v", err)
	}
}

// A stream counts at its end: one that reports an error, or is cut, after its 200 is a
// failure; one that the caller leaves is none.
func TestGateway_streams(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: x\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   redbreaker.State
	}{
		"whole":    {stream("data: x\n\ndata: y\n\n"), redbreaker.StateClosed},
		"error":    {stream("data: x\n\nevent: error\ndata: overloaded\n\n"), redbreaker.StateOpen},
		"cut":      {cut, redbreaker.StateOpen},
		"overload": {status(503, ""), redbreaker.StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, map[string]http.HandlerFunc{"large": tt.answer})
			large := Candidate{p.URL, "large"}
			g := newTestGateway(t, 1, large)
			_, err := complete(t, g)
			if got := g.stateOf(t, large).State; got != tt.want {
				t.Errorf("the circuit is %v, want %v (%v)", got, tt.want, err)
			}
		})
	}
	t.Run("left", func(t *testing.T) {
		p := newProvider(t, map[string]http.HandlerFunc{"large": stream("data: x\n\n")})
		large := Candidate{p.URL, "large"}
		g := newTestGateway(t, 1, large)
		answer, err := g.Complete(t.Context(), "hello")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Close()
		if got := g.stateOf(t, large).State; got != redbreaker.StateClosed {
			t.Errorf("the circuit is %v", got)
		}
	})
}

// A request that the provider does not accept is not sent to the next one.
func TestGateway_badRequest(t *testing.T) {
	p := newProvider(t, map[string]http.HandlerFunc{"large": status(400, ""), "small": stream("data: x\n\n")})
	g := newTestGateway(t, 1, Candidate{p.URL, "large"}, Candidate{p.URL, "small"})
	if _, err := complete(t, g); !errors.Is(err, errRequest) || p.asked["small"] != 0 {
		t.Errorf("%v, the next candidate was asked %d times", err, p.asked["small"])
	}
}

// The caller's cancellation ends the search and counts for no candidate.
func TestGateway_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}
	p := newProvider(t, map[string]http.HandlerFunc{"large": hang, "small": stream("data: x\n\n")})
	large := Candidate{p.URL, "large"}
	g := newTestGateway(t, 1, large, Candidate{p.URL, "small"})
	if _, err := g.Complete(ctx, "hello"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if p.asked["small"] != 0 || g.stateOf(t, large).State != redbreaker.StateClosed {
		t.Errorf("the next candidate was asked %d times, the circuit is %v", p.asked["small"], g.stateOf(t, large).State)
	}
}
