package transport

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
)

// scriptLoader gives one script to one server: once, however many calls find it
// missing. A cluster's nodes are loaded each by itself, so that a node that is
// away does not hold up the calls to another.
type scriptLoader struct {
	script *scripts.Script
	server redis.Scripter
	loads  atomic.Int64 // that have ended

	mu   sync.Mutex
	done chan struct{} // closed when the running load ends; nil if none runs
	err  error         // of the last load
}

// load returns when the script was loaded after the first known loads: it joins a
// load that runs, or starts one if none ended since the caller sent its command.
func (l *scriptLoader) load(ctx context.Context, known int64) error {
	l.mu.Lock()
	if l.loads.Load() != known {
		defer l.mu.Unlock()
		return l.err
	}
	done := l.done
	if done == nil {
		l.done = make(chan struct{})
		l.mu.Unlock()
		return l.finish(l.server.ScriptLoad(ctx, l.script.Source).Err())
	}
	l.mu.Unlock()
	select {
	case <-done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish releases the callers that wait for the load.
func (l *scriptLoader) finish(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	l.loads.Add(1)
	close(l.done)
	l.done = nil
	return err
}
