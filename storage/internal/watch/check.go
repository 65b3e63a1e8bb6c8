package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// errNotHeard means that push can never work, although nothing is refused.
var errNotHeard = errors.New("what this user publishes is not received here: a proxy or a hook of the client rewrites keys, or pub/sub does not pass")

// CheckPush subscribes to a channel, calls publish, and returns an error unless a
// message arrives within the timeout. It finds missing rights, prefixes and proxies
// that would else only make transitions arrive late. publish must publish on the
// server of the key: a ring's shards publish by themselves. The error is the
// context's, publish's, or a *engine.StorageError.
func (w *Watcher) CheckPush(ctx context.Context, key, channel string, publish func() error) error {
	// The channel has room, so the goroutine ends even if the caller has left.
	result := make(chan error, 1)
	// The client may dial for longer than the caller waits, and ignores contexts.
	if !w.transport.Spawn(func() { result <- w.hearOneself(ctx, key, channel, publish) }) {
		return engine.ErrStopped
	}
	// One timeout each for the confirmation, the publish and the message.
	limit := time.NewTimer(3 * w.transport.Timeout())
	defer limit.Stop()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return newPushError(fmt.Errorf("no subscription: %w", w.transport.TimeoutError()))
	}
}

// hearOneself receives with a timeout, unlike a subscription: the PubSub is not used
// any more after a read that ended within a frame.
func (w *Watcher) hearOneself(ctx context.Context, key, channel string, publish func() error) error {
	client, err := w.publisherOf(key)
	if err != nil {
		return newPushError(err)
	}
	ps, _, err := subscribeTo(client, channel)(ctx, "")
	if err != nil {
		return newPushError(err)
	}
	// Close takes the lock under which go-redis dials, so it must not delay the result.
	defer func() { go func() { _ = ps.Close() }() }()
	if _, err := ps.ReceiveTimeout(ctx, w.transport.Timeout()); err != nil {
		var answer redis.Error
		if errors.As(err, &answer) {
			return newPushError(fmt.Errorf("the user may not run SUBSCRIBE (%w), grant what docs/operations.md lists", err))
		}
		return newPushError(fmt.Errorf("no subscription: %w", err))
	}
	// Not before the confirmation: Redis keeps no message for a later subscriber.
	if err := publish(); err != nil {
		return err
	}
	for {
		message, err := ps.ReceiveTimeout(ctx, w.transport.Timeout())
		if err != nil {
			return newPushError(errNotHeard)
		}
		// Anything else is a confirmation of a reconnected client, or a pong.
		if _, heard := message.(*redis.Message); heard {
			return nil
		}
	}
}

// publisherOf returns the client at which the events of a key arrive: that of its shard,
// or of all keys.
func (w *Watcher) publisherOf(key string) (redis.UniversalClient, error) {
	if ring, ok := w.client.(*redis.Ring); ok {
		return ring.GetShardClientForKey(key)
	}
	return w.client, nil
}

func newPushError(err error) error {
	return &engine.StorageError{Class: engine.ClassRefused, Op: "ping", Err: err}
}
