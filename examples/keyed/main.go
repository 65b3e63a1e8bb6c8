// Command keyed gives each host its own breaker, so that one host that is down does
// not affect calls to the others.
//
//	go run ./keyed
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/redbreaker/redbreaker"
)

// Transport is an http.RoundTripper with a breaker per host.
type Transport struct {
	Breakers *redbreaker.Registry
	Next     http.RoundTripper
}

// RoundTrip sends a request if the circuit of its host admits it. It closes the
// request's body in any case, as the contract of http.RoundTripper demands: a request
// that is not sent has no other party that would.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := false
	defer func() {
		if !sent && r.Body != nil {
			_ = r.Body.Close()
		}
	}()
	host, err := t.Breakers.Get(r.URL.Host)
	if err != nil {
		return nil, err
	}
	return redbreaker.CallCheck(r.Context(), host, serverError, func(context.Context) (*http.Response, error) {
		sent = true
		return t.Next.RoundTrip(r)
	})
}

// serverError returns the failure that the breaker counts; the caller still gets the
// response.
func serverError(r *http.Response, err error) error {
	if err == nil && r.StatusCode >= 500 {
		return errors.New(r.Status)
	}
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "keyed:", err)
		os.Exit(1)
	}
}

func run() error {
	answer := func(code int) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
	}
	well, sick := answer(http.StatusOK), answer(http.StatusInternalServerError)
	defer well.Close()
	defer sick.Close()

	breakers, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{
		Policy: redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute},
		Max:    100, // hosts; beyond that the least recently used one is removed
	})
	if err != nil {
		return err
	}
	defer breakers.Stop()
	client := &http.Client{Transport: &Transport{breakers, http.DefaultTransport}}

	for i := range 3 {
		for _, server := range []*httptest.Server{well, sick} {
			name := map[*httptest.Server]string{well: "well", sick: "sick"}[server]
			response, err := client.Get(server.URL)
			switch {
			case errors.Is(err, redbreaker.ErrRejected):
				fmt.Printf("call %d to the host that is %s: not sent\n", i+1, name)
			case err != nil:
				return err
			default:
				_ = response.Body.Close()
				fmt.Printf("call %d to the host that is %s: %d\n", i+1, name, response.StatusCode)
			}
		}
	}
	open := 0
	for _, b := range breakers.All() {
		if b.State() == redbreaker.StateOpen {
			open++
		}
	}
	fmt.Printf("%d circuit is open\n", open)
	return nil
}
