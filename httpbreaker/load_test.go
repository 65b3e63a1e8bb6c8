package httpbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// account holds how calls ended, as one side counted them.
type account struct{ success, failure, ignored, rejected atomic.Int64 }

func (a *account) String() string {
	return fmt.Sprintf("%d successes, %d failures, %d ignored, %d rejected", a.success.Load(), a.failure.Load(), a.ignored.Load(), a.rejected.Load())
}

func (a *account) total() int64 {
	return a.success.Load() + a.failure.Load() + a.ignored.Load() + a.rejected.Load()
}

// lacksOne reports whether an outcome did not occur.
func (a *account) lacksOne() bool {
	return a.success.Load() == 0 || a.failure.Load() == 0 || a.ignored.Load() == 0 || a.rejected.Load() == 0
}

// hooks is the option that keeps the account of a breaker.
func (a *account) hooks() redbreaker.Option {
	return redbreaker.WithHooks(redbreaker.Hooks{
		OnCall: func(_ context.Context, r redbreaker.CallResult) {
			switch r.Outcome {
			case redbreaker.Success:
				a.success.Add(1)
			case redbreaker.Failure:
				a.failure.Add(1)
			case redbreaker.Ignored:
				a.ignored.Add(1)
			}
		},
		OnReject: func(context.Context, *redbreaker.RejectedError) { a.rejected.Add(1) },
	})
}

// TestLoad: 256 goroutines call a server that does everything wrong. The breakers
// on both sides count exactly the calls that were made, by outcome.
func TestLoad(t *testing.T) {
	calls := 20
	if testing.Short() {
		calls = 5
	}
	// Opens and closes all the time, so that probes and rejections occur too.
	policy := redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: time.Millisecond, HalfOpen: redbreaker.HalfOpen{Probes: 3, Successes: 2}}
	eachProtocol(t, func(t *testing.T, http2 bool) {
		var serverSide, clientSide, seen account
		var arrived atomic.Int64
		inner, _ := newBreaker(t, policy, serverSide.hooks())
		handler := newHandler(t, httpbreaker.One(inner), misbehave, httpbreaker.HandlerConfig{})
		server := newServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			arrived.Add(1)
			handler.ServeHTTP(w, r)
		})
		outer, _ := newBreaker(t, policy, clientSide.hooks())
		client := newClient(t, server, outer, httpbreaker.TransportConfig{})

		var callers sync.WaitGroup
		for range 256 {
			callers.Add(1)
			go func() {
				defer callers.Done()
				for range calls {
					callOnce(t, client, server.URL, &seen)
				}
			}()
		}
		callers.Wait()
		made := 256 * calls
		// How often each outcome occurs is chance: a lone caller goes on for those
		// that the crowd did not have.
		for ; seen.lacksOne() && made < 256*calls+20_000; made++ {
			callOnce(t, client, server.URL, &seen)
		}
		if seen.total() != int64(made) || seen.String() != clientSide.String() {
			t.Errorf("callers saw   %v\nbreaker counted %v", &seen, &clientSide)
		}
		eventually(t, "the server has counted every request", func() bool { return serverSide.total() == arrived.Load() })
		t.Logf("client: %v\nserver: %v of %d requests", &clientSide, &serverSide, arrived.Load())
		if seen.lacksOne() {
			t.Error("an outcome did not occur: the test shows nothing of it")
		}
	})
}

// misbehave answers in one of the ways a server can.
func misbehave(w http.ResponseWriter, r *http.Request) {
	switch rand.IntN(10) {
	case 0:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	case 1:
		panic(http.ErrAbortHandler)
	case 2:
		fmt.Fprint(w, "part")
		flush(w)
		panic(http.ErrAbortHandler)
	case 3:
		w.WriteHeader(http.StatusNoContent)
	case 4:
		fmt.Fprint(w, "part")
		flush(w)
		if r.URL.Query().Has("leave") {
			<-r.Context().Done()
		}
	default:
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("x", rand.IntN(100_000))))
	}
}

// callOnce makes a call, ends it in one of the ways a caller can, and notes what
// the breaker has to count.
func callOnce(t *testing.T, client *http.Client, url string, seen *account) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	behaviour := rand.IntN(10)
	if behaviour == 0 {
		url += "?leave"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		t.Error(err)
		return
	}
	r, err := client.Do(request)
	switch {
	case errors.Is(err, redbreaker.ErrRejected):
		seen.rejected.Add(1)
		time.Sleep(5 * time.Millisecond)
		return
	case err != nil || r.StatusCode == http.StatusServiceUnavailable:
		seen.failure.Add(1)
		if err == nil {
			r.Body.Close()
		}
		return
	case r.StatusCode == http.StatusNoContent || r.ContentLength == 0:
		seen.success.Add(1)
		r.Body.Close()
		return
	}
	defer r.Body.Close()
	switch behaviour {
	case 0: // leaves while it reads; a probe counts by its first byte
		first, err := r.Body.Read(make([]byte, 1))
		probe := first > 0 && httpbreaker.IsProbe(r.Body)
		cancel()
		switch err {
		case nil:
			_, err = io.Copy(io.Discard, r.Body)
		case io.EOF:
			err = nil
		default:
			seen.failure.Add(1)
			return
		}
		switch {
		case err == nil, probe:
			seen.success.Add(1)
		default:
			seen.ignored.Add(1)
		}
	case 1: // has enough
		seen.success.Add(1)
	default:
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil || n > 0 && httpbreaker.IsProbe(r.Body) {
			seen.success.Add(1)
		} else {
			seen.failure.Add(1)
		}
	}
}
