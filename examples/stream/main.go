// Command stream protects a streamed response. What the breaker should judge is
// whether the dependency begins to answer, not how long the stream runs: so the
// permit is settled when the stream has begun.
//
// In half-open that matters. A probe holds its slot until it is settled: settled
// at the beginning, the circuit closes within the time of a first byte; held to
// the end, everybody would wait for the whole stream, or for the probe's lease
// (HalfOpen.Lease), after which its result counts no more. The price: a stream
// that breaks later is no failure. If it must count, give the streams a breaker of
// their own beside this one, with a lease longer than any of them.
//
//	go run ./stream
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/redbreaker/redbreaker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	more := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "first")
		w.(http.Flusher).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
		fmt.Fprintln(w, "last")
	}))
	defer server.Close()
	defer server.CloseClientConnections() // first: Close waits for streams

	feed, err := redbreaker.New("feed", redbreaker.Policy{
		OpenFor:  50 * time.Millisecond,
		HalfOpen: redbreaker.HalfOpen{Probes: 1, Lease: 5 * time.Second}, // longer than a first byte may take
	})
	if err != nil {
		return err
	}
	defer feed.Stop()

	// As after an outage: the next call is the only probe.
	if _, err := feed.Control(ctx, redbreaker.Command{Action: redbreaker.ActionHalfOpen}); err != nil {
		return err
	}
	fmt.Println("before the stream:", feed.State())
	lines, err := begin(ctx, feed, server.URL)
	if err != nil {
		return err
	}
	defer lines.body.Close()
	fmt.Println("got", lines.Text())
	fmt.Println("while it runs:", feed.State()) // others are let through already
	close(more)
	for lines.Scan() {
		fmt.Println("got", lines.Text())
	}
	return lines.Err()
}

// stream is a response of which the first line was read.
type stream struct {
	*bufio.Scanner
	body io.Closer
}

// begin opens the stream and settles the call with its first line.
func begin(ctx context.Context, b *redbreaker.Breaker, url string) (s *stream, err error) {
	permit, err := b.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	// Judges err when begin returns, or a panic.
	defer permit.Done(&err)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // the reader of the stream closes it
	if err != nil {
		return nil, err
	}
	s = &stream{bufio.NewScanner(response.Body), response.Body}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(errors.New(response.Status), s.body.Close())
	}
	if !s.Scan() {
		return nil, errors.Join(errors.New("the stream ended before it began"), s.Err(), s.body.Close())
	}
	return s, nil
}
