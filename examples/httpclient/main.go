// Command httpclient protects an HTTP client: a 503 comes with a nil error, and
// yet counts as a failure, and the server's Retry-After says how long the circuit
// stays open.
//
//	go run ./httpclient
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"time"

	"github.com/redbreaker/redbreaker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "httpclient:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	}))
	defer server.Close()

	api, err := redbreaker.New("api", redbreaker.Policy{
		ConsecutiveFailures: 2,
		OpenFor:             time.Second,
		// The longest that a Retry-After may keep the circuit open: what a
		// server says is a wish, and could be a day.
		Backoff: redbreaker.Backoff{Max: time.Minute},
	})
	if err != nil {
		return err
	}
	defer api.Stop()

	for i := range 3 {
		response, err := get(ctx, api, server.URL)
		var rejected *redbreaker.RejectedError
		switch {
		case errors.As(err, &rejected):
			fmt.Printf("call %d: not sent, retry after %v\n", i+1, rejected.RetryAfter().Round(time.Second))
		case err != nil:
			return err
		default:
			_ = response.Body.Close()
			fmt.Printf("call %d: %s\n", i+1, response.Status)
		}
	}
	return nil
}

// get returns what http.Client would have returned: the breaker judges, and
// changes nothing.
func get(ctx context.Context, b *redbreaker.Breaker, url string) (*http.Response, error) {
	return redbreaker.CallCheck(ctx, b, judge, func(ctx context.Context) (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		return http.DefaultClient.Do(request)
	})
}

// judge returns the failure that the breaker counts: a 5xx or a 429. Other answers,
// such as a 404, are successes.
func judge(r *http.Response, err error) error {
	if err != nil {
		return err
	}
	if r.StatusCode < 500 && r.StatusCode != http.StatusTooManyRequests {
		return nil
	}
	return redbreaker.RetryAfterError(errors.New(r.Status), retryAfter(r, time.Now()))
}

// retryAfter reads the header in both of its forms, seconds or a date; 0 if there
// is none or it is over.
func retryAfter(r *http.Response, now time.Time) time.Duration {
	text := r.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
