package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
)

// scriptLoader gives one script to one server: once, however many calls find it
// missing. A cluster's nodes are loaded each by itself, so that a node that is
// away does not hold up the calls to another. A load is not bounded by the timeout
// of the call that found the script missing, or a server that answers slowly would
// never have it.
type scriptLoader struct {
	script *scripts.Script
	server redis.Scripter
	loads  atomic.Int64 // that have ended

	mu      sync.Mutex
	running *scriptLoad // nil if none runs
	err     error       // of the last load
}

// scriptLoad is one load.
type scriptLoad struct {
	done chan struct{}
	err  error // set before done is closed
}

// joinLoad returns the running load. If none runs it starts one, which the caller must
// do and finish. If a load has ended after the first known ones, it returns nil
// and how it ended.
func (l *scriptLoader) joinLoad(known int64) (load *scriptLoad, starts bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Without this, a thousand calls that get NOSCRIPT one after the other would load the
	// script a thousand times.
	if l.loads.Load() != known {
		return nil, false, l.err
	}
	if l.running == nil {
		l.running = &scriptLoad{done: make(chan struct{})}
		starts = true
	}
	return l.running, starts, nil
}

// finishLoad ends the running load and releases the calls that wait for it.
func (l *scriptLoader) finishLoad(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	// Under the lock, and with err: a call that sees the new count finds its error.
	l.loads.Add(1)
	l.running.err = err
	close(l.running.done)
	l.running = nil
}

// loadScript returns when the script was loaded after the first known loads: it joins a
// load that runs, or starts one if none ended since the call sent its command. A load
// that succeeded is repeated on the other nodes of a cluster, so that the next call to
// one of them does not have to find the script missing first.
func (t *Transport) loadScript(l *scriptLoader, known int64) error {
	load, starts, err := l.joinLoad(known)
	if load == nil {
		return err
	}
	if !starts {
		<-load.done
		return load.err
	}
	var loadErr error
	err = t.waitOrLeave(context.Background(), time.Now().Add(t.connectLimit), func(ctx context.Context) {
		loadErr = l.server.ScriptLoad(ctx, l.script.Source).Err()
	})
	if err == nil {
		err = loadErr
	}
	l.finishLoad(err)
	if err == nil {
		t.cluster.spreadScript(l.script)
	}
	return err
}
