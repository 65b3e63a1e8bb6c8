package redbreaker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

type response struct{ status int }

// judge is the check that a user writes for a client that returns a 503 and a nil error.
func judge(r *response, err error) error {
	if err == nil && r.status >= 500 {
		return fmt.Errorf("status %d", r.status)
	}
	return err
}

func answers(status int, err error) func(context.Context) (*response, error) {
	return func(context.Context) (*response, error) { return &response{status}, err }
}

func TestCall_returnsResultsUnchanged(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	r, err := redbreaker.Call(ctx, b, answers(500, errDown))
	if r == nil || r.status != 500 || err != errDown {
		t.Errorf("got %v, %v", r, err)
	}
	r, err = redbreaker.Call(ctx, b, answers(200, nil))
	if r != nil {
		t.Errorf("a rejection came with %v", r)
	}
	wantRejected(t, err, redbreaker.ReasonOpen)
}

func TestCall_panicIsAFailure(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	func() {
		defer func() { _ = recover() }()
		_, _ = redbreaker.Call(ctx, b, func(context.Context) (int, error) { panic("boom") })
	}()
	wantState(t, b, redbreaker.StateOpen)
}

func TestCallCheck_judgesTheCheck(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	r, err := redbreaker.CallCheck(ctx, b, judge, answers(200, nil))
	if r.status != 200 || err != nil {
		t.Errorf("got %v, %v", r, err)
	}
	wantState(t, b, redbreaker.StateClosed)

	r, err = redbreaker.CallCheck(ctx, b, judge, answers(503, nil))
	if r.status != 503 || err != nil {
		t.Errorf("the caller got %v, %v, want what the function returned", r, err)
	}
	wantState(t, b, redbreaker.StateOpen)

	r, err = redbreaker.CallCheck(ctx, b, judge, answers(200, nil))
	if r != nil {
		t.Errorf("a rejection came with %v", r)
	}
	wantRejected(t, err, redbreaker.ReasonOpen)
}

// The check may also turn an error into a success.
func TestCallCheck_excusesAnError(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	excuse := func(*response, error) error { return nil }
	_, err := redbreaker.CallCheck(ctx, b, excuse, answers(0, errDown))
	wantErr(t, err, errDown)
	wantState(t, b, redbreaker.StateClosed)
}

func TestCallCheck_panicOfTheCheckIsAFailure(t *testing.T) {
	b := newBreaker(t, opensAtOnce)
	func() {
		defer func() { _ = recover() }()
		_, _ = redbreaker.CallCheck(ctx, b, func(*response, error) error { panic("boom") }, answers(200, nil))
	}()
	wantState(t, b, redbreaker.StateOpen)
}

func TestCallCheck_doesNotTimeTheCheck(t *testing.T) {
	store := newFake()
	b := newBreaker(t, slowPolicy, redbreaker.WithStorage(store))
	_, _ = redbreaker.CallCheck(ctx, b, func(r *response, err error) error {
		store.clock.advance(time.Second)
		return nil
	}, answers(200, nil))
	if r := store.reported(); len(r) != 1 || r[0].Outcome != redbreaker.Success {
		t.Errorf("reported %v, want one fast success", r)
	}
}
