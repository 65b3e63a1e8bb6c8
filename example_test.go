package redbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// chargeCard is the call to protect.
func chargeCard(context.Context) error { return errors.New("gateway timeout") }

// must spares the examples the handling of errors that only bad input causes.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ExampleNew() {
	payments, err := redbreaker.New("payments", redbreaker.Policy{
		ConsecutiveFailures: 5,
		OpenFor:             time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer payments.Stop()
	fmt.Println(payments.Name(), payments.State())
	// Output: payments closed
}

// Every fault of a policy is named at once.
func ExampleNew_invalid() {
	_, err := redbreaker.New("payments", redbreaker.Policy{
		Window:   redbreaker.Window{Period: time.Minute, FailureRate: 50},
		HalfOpen: redbreaker.HalfOpen{Probes: 2, Successes: 3},
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, redbreaker.ErrInvalid))
	// Output:
	// redbreaker: policy: Window.FailureRate is 50, use a share above 0 to 1 (for 50 percent write 0.5): invalid argument
	// redbreaker: policy: HalfOpen.Successes is 3, above Probes (2) the circuit can never close, use 2 or less: invalid argument
	// true
}

func ExampleBreaker_Do() {
	payments := must(redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 2}))
	defer payments.Stop()
	for range 3 {
		err := payments.Do(context.Background(), chargeCard)
		var rejected *redbreaker.RejectedError
		if errors.As(err, &rejected) {
			fmt.Println(rejected.Name, rejected.Reason, rejected.RetryAfter().Round(time.Second))
			return
		}
		fmt.Println(err)
	}
	// Output:
	// gateway timeout
	// gateway timeout
	// payments open 1m0s
}

func ExampleCall() {
	rates := must(redbreaker.New("rates", redbreaker.Policy{}))
	defer rates.Stop()
	rate, err := redbreaker.Call(context.Background(), rates, func(context.Context) (float64, error) {
		return 1.08, nil
	})
	fmt.Println(rate, err)
	// Output: 1.08 <nil>
}

// An HTTP client answers 503 with a nil error. The breaker judges what the check
// says; the caller gets the response as it came.
func ExampleCallCheck() {
	catalog := must(redbreaker.New("catalog", redbreaker.Policy{ConsecutiveFailures: 1}))
	defer catalog.Stop()

	check := func(r *http.Response, err error) error {
		if err == nil && r.StatusCode >= 500 {
			return fmt.Errorf("status %d", r.StatusCode)
		}
		return err
	}
	fetch := func(context.Context) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil // http.DefaultClient.Do(...)
	}
	r, err := redbreaker.CallCheck(context.Background(), catalog, check, fetch)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Body.Close()
	fmt.Println(r.StatusCode, err)
	fmt.Println(catalog.State())
	// Output:
	// 503 <nil>
	// open
}

// Acquire is for code that a function cannot wrap, such as a stream or a
// middleware in two halves.
func ExampleBreaker_Acquire() {
	search := must(redbreaker.New("search", redbreaker.Policy{}))
	defer search.Stop()
	permit, err := search.Acquire(context.Background())
	if err != nil {
		fmt.Println("not admitted:", err)
		return
	}
	defer permit.Ignore() // if nothing below settles it first

	if err := chargeCard(context.Background()); err != nil {
		permit.Failure(err)
		return
	}
	permit.Success()
	// Output:
}

func ExamplePermit_Done() {
	search := must(redbreaker.New("search", redbreaker.Policy{ConsecutiveFailures: 1}))
	defer search.Stop()
	query := func() (err error) {
		permit, err := search.Acquire(context.Background())
		if err != nil {
			return err
		}
		defer permit.Done(&err)
		return chargeCard(context.Background())
	}
	fmt.Println(query())
	fmt.Println(search.State())
	// Output:
	// gateway timeout
	// open
}

// A registry makes breakers by name, for names that come with the calls.
func ExampleRegistry() {
	hosts := must(redbreaker.NewRegistry(redbreaker.RegistryConfig{
		Policy: redbreaker.Policy{ConsecutiveFailures: 1},
	}))
	defer hosts.Stop()
	for _, host := range []string{"a.example", "b.example"} {
		b, err := hosts.Get(host)
		if err != nil {
			fmt.Println(err)
			return
		}
		if host == "b.example" {
			_ = b.Do(context.Background(), chargeCard)
		}
	}
	for name, b := range hosts.All() {
		fmt.Println(name, b.State())
	}
	// Output:
	// a.example closed
	// b.example open
}

func ExampleHooks() {
	opened := make(chan redbreaker.Cause, 1)
	payments := must(redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1},
		redbreaker.WithHooks(redbreaker.Hooks{
			OnTransition: func(t redbreaker.Transition) {
				if t.To == redbreaker.StateOpen {
					opened <- t.Cause
				}
			},
			OnReject: func(_ context.Context, e *redbreaker.RejectedError) { fmt.Println("rejected:", e.Reason) },
		})))
	defer payments.Stop()
	_ = payments.Do(context.Background(), chargeCard)
	_ = payments.Do(context.Background(), chargeCard)
	fmt.Println("opened:", <-opened)
	// Output:
	// rejected: open
	// opened: consecutive
}

// A gauge shows the state that this process knows, also if another process changed it.
func ExampleHooks_gauge() {
	states := map[string]redbreaker.State{}
	payments := must(redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1},
		redbreaker.WithHooks(redbreaker.Hooks{
			OnStatus: func(name string, s redbreaker.Status) { states[name] = s.State },
		})))
	_ = payments.Do(context.Background(), chargeCard)
	_ = payments.Shutdown(context.Background()) // waits for the hooks
	fmt.Println(states)
	// Output: map[payments:open]
}

func ExampleLogHooks() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	payments := must(redbreaker.New("payments", redbreaker.Policy{},
		redbreaker.WithHooks(redbreaker.LogHooks(logger))))
	defer payments.Stop()
	// Output:
}

// A classifier decides what counts as a failure.
func ExampleWithClassifier() {
	errNotFound := errors.New("not found")
	users := must(redbreaker.New("users", redbreaker.Policy{ConsecutiveFailures: 1},
		redbreaker.WithClassifier(redbreaker.CountAsSuccess(errNotFound))))
	defer users.Stop()
	fmt.Println(users.Do(context.Background(), func(context.Context) error { return errNotFound }))
	fmt.Println(users.State())
	// Output:
	// not found
	// closed
}

// A dependency that asks for a pause gets it.
func ExampleRetryAfterError() {
	api := must(redbreaker.New("api", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Second}))
	defer api.Stop()
	_ = api.Do(context.Background(), func(context.Context) error {
		return redbreaker.RetryAfterError(errors.New("429 too many requests"), 5*time.Minute)
	})
	fmt.Println(api.Status().RetryAfter.Round(time.Minute))
	// Output: 5m0s
}

// A dependency that refuses all calls for a known time opens the circuit with its
// first refusal, for all processes.
func ExampleTripError() {
	models := must(redbreaker.New("models", redbreaker.Policy{ConsecutiveFailures: 5}))
	defer models.Stop()
	_ = models.Do(context.Background(), func(context.Context) error {
		return redbreaker.TripError(errors.New("429 quota exceeded"), 20*time.Minute)
	})
	fmt.Println(models.State(), models.Status().RetryAfter.Round(time.Minute))
	// Output: open 20m0s
}

// An operator takes a dependency out of use for an hour, for the whole fleet.
func ExampleBreaker_Control() {
	payments := must(redbreaker.New("payments", redbreaker.Policy{}))
	defer payments.Stop()
	s, err := payments.Control(context.Background(), redbreaker.Command{
		Action: redbreaker.ActionForceOpen,
		For:    time.Hour,
		Reason: "provider maintenance",
		Actor:  "ann",
	})
	fmt.Println(s.Mode, s.ModeFor.Round(time.Minute), err)
	fmt.Println(errors.Is(payments.Do(context.Background(), chargeCard), redbreaker.ErrRejected))
	// Output:
	// forced_open 1h0m0s <nil>
	// true
}

func ExampleBreaker_Inspect() {
	payments := must(redbreaker.New("payments", redbreaker.Policy{}))
	defer payments.Stop()
	_ = payments.Do(context.Background(), chargeCard)
	s, err := payments.Inspect(context.Background())
	fmt.Println(s.State, s.Streak, err)
	// Output: closed 1 <nil>
}

// Breakers of one name share their circuit through a storage. Here it is the
// memory of one process; a Redis is used in the same way.
func ExampleWithStorage() {
	store := engine.NewMemory()
	defer store.Close()
	one := must(redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1}, redbreaker.WithStorage(store)))
	two := must(redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1}, redbreaker.WithStorage(store)))
	defer one.Stop()
	defer two.Stop()
	_ = one.Do(context.Background(), chargeCard)
	fmt.Println(two.State())
	// Output: open
}

// On rejection a service may answer with what it has.
func Example_fallbackAnswer() {
	rates := must(redbreaker.New("rates", redbreaker.Policy{ConsecutiveFailures: 1}))
	defer rates.Stop()
	cached := 1.07
	rate := func() (float64, error) {
		v, err := redbreaker.Call(context.Background(), rates, func(context.Context) (float64, error) {
			return 0, errors.New("gateway timeout")
		})
		if errors.Is(err, redbreaker.ErrRejected) {
			return cached, nil
		}
		return v, err
	}
	fmt.Println(rate())
	fmt.Println(rate())
	// Output:
	// 0 gateway timeout
	// 1.07 <nil>
}

// A retry loop goes around the breaker, so that each attempt counts. It ends at a
// rejection: more attempts would be rejected too.
func Example_retry() {
	payments := must(redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 3}))
	defer payments.Stop()
	var err error
	for attempt := range 5 {
		err = payments.Do(context.Background(), chargeCard)
		if err == nil || errors.Is(err, redbreaker.ErrRejected) {
			break
		}
		fmt.Println("attempt", attempt+1, err)
		time.Sleep(time.Millisecond << attempt)
	}
	fmt.Println("given up, rejected:", errors.Is(err, redbreaker.ErrRejected))
	// Output:
	// attempt 1 gateway timeout
	// attempt 2 gateway timeout
	// attempt 3 gateway timeout
	// given up, rejected: true
}

// A rejection by a breaker within says nothing about the breaker around it.
func Example_nested() {
	shop := must(redbreaker.New("shop", redbreaker.Policy{ConsecutiveFailures: 1}))
	payments := must(redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 1}))
	defer shop.Stop()
	defer payments.Stop()
	_ = payments.Do(context.Background(), chargeCard)

	err := shop.Do(context.Background(), func(ctx context.Context) error {
		return payments.Do(ctx, chargeCard)
	})
	var rejected *redbreaker.RejectedError
	fmt.Println(errors.As(err, &rejected), rejected.Name)
	fmt.Println(shop.State(), payments.State())
	// Output:
	// true payments
	// closed open
}

// With a bounded staleness, calls run at in-process speed and the circuit is still one
// for the whole fleet.
func ExampleWithMaxStaleness() {
	store := must(cas.New(newSharedStore(0))) // or storage.NewRedis(client)
	payments, err := redbreaker.New("payments", redbreaker.Policy{
		Window:  redbreaker.Window{Period: 10 * time.Second, FailureRate: 0.5},
		OpenFor: 30 * time.Second,
	}, redbreaker.WithStorage(store), redbreaker.WithMaxStaleness(500*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	rejected := 0
	for range 100 {
		if err := payments.Do(context.Background(), chargeCard); errors.Is(err, redbreaker.ErrRejected) {
			rejected++
		}
	}
	fmt.Println(rejected, "of 100 calls rejected")
	_ = payments.Shutdown(context.Background()) // sends the last outcomes
	_ = store.Close()
	// Output: 90 of 100 calls rejected
}
