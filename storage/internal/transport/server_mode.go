package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNeedsClusterClient is about a node of a cluster and a client that ignores
// clusters. It matches the error of each call that failed for this reason.
var ErrNeedsClusterClient = errors.New("the server is a node of a cluster, use redis.NewClusterClient, or IsClusterMode: true in redis.UniversalOptions")

// IsRedirect reports whether a server answered that another one has the key.
func IsRedirect(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")
}

// withConnectAdvice says that the timeout passed before there was a connection, and how
// to get the dial error: go-redis dials several times and gives its last error only after
// that. A client that dials once would have returned the error: the dial lasts, or the
// server accepted the connection and does not answer on it.
func (t *Transport) withConnectAdvice(err error) error {
	if t.dialsOnce {
		return fmt.Errorf("no connection to the server: %w", err)
	}
	return fmt.Errorf("no connection to the server, a client with DialerRetries 1 returns the dial error: %w", err)
}

// withClientAdvice adds what to do to errors that the choice or the use of the client
// causes. Of an error that only nodes of clusters return it says which client to use. Of a
// client of a cluster the error has another cause, and of a wrapper that hides its client
// the cause is not known.
func (t *Transport) withClientAdvice(err error) error {
	// A client of a cluster also closes clients of nodes that left it.
	if t.singleServers && errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("%w, stop the breakers and close the storage before the client", err)
	}
	if t.singleServers && (IsRedirect(err) || redis.HasErrorPrefix(err, "SELECT is not allowed in cluster mode")) {
		return fmt.Errorf("%w: %w", err, ErrNeedsClusterClient)
	}
	return err
}

// CheckMode returns ErrNeedsClusterClient if the server is a node of a cluster and the
// client ignores clusters: keys of the other nodes, of today or of tomorrow, are out
// of its reach. A server that does not say its mode passes.
func (t *Transport) CheckMode(ctx context.Context) error {
	if !t.singleServers {
		return nil
	}
	mode, protocol := "", 3
	if t.protocol == 2 { // the client takes any other for 3
		protocol = 2
	}
	err := t.waitOrLeave(ctx, time.Now().Add(t.timeout), func(ctx context.Context) {
		// HELLO needs no rights, unlike CLUSTER and INFO. With the protocol that the
		// client uses it changes nothing on the connection.
		hello := redis.NewMapStringInterfaceCmd(ctx, "hello", protocol)
		if t.client.Process(ctx, hello) == nil {
			mode, _ = hello.Val()["mode"].(string)
		}
	})
	if err == nil && mode == "cluster" {
		return ErrNeedsClusterClient
	}
	return nil
}
