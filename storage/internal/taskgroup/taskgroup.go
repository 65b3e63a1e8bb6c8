// Package taskgroup runs the goroutines of a storage, so that its Close can wait
// for them.
package taskgroup

import (
	"sync"
	"time"
)

// Group is a set of goroutines. Unlike a sync.WaitGroup it refuses new ones
// once it is stopped, and waiting for the others has a limit: a client that
// ignores its timeouts must not keep Close from returning. The zero value is
// ready. All methods are safe for concurrent use.
type Group struct {
	mu      sync.Mutex
	stopped bool
	running int
	idle    chan struct{} // closed when running falls to 0; nil unless Stop waits
}

// Spawn runs f in a goroutine. After Stop it does nothing and returns false.
func (g *Group) Spawn(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.running++
	go func() {
		defer g.finish()
		f()
	}()
	return true
}

func (g *Group) finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if g.running == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Stop lets no further goroutine begin and waits for the running ones, for at
// most limit. It reports whether all of them have ended.
func (g *Group) Stop(limit time.Duration) bool {
	idle := g.stopSpawning()
	if idle == nil {
		return true
	}
	select {
	case <-idle:
		return true
	case <-time.After(limit):
		return false
	}
}

// stopSpawning returns a channel that is closed when the last goroutine ends,
// nil if none runs.
func (g *Group) stopSpawning() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	if g.running == 0 {
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	return g.idle
}
