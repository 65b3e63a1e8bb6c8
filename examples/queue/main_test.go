package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
)

// While the circuit is open the consumer takes no message; it goes on by itself.
func TestConsume_pausesWhileOpen(t *testing.T) {
	b, err := redbreaker.New("mail", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	var calls []time.Time
	q := &queue{messages: []string{"a"}}
	err = consume(t.Context(), b, q, func(context.Context, string) error {
		calls = append(calls, time.Now())
		if len(calls) == 1 {
			return errors.New("down")
		}
		return nil
	})
	if err != nil || len(calls) != 2 || q.taken != 2 || q.returned != 1 {
		t.Fatalf("%v, %d calls, %+v; want 2 calls", err, len(calls), *q)
	}
	if pause := calls[1].Sub(calls[0]); pause < 300*time.Millisecond {
		t.Errorf("the consumer paused for %v, want the open time", pause)
	}
}

// The end of the context ends a pause.
func TestConsume_cancelled(t *testing.T) {
	b, err := redbreaker.New("mail", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	q := &queue{messages: []string{"a"}}
	err = consume(ctx, b, q, func(context.Context, string) error {
		time.AfterFunc(20*time.Millisecond, cancel)
		return errors.New("down")
	})
	if !errors.Is(err, context.Canceled) || len(q.messages) != 1 {
		t.Errorf("%v, %q left; want the context's error and the message", err, q.messages)
	}
}
