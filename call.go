package redbreaker

import "context"

// Call is [Breaker.Do] for a function with a result. It returns fn's results
// unchanged. If fn was not called, it returns the zero value and the error of Do.
func Call[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (v T, err error) {
	ticket, start, err := b.admitCall(ctx)
	if err != nil {
		return v, err
	}
	returned := false
	defer func() { b.settleCall(ctx, ticket, start, 0, err, returned) }()
	v, err = fn(ctx)
	returned = true
	return v, err
}

// CallCheck is [Call] for a function that can fail without an error, such as an
// HTTP client that returns a 503 and a nil error. The breaker counts the error
// that check returns for the results of fn; the caller gets the results
// unchanged. The time that check takes does not count as part of the call.
func CallCheck[T any](ctx context.Context, b *Breaker, check func(T, error) error, fn func(context.Context) (T, error)) (v T, err error) {
	ticket, start, err := b.admitCall(ctx)
	if err != nil {
		return v, err
	}
	var checked error
	var end int64
	returned := false
	defer func() { b.settleCall(ctx, ticket, start, end, checked, returned) }()
	v, err = fn(ctx)
	end = b.readEnd(start)
	checked = check(v, err)
	returned = true
	return v, err
}
