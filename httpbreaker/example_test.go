package httpbreaker_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// A client whose circuit opens, and does so for the time that the server asks for.
func ExampleNewTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	}))
	defer server.Close()

	api, err := redbreaker.New("api", redbreaker.Policy{ConsecutiveFailures: 2})
	if err != nil {
		panic(err)
	}
	defer api.Stop()
	transport, err := httpbreaker.NewTransport(httpbreaker.One(api), nil, httpbreaker.TransportConfig{})
	if err != nil {
		panic(err)
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	for range 3 {
		response, err := client.Get(server.URL)
		var rejected *redbreaker.RejectedError
		if errors.As(err, &rejected) {
			fmt.Println("not sent, retry after", rejected.RetryAfter().Round(time.Second))
			continue
		}
		if err != nil {
			panic(err)
		}
		response.Body.Close()
		fmt.Println(response.Status)
	}
	// Output:
	// 503 Service Unavailable
	// 503 Service Unavailable
	// not sent, retry after 2m0s
}

// One breaker for each host that the client calls.
func ExampleKeyed() {
	hosts, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
	if err != nil {
		panic(err)
	}
	defer hosts.Stop()
	transport, err := httpbreaker.NewTransport(httpbreaker.Keyed(hosts, httpbreaker.ByHost), answered{}, httpbreaker.TransportConfig{})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: transport}
	for _, url := range []string{"https://api.example/charges", "http://localhost:8080/", "https://API.example/refunds"} {
		response, err := client.Get(url)
		if err != nil {
			panic(err)
		}
		response.Body.Close()
	}
	for name := range hosts.All() {
		fmt.Println(name)
	}
	// Output:
	// api.example:443
	// localhost:8080
}

func ExampleByHost() {
	r := httptest.NewRequest(http.MethodGet, "https://API.example/charges/7", nil)
	fmt.Println(httpbreaker.ByHost(r))
	// Output: api.example:443
}

// A source of your own: here, health checks are left unprotected.
func ExampleOne() {
	api, err := redbreaker.New("api", redbreaker.Policy{})
	if err != nil {
		panic(err)
	}
	defer api.Stop()
	protected := httpbreaker.One(api)
	source := func(r *http.Request) (*redbreaker.Breaker, error) {
		if r.URL.Path == "/healthz" {
			return nil, nil
		}
		return protected(r)
	}
	for _, path := range []string{"/healthz", "/charges"} {
		b, _ := source(httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, b != nil)
	}
	// Output:
	// /healthz false
	// /charges true
}

// A server that answers at once while it cannot serve.
func ExampleNewHandler() {
	database, err := redbreaker.New("database", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: 20 * time.Second})
	if err != nil {
		panic(err)
	}
	defer database.Stop()
	broken := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no database", http.StatusInternalServerError)
	})
	handler, err := httpbreaker.NewHandler(httpbreaker.One(database), broken, httpbreaker.HandlerConfig{
		Reject: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "busy, come back in "+w.Header().Get("Retry-After")+" seconds", http.StatusServiceUnavailable)
		},
	})
	if err != nil {
		panic(err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 500 no database
	// 503 busy, come back in 20 seconds
}

// An API that answers 403 when a quota is used up.
func ExampleJudgeStatus() {
	judge := func(r *http.Response) error {
		if r.StatusCode == http.StatusForbidden && r.Header.Get("X-Quota-Remaining") == "0" {
			return errors.New("quota used up")
		}
		return httpbreaker.JudgeStatus(r)
	}
	fmt.Println(judge(&http.Response{StatusCode: 200}))
	fmt.Println(judge(&http.Response{StatusCode: 403, Header: http.Header{"X-Quota-Remaining": {"0"}}}))
	fmt.Println(judge(&http.Response{StatusCode: 502}))
	// Output:
	// <nil>
	// quota used up
	// redbreaker: HTTP status 502 Bad Gateway
}

// A stream that fails after its 200 is a failure.
func ExampleEventStream() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: Once upon a\n\nevent: error\ndata: overloaded\n\n")
	}))
	defer server.Close()
	model, err := redbreaker.New("model", redbreaker.Policy{ConsecutiveFailures: 1})
	if err != nil {
		panic(err)
	}
	defer model.Stop()
	judge := func(event string, data []byte) error {
		if event == "error" {
			return fmt.Errorf("error event: %s", data)
		}
		return nil
	}
	transport, err := httpbreaker.NewTransport(httpbreaker.One(model), nil, httpbreaker.TransportConfig{
		BodyJudge: httpbreaker.EventStream(judge),
	})
	if err != nil {
		panic(err)
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(server.URL)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status, model.State())
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		panic(err)
	}
	fmt.Println(model.State())
	// Output:
	// 200 OK closed
	// open
}

func ExampleRetryAfter() {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	fmt.Println(httpbreaker.RetryAfter(http.Header{"Retry-After": {"120"}}, now))
	fmt.Println(httpbreaker.RetryAfter(http.Header{"Retry-After": {"Sat, 28 Nov 2026 12:01:00 GMT"}}, now))
	fmt.Println(httpbreaker.RetryAfter(http.Header{}, now))
	// Output:
	// 2m0s
	// 1m0s
	// 0s
}
