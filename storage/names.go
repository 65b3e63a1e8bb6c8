package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

// Names implements [engine.Lister] by the namespace's index, which has 16 parts:
// on a cluster, a node that does not answer hides its parts only, and is waited for
// once. A breaker is in the index within a minute of its first use. Names writes
// nothing. It keeps the names that it has yielded, to yield each once.
func (r *Redis) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	return func(yield func(engine.Listed, error) bool) {
		l := listing{redis: r, now: r.serverNow(ctx), yielded: map[string]bool{}, silent: map[*transport.Node]error{}}
		for part := range cluster.IndexParts {
			err := l.scanPart(ctx, r.keys.IndexKey(part), yield)
			if errors.Is(err, errLoopEnded) {
				return
			}
			// A part that fails hides its own breakers only; the loop goes on with the next part
			// unless the caller is done.
			if err != nil && (!yield(engine.Listed{}, err) || ctx.Err() != nil || errors.Is(err, engine.ErrStopped)) {
				return
			}
		}
	}
}

// serverNow returns the server's time in ms. A user that may not ask for it sees
// what has expired by its own clock.
func (r *Redis) serverNow(ctx context.Context) float64 {
	now, err := r.transport.ServerTime(ctx, "list")
	if err != nil {
		now = time.Now()
	}
	return float64(now.UnixMilli())
}

// listing is one run of Names.
type listing struct {
	redis   *Redis
	now     float64
	yielded map[string]bool // a scan may return a member twice
	// silent are the servers that did not answer in time, with the error. Their other parts
	// are not asked for: a list would wait for one timeout after another, up to 16.
	silent map[*transport.Node]error
}

var errLoopEnded = errors.New("the caller's loop has ended")

// scanPart yields the breakers of one part.
func (l *listing) scanPart(ctx context.Context, key string, yield func(engine.Listed, error) bool) error {
	node := l.redis.transport.Node(key)
	if err := l.silent[node]; err != nil {
		return withIndexError(err, key)
	}
	// A scan returns each member that is there all the time at least once, in pages of
	// about a thousand, none of which holds the server up for long.
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		if l.redis.closed.Load() {
			return engine.ErrStopped
		}
		members, next, err := l.redis.transport.ScanSet(ctx, "list", key, cursor)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				l.silent[node] = err
			}
			return withIndexError(err, key)
		}
		for i := 0; i+1 < len(members); i += 2 {
			if found, ok := l.readMember(members[i], members[i+1]); ok && !yield(found, nil) {
				return errLoopEnded
			}
		}
		cursor = next
	}
	return nil
}

// readMember returns the breaker of a member. It returns false for one that was
// yielded before, whose time is over, or that is no name of this namespace: anyone
// may write to the index, and a listing must not end because of it.
func (l *listing) readMember(member, score string) (engine.Listed, bool) {
	ends, err := strconv.ParseFloat(score, 64)
	key := l.redis.keys.IndexedKey(member)
	if _, _, ok := l.redis.keys.IndexMember(key); !ok || err != nil || ends <= l.now || l.yielded[member] {
		return engine.Listed{}, false
	}
	l.yielded[member] = true
	// A long name is stored as its digest. Then the name is empty, and the key alone
	// identifies the breaker.
	name, _ := l.redis.keys.Name(key)
	return engine.Listed{Name: name, Key: key}, true
}

// withIndexError gives the error of a part of the index its class and its key, so
// that a reader knows which breakers are missing from the list.
func withIndexError(err error, key string) error {
	var e *engine.StorageError
	if !errors.As(err, &e) {
		return err
	}
	class, cause := e.Class, e.Err
	if redis.HasErrorPrefix(cause, "WRONGTYPE") {
		class, cause = engine.ClassForeign, fmt.Errorf("%w: %w", cause, engine.ErrForeignKey)
	}
	return &engine.StorageError{Class: class, Op: e.Op, Name: key, Err: cause}
}
