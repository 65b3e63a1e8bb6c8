// Command redishook protects the commands of a go-redis client with a breaker in a
// hook.
//
// The breaker's state is in this process: a breaker that protects a Redis must not
// keep its state in that Redis, or it would lose it exactly when it is needed.
//
//	go run ./redishook
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/redbreaker/redbreaker"
)

// Hook makes each command and each pipeline a call of a breaker. Install it with
// AddHook; on a cluster client for every node, with OnNewNode, and then with one
// breaker for each node.
type Hook struct{ breaker *redbreaker.Breaker }

// NewHook returns a hook with a breaker in this process. An answer of the server, such
// as redis.Nil or a wrong type, is a success; a server that refuses commands because of
// its state is a failure.
func NewHook(name string, policy redbreaker.Policy, opts ...redbreaker.Option) (*Hook, error) {
	breaker, err := redbreaker.New(name, policy, append(opts, redbreaker.WithClassifier(judge))...)
	return &Hook{breaker}, err
}

func judge(err error) redbreaker.Outcome {
	var answer redis.Error
	if !errors.As(err, &answer) || redis.IsLoadingError(err) || redis.IsReadOnlyError(err) || redis.IsClusterDownError(err) ||
		redis.IsMasterDownError(err) || redis.IsMaxClientsError(err) || redis.IsOOMError(err) {
		return 0 // a failure, or a cancellation by the caller
	}
	return redbreaker.Success
}

// DialHook leaves connections unprotected: the command that needs one is the call.
func (h *Hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook protects single commands.
func (h *Hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := h.breaker.Do(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
		if errors.Is(err, redbreaker.ErrRejected) {
			cmd.SetErr(err) // the caller reads the error of the command
		}
		return err
	}
}

// ProcessPipelineHook protects a pipeline or a transaction as one call.
func (h *Hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := h.breaker.Do(ctx, func(ctx context.Context) error { return next(ctx, cmds) })
		if errors.Is(err, redbreaker.ErrRejected) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// Stop stops the breaker.
func (h *Hook) Stop() { h.breaker.Stop() }

func main() {
	logging.Disable() // the example takes the server away on purpose
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "redishook:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	server, err := miniredis.Run()
	if err != nil {
		return err
	}
	defer server.Close()
	dials := 0
	cache := redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1, // the breaker decides about repetitions
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	})
	defer cache.Close()
	hook, err := NewHook("cache", redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute})
	if err != nil {
		return err
	}
	defer hook.Stop()
	cache.AddHook(hook)

	for range 3 {
		_, err = cache.Get(ctx, "absent").Result()
	}
	fmt.Println("three misses:", errors.Is(err, redis.Nil), "and the circuit is", hook.breaker.State())
	server.Close()
	for range 2 {
		_ = cache.Get(ctx, "absent").Err()
	}
	before := dials
	_, err = cache.Get(ctx, "absent").Result()
	fmt.Println("two failures, then rejected:", errors.Is(err, redbreaker.ErrRejected), "without a dial:", dials == before)
	return nil
}
