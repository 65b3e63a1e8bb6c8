// Command queue consumes messages and pauses while the circuit of its dependency is
// open: it waits with Breaker.Wait before it takes a message, instead of taking
// messages that it would have to put back.
//
//	go run ./queue
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redbreaker/redbreaker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	mail, err := redbreaker.New("mail", redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	defer mail.Stop()

	outage := 2 // the second and the third delivery fail
	deliver := func(_ context.Context, message string) error {
		if message != "a" && outage > 0 {
			outage--
			fmt.Println(message, "failed")
			return errors.New("mail server is down")
		}
		fmt.Println(message, "delivered")
		return nil
	}
	q := &queue{messages: []string{"a", "b", "c"}}
	if err := consume(ctx, mail, q, deliver); err != nil {
		return err
	}
	fmt.Printf("messages taken from the queue: %d, put back: %d\n", q.taken, q.returned)
	return nil
}

// consume delivers the messages of a queue until it is empty or ctx ends. A message
// that was not delivered returns to the queue.
func consume(ctx context.Context, b *redbreaker.Breaker, q *queue, deliver func(context.Context, string) error) error {
	for {
		// Take nothing while no call would be admitted.
		if err := b.Wait(ctx); err != nil {
			return err
		}
		message, ok := q.take()
		if !ok {
			return nil
		}
		// The call may still be rejected: Wait admits nothing, and another process may
		// have taken the probe's slot. Then Wait waits again.
		err := b.Do(ctx, func(ctx context.Context) error { return deliver(ctx, message) })
		if err != nil {
			q.putBack(message)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// queue is a queue in memory, in place of one with acknowledgements.
type queue struct {
	messages        []string
	taken, returned int
}

func (q *queue) take() (message string, ok bool) {
	if len(q.messages) == 0 {
		return "", false
	}
	message, q.messages = q.messages[0], q.messages[1:]
	q.taken++
	return message, true
}

func (q *queue) putBack(message string) {
	q.messages = append([]string{message}, q.messages...)
	q.returned++
}
