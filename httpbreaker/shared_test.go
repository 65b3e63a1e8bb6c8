package httpbreaker_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// TestTransport_shared: two processes, as two storages with a client each, share a
// circuit. A server whose streams break after the 200 opens it in both.
func TestTransport_shared(t *testing.T) {
	var served atomic.Int32
	server := newServer(t, false, func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		fmt.Fprint(w, "data: a\n\n")
		flush(w)
		panic(http.ErrAbortHandler)
	})
	mini, _ := redistest.Mini(t)
	join := func() (*redbreaker.Breaker, *http.Client) {
		rdb := redis.NewClient(&redis.Options{Addr: mini.Addr(), ContextTimeoutEnabled: true})
		t.Cleanup(func() { rdb.Close() })
		store, err := storage.NewRedis(rdb, storage.WithTimeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		b, _ := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 4, OpenFor: time.Minute}, redbreaker.WithStorage(store))
		return b, newClient(t, server, b, httpbreaker.TransportConfig{})
	}
	first, client1 := join()
	second, client2 := join()
	for _, client := range []*http.Client{client1, client2, client1, client2} {
		r := mustGet(t, client, server.URL)
		if _, err := io.ReadAll(r.Body); r.StatusCode != http.StatusOK || err == nil {
			t.Fatalf("%s, read with %v", r.Status, err)
		}
	}
	for _, client := range []*http.Client{client1, client2} {
		_, err := get(t, t.Context(), client, server.URL)
		if r := wantRejected(t, err); r.Reason != redbreaker.ReasonOpen {
			t.Errorf("rejected: %v", r)
		}
	}
	wantState(t, first, redbreaker.StateOpen)
	wantState(t, second, redbreaker.StateOpen)
	if served.Load() != 4 {
		t.Errorf("the server got %d requests, want 4", served.Load())
	}
}
