// Command stream protects a streamed response.
//
// In a closed circuit the call counts at the end of the stream, so that a stream that
// breaks off is a failure. A probe of a half-open circuit counts with its first line:
// it holds its slot until then, and the whole fleet waits for it. Held to the end of
// the stream, it would also outlive its lease (HalfOpen.Lease).
//
// For HTTP, package httpbreaker does all of this.
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
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		select {
		case <-more:
		case <-r.Context().Done():
		}
		fmt.Fprintln(w, "last")
	}))
	defer server.Close()
	defer server.CloseClientConnections() // before Close, which waits for streams

	feed, err := redbreaker.New("feed", redbreaker.Policy{
		OpenFor:  50 * time.Millisecond,
		HalfOpen: redbreaker.HalfOpen{Probes: 1, Lease: 5 * time.Second}, // longer than a first line may take
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
	lines, err := open(ctx, feed, server.URL)
	if err != nil {
		return err
	}
	defer lines.Close()
	fmt.Println("got", lines.Text())
	fmt.Println("while it runs:", feed.State()) // other calls are admitted already
	close(more)
	for lines.Scan() {
		fmt.Println("got", lines.Text())
	}

	broken, err := open(ctx, feed, server.URL+"/broken")
	if err != nil {
		return err
	}
	for broken.Scan() {
	}
	_ = broken.Close()
	snapshot, err := feed.Inspect(ctx)
	fmt.Println("a stream that broke off:", broken.Err() != nil, "failures in a row:", snapshot.Streak)
	return errors.Join(lines.Err(), err)
}

// stream is a response of which the first line was read. Close it.
type stream struct {
	*bufio.Scanner
	ctx    context.Context // of the caller, for the outcome
	body   io.Closer
	permit redbreaker.Permit
}

// open opens a stream and reads its first line.
func open(ctx context.Context, b *redbreaker.Breaker, url string) (s *stream, err error) {
	s = &stream{ctx: ctx}
	if s.permit, err = b.Acquire(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.permit.Settle(ctx, err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // the reader of the stream closes it
	if err != nil {
		return nil, err
	}
	s.Scanner, s.body = bufio.NewScanner(response.Body), response.Body
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(errors.New(response.Status), s.body.Close())
	}
	if !s.Scan() {
		return nil, errors.Join(errors.New("the stream ended before its first line"), s.Err(), s.body.Close())
	}
	s.permit.StopClock() // a long stream is not a slow call
	if s.permit.Probe() {
		s.permit.Success()
	}
	return s, nil
}

// Close settles the call by the error of the stream, if it has not counted yet, and
// closes the response.
func (s *stream) Close() error {
	s.permit.Settle(s.ctx, s.Err())
	return s.body.Close()
}
