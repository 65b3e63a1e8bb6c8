// Command llm is a gateway to language models: a circuit for each host and model,
// streams that count at their end, a 429 that opens the circuit for its Retry-After,
// and the next candidate while a circuit is open.
//
//	go run ./llm
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "llm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	asked := 0
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many tokens this minute", http.StatusTooManyRequests)
	}))
	defer large.Close()
	small := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\ndata: world\n\n")
	}))
	defer small.Close()

	breakers, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{
		Policy: redbreaker.Policy{ConsecutiveFailures: 5, Backoff: redbreaker.Backoff{Max: 10 * time.Minute}},
	})
	if err != nil {
		return err
	}
	defer breakers.Stop()
	gateway, err := NewGateway([]Candidate{{large.URL, "large"}, {small.URL, "small"}}, breakers)
	if err != nil {
		return err
	}
	for i := range 3 {
		answer, err := gateway.Complete(ctx, "say hello")
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer)
		_ = answer.Close()
		if err != nil {
			return err
		}
		fmt.Printf("prompt %d: %s answers with %d events\n", i+1, answer.Model, strings.Count(string(text), "data: "))
	}
	fmt.Println("the limited model was asked", asked, "time")
	return nil
}
