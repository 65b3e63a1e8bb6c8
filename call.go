package redbreaker

import "context"

// Call is [Breaker.Do] for a function with a result. It returns fn's results
// unchanged; where fn was not called, the zero value and the error of Do.
func Call[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (v T, err error) {
	ticket, start, err := b.admit(ctx)
	if err != nil {
		return v, err
	}
	returned := false
	defer func() { b.settle(ctx, ticket, start, 0, err, returned) }()
	v, err = fn(ctx)
	returned = true
	return v, err
}

// CallCheck is [Call] for a function whose failure is not its error, such as an
// HTTP client that answers 503 with a nil error: the breaker judges the error
// that check makes of the results, the caller gets the results as fn returned
// them. The time that check takes is no part of the call.
func CallCheck[T any](ctx context.Context, b *Breaker, check func(T, error) error, fn func(context.Context) (T, error)) (v T, err error) {
	ticket, start, err := b.admit(ctx)
	if err != nil {
		return v, err
	}
	var verdict error
	var at int64
	returned := false
	defer func() { b.settle(ctx, ticket, start, at, verdict, returned) }()
	v, err = fn(ctx)
	at = b.clock(start)
	verdict = check(v, err)
	returned = true
	return v, err
}
