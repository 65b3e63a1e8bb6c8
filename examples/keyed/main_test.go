package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker"
)

// body is a request's body that counts Close.
type body struct {
	io.Reader
	closed int
}

func (b *body) Close() error {
	b.closed++
	return nil
}

// roundTripper answers with a status and closes the request's body, as a transport does.
type roundTripper struct{ sent int }

func (t *roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	t.sent++
	_ = r.Body.Close()
	return &http.Response{StatusCode: http.StatusInternalServerError, Status: "500", Body: http.NoBody, Request: r}, nil
}

// The body of a request is closed exactly once, sent or not.
func TestTransport_closesBody(t *testing.T) {
	breakers, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Policy: redbreaker.Policy{ConsecutiveFailures: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer breakers.Stop()
	next := &roundTripper{}
	transport := &Transport{breakers, next}

	post := func(url string) (*body, error) {
		t.Helper()
		b := &body{Reader: strings.NewReader("order")}
		request, err := http.NewRequest(http.MethodPost, url, b)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if response != nil {
			_ = response.Body.Close()
		}
		return b, err
	}
	sent, err := post("http://sick.example/")
	if err != nil || next.sent != 1 || sent.closed != 1 {
		t.Errorf("sent %d requests, closed the body %d times, %v; want 1, 1, nil", next.sent, sent.closed, err)
	}
	rejected, err := post("http://sick.example/")
	if !errors.Is(err, redbreaker.ErrRejected) || next.sent != 1 || rejected.closed != 1 {
		t.Errorf("rejected: %v, sent %d requests, closed the body %d times; want a rejection, 1, 1", err, next.sent, rejected.closed)
	}
	unnamed, err := post("http:///") // a name that the registry refuses
	if err == nil || unnamed.closed != 1 {
		t.Errorf("without a host: %v, closed the body %d times; want an error, 1", err, unnamed.closed)
	}
	get, err := http.NewRequest(http.MethodGet, "http://sick.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.RoundTrip(get); !errors.Is(err, redbreaker.ErrRejected) { //nolint:bodyclose // there is no response
		t.Errorf("without a body: %v", err)
	}
}
