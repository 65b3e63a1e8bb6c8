package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

// otherProduct matches the version of a server that is neither Redis nor Valkey, in
// the answer to INFO.
var otherProduct = regexp.MustCompile(`(?m)^(?:kvrocks|dragonfly|keydb|garnet)_version:`)

// oldestMajor is the major version of the oldest server that is supported.
const oldestMajor = 6

// Ping checks whether the storage would work: whether the server answers, accepts
// the password, is new enough, has a clock that steps can use, lets the user do what
// the scripts do, and, unless the client is that of a cluster, is no node of one. Of a
// Ring it asks each shard that is up. With [WithWatch] it also checks that it receives
// what it publishes. It returns nil, engine.ErrStopped, the context's error, or a
// *engine.StorageError that says what to change. It waits for up to eight timeouts for
// the first answer of a server, so that one far away is reached. It writes one key of
// its own to each server that it asks, which is gone a second later.
func (r *Redis) Ping(ctx context.Context) error {
	keys := r.transport.OneKeyPerShard(r.keys.PingKeys())
	for _, key := range keys {
		if err := r.tryCommands(ctx, key); err != nil {
			return err
		}
	}
	if err := r.transport.CheckMode(ctx); err != nil {
		return &engine.StorageError{Class: engine.ClassRefused, Op: "ping", Err: err}
	}
	if err := r.checkClock(ctx); err != nil {
		return err
	}
	if err := r.checkVersion(ctx); err != nil || r.watcher == nil {
		return err
	}
	// Last, since it takes the longest, and fails for every reason that the others name better.
	for _, key := range keys {
		if err := r.watcher.CheckPush(ctx, key, r.keys.PingChannel(), func() error {
			_, err := r.runPing(ctx, key)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// tryCommands runs a script that tries each command that step.lua may run: a missing
// right would else show up at the first transition.
func (r *Redis) tryCommands(ctx context.Context, key string) error {
	reply, err := r.runPing(ctx, key)
	// At a distance, a connection and the script take more than one timeout. The client goes
	// on with them while no caller waits, so a later call finds them made.
	for tries := 1; errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && tries < maxPings; tries++ {
		reply, err = r.runPing(ctx, key)
	}
	if err != nil {
		return withAdvice(err)
	}
	denied, err := scripts.DecodePing(reply)
	if err != nil {
		return newReplyError("ping", "", err)
	}
	return newDeniedError(denied)
}

// runPing runs ping.lua, which tries commands and publishes a message, on the server
// that has the key.
func (r *Redis) runPing(ctx context.Context, key string) (any, error) {
	return r.runCall(ctx, time.Now(), &transport.Call{Op: "ping", Key: key, Script: scripts.Ping, Repeatable: true})
}

// maxPings is how often Ping tries to connect: a connection and a script take up to
// eight round trips, and a timeout is longer than one.
const maxPings = 8

// newDeniedError returns the error about commands that the server refused, nil if
// there are none.
func newDeniedError(denied map[string]string) error {
	if len(denied) == 0 {
		return nil
	}
	// The two causes that deny many commands at once come first: a list of commands would send
	// the operator to look for rights.
	for _, text := range denied {
		if strings.Contains(text, "non deterministic") {
			return &engine.StorageError{Class: engine.ClassRefused, Op: "ping", Err: fmt.Errorf(
				"the server does not let scripts read its clock and write (%s), set lua-replicate-commands yes", text)}
		}
	}
	for _, why := range denied {
		if strings.HasPrefix(why, "READONLY") {
			return &engine.StorageError{Class: engine.ClassRefused, Op: "ping", Err: fmt.Errorf(
				"the server is a replica (%s), use the address of its primary", why)}
		}
	}
	names := slices.Sorted(maps.Keys(denied))
	return &engine.StorageError{Class: engine.ClassRefused, Op: "ping", Err: fmt.Errorf(
		"the user may not run %s (%s), grant what docs/operations.md lists", strings.Join(names, ", "), denied[names[0]])}
}

// checkClock refuses a server whose clock no step can calculate with: it may answer
// TIME with 0. A server that answers TIME in scripts only passes.
func (r *Redis) checkClock(ctx context.Context) error {
	now, err := r.transport.ServerTime(ctx, "ping")
	if err != nil {
		return nil //nolint:nilerr // a proxy may refuse TIME
	}
	if err := engine.CheckClock(now.UnixMilli()); err != nil {
		return newReplyError("ping", "", err)
	}
	return nil
}

// checkVersion refuses a Redis that is too old. A server that hides its version, or
// is another product that names the version of Redis that it resembles, has run a
// script, which is enough.
func (r *Redis) checkVersion(ctx context.Context) error {
	info, err := r.transport.Info(ctx, "server")
	if err != nil {
		return nil //nolint:nilerr // INFO may be denied
	}
	if otherProduct.MatchString(info) {
		return nil
	}
	for line := range strings.Lines(info) {
		version, found := strings.CutPrefix(strings.TrimSpace(line), "redis_version:")
		if !found {
			continue
		}
		major, _, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(major); err == nil && n < oldestMajor {
			return &engine.StorageError{Class: engine.ClassRefused, Op: "ping", Err: fmt.Errorf(
				"the server is version %s, use %d.0 or later", version, oldestMajor)}
		}
	}
	return nil
}

// withAdvice adds to a storage error what to do about it. It looks at prefixes only,
// because the texts of servers and their versions differ.
func withAdvice(err error) error {
	var e *engine.StorageError
	if !errors.As(err, &e) {
		return err
	}
	advice := ""
	var certificate *tls.CertificateVerificationError
	switch {
	case redis.IsAuthError(e.Err):
		advice = "check the user and the password of the client"
	case redis.IsPermissionError(e.Err) && strings.Contains(e.Err.Error(), " key"):
		advice = "check the namespace, or grant its keys as docs/operations.md says"
	case redis.IsPermissionError(e.Err):
		advice = "grant the user what docs/operations.md lists, EVALSHA, EVAL and SCRIPT LOAD among it"
	case redis.HasErrorPrefix(e.Err, "DB index is out of range"):
		advice = "use the number of a database that the server has"
	case redis.HasErrorPrefix(e.Err, "unknown command"):
		advice = "the server runs no scripts, use Redis 6.0 or later, or Valkey"
	case errors.As(e.Err, &certificate):
		advice = "check the certificate, and the server name and authorities of the client's TLS settings"
	case errors.Is(e.Err, transport.ErrNeedsClusterClient), transport.IsRedirect(e.Err), errors.Is(e.Err, redis.ErrClosed):
		return err // the address is right
	case e.Class == engine.ClassNotExecuted:
		advice = "check the address, whether a Redis runs there, and whether it wants TLS"
	default:
		return err
	}
	return &engine.StorageError{Class: e.Class, Op: e.Op, Name: e.Name, Err: fmt.Errorf("%w: %s", e.Err, advice)}
}
