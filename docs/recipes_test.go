package docs

import (
	"context"
	"database/sql"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/httpbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

// The code of the pages' recipes, which TestPages_code finds here.

func Example_policy() {
	policy := redbreaker.Policy{
		ConsecutiveFailures: 5,
		Window: redbreaker.Window{
			Period:      10 * time.Second,
			FailureRate: 0.5,
			MinCalls:    20,
		},
		OpenFor: 30 * time.Second,
	}
	fmt.Println(policy.Validate())
	// Output: <nil>
}

func Example_classifiers() {
	isValidationError := func(err error) bool { return err.Error() == "invalid order" }
	orders, err := redbreaker.New("orders", redbreaker.Policy{ConsecutiveFailures: 1},
		redbreaker.WithClassifier(redbreaker.CountAsSuccess(sql.ErrNoRows)),
		redbreaker.WithClassifier(redbreaker.IgnoreIf(isValidationError)),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, failure := range []error{sql.ErrNoRows, errors.New("invalid order"), errors.New("connection lost")} {
		_ = orders.Do(context.Background(), func(context.Context) error { return failure })
		fmt.Println(orders.State())
	}
	// Output:
	// closed
	// closed
	// open
}

func Example_httpTransport() {
	hosts, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hosts.Stop()
	transport, err := httpbreaker.NewTransport(httpbreaker.Keyed(hosts, httpbreaker.ByHost), nil, httpbreaker.TransportConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: transport}
	fmt.Println(client.Transport == transport)
	// Output: true
}

func Example_httpClient() {
	catalog, err := redbreaker.New("catalog", redbreaker.Policy{ConsecutiveFailures: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fetch := func(ctx context.Context, url string) (*http.Response, error) {
		return redbreaker.CallCheck(ctx, catalog,
			func(r *http.Response, err error) error {
				if err == nil && r.StatusCode >= 500 {
					return fmt.Errorf("status %d", r.StatusCode)
				}
				return err
			},
			func(ctx context.Context) (*http.Response, error) {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
				if err != nil {
					return nil, err
				}
				return http.DefaultClient.Do(request)
			})
	}
	response, err := fetch(context.Background(), "http://192.0.2.1:1\x00") // fails at once
	if response != nil {
		_ = response.Body.Close()
	}
	fmt.Println(err != nil, catalog.State())
	// Output: true open
}

func Example_retries() {
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	charge := func(context.Context) error { return errors.New("timeout") }
	attempts := 0
	retry := func(ctx context.Context) error {
		for {
			err := payments.Do(ctx, charge)
			if err == nil || errors.Is(err, redbreaker.ErrRejected) {
				return err // the circuit is open: more attempts are pointless
			}
			if attempts++; attempts == 5 {
				return err
			}
		}
	}
	err = retry(context.Background())
	fmt.Println(attempts, errors.Is(err, redbreaker.ErrRejected))
	// Output: 3 true
}

func Example_answerWhenRejected() {
	rates, err := redbreaker.New("rates", redbreaker.Policy{ConsecutiveFailures: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fetchRate := func(context.Context) (float64, error) { return 0, errors.New("timeout") }
	lastRate := 1.08
	rate := func(ctx context.Context) (float64, error) {
		v, err := redbreaker.Call(ctx, rates, fetchRate)
		if errors.Is(err, redbreaker.ErrRejected) {
			return lastRate, nil
		}
		return v, err
	}
	for range 2 {
		fmt.Println(rate(context.Background()))
	}
	// Output:
	// 0 timeout
	// 1.08 <nil>
}

func Example_metrics() {
	transitions := expvar.NewMap("breaker_transitions")
	options := redbreaker.WithHooks(redbreaker.Hooks{
		OnTransition: func(t redbreaker.Transition) {
			if t.Own && !t.Local {
				transitions.Add(t.Name+" "+t.To.String(), 1)
			}
		},
	})
	logs := redbreaker.WithHooks(redbreaker.LogHooks(slog.Default()))
	payments, err := redbreaker.New("payments", redbreaker.Policy{}, options, logs)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer payments.Stop()
	fmt.Println(payments.Name())
	// Output: payments
}

func Example_gauge() {
	states := expvar.NewMap("breaker_states")
	gauge := redbreaker.WithHooks(redbreaker.Hooks{
		OnStatus: func(name string, s redbreaker.Status) {
			state := new(expvar.String)
			state.Set(s.State.String())
			states.Set(name, state)
		},
	})
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1}, gauge)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = payments.Do(context.Background(), func(context.Context) error { return errors.New("timeout") })

	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = payments.Shutdown(ending)
	fmt.Println(states.Get("payments"), err)
	// Output: "open" <nil>
}

func Example_consumer() {
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer payments.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	queue := make(chan string, 3)
	queue <- "a"
	queue <- "b"
	queue <- "c"
	process := func(message string) error {
		fmt.Println(message)
		if message == "c" {
			cancel()
		}
		return errors.New("timeout")
	}
	for payments.Wait(ctx) == nil {
		message, taken := <-queue, false
		_ = payments.Do(ctx, func(context.Context) error { taken = true; return process(message) })
		if !taken { // rejected, stopped, or ctx has ended
			queue <- message
		}
	}
	fmt.Println(ctx.Err())
	// Output:
	// a
	// b
	// c
	// context canceled
}

func Example_health() {
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	status := payments.Status()
	fmt.Println(status.State, status.Mode, status.Degraded)
	// Output: closed auto false
}

func Example_clock() {
	var now time.Duration
	memory := engine.NewMemory(engine.WithClock(func() time.Duration { return now }))
	payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute},
		redbreaker.WithStorage(memory))
	if err != nil {
		fmt.Println(err)
		return
	}
	pay := func(err error) error {
		return payments.Do(context.Background(), func(context.Context) error { return err })
	}
	_ = pay(errors.New("503"))
	fmt.Println(errors.Is(pay(nil), redbreaker.ErrRejected))
	now += time.Minute
	fmt.Println(pay(nil), payments.State())
	// Output:
	// true
	// <nil> closed
}

func newWatchedStorage(client redis.UniversalClient) (*storage.Redis, error) {
	store, err := storage.NewRedis(client, storage.WithWatch())
	return store, err
}

func Example_watch() {
	page := func(t redbreaker.Transition) { fmt.Println("paged:", t) }
	hooks := redbreaker.Hooks{
		OnTransition: func(t redbreaker.Transition) {
			if t.Own && !t.Local {
				page(t)
			}
		},
	}
	_, err := newWatchedStorage(nil)
	fmt.Println(err != nil, hooks.OnTransition != nil)
	// Output: true true
}
