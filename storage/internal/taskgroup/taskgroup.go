// Package taskgroup runs the goroutines of a storage, so that its Close can wait
// for them.
package taskgroup

import (
	"slices"
	"sync"
	"time"
)

// Group runs tasks in goroutines. Unlike a sync.WaitGroup it refuses new ones once
// it is stopped, and waiting for the others has a limit: a client that ignores its
// timeouts must not keep Close from returning. The zero value is ready. All methods
// are safe for concurrent use.
//
// A few goroutines that have finished a task wait a moment for another one. A new
// goroutine would have to grow its stack step by step to the depth that a Redis
// client needs, which costs more than everything else that a lone call pays for
// not running in its caller's goroutine.
//
// A parked worker belongs to the side that removes it from the list, under mu: Spawn,
// which then sends it one task; Stop, which closes its channel; or the worker itself,
// when its time is over. So a worker that leaves the list gets one task or the close,
// not both, and the send never blocks.
type Group struct {
	mu      sync.Mutex
	stopped bool
	running int           // tasks
	idle    chan struct{} // closed when running falls to 0; nil unless Stop waits
	parked  []*worker     // that wait for a task; the last one waits the shortest
}

const (
	// maxParked is enough for a lone call: the driver of a group and the client.
	maxParked = 4
	// parkTime is how long a goroutine waits for a task. A storage that is idle for
	// longer owns no goroutine.
	parkTime = 100 * time.Millisecond
)

// worker is a goroutine between two tasks.
type worker struct {
	tasks chan func() // closed by Stop
}

// Spawn runs f in a goroutine. After Stop it does nothing and returns false.
func (g *Group) Spawn(f func()) bool {
	g.mu.Lock()
	if g.stopped {
		g.mu.Unlock()
		return false
	}
	// Counted before the lock is released: a Stop that comes next waits for this task.
	g.running++
	var w *worker
	if n := len(g.parked); n > 0 {
		w, g.parked = g.parked[n-1], g.parked[:n-1]
	}
	g.mu.Unlock()
	if w != nil {
		w.tasks <- f // has room
	} else {
		go g.work(f)
	}
	return true
}

// work runs tasks until none comes.
func (g *Group) work(f func()) {
	w := &worker{tasks: make(chan func(), 1)}
	var timer *time.Timer
	inTask := true
	defer func() {
		if inTask { // it called runtime.Goexit
			g.endTask()
		}
	}()
	for f != nil {
		inTask = true
		f()
		inTask = false
		if !g.park(w) {
			return
		}
		if timer == nil {
			timer = time.NewTimer(parkTime)
			defer timer.Stop()
		} else {
			timer.Reset(parkTime)
		}
		select {
		case f = <-w.tasks:
		case <-timer.C:
			// The timer and a task may come at the same time. Whether the worker is still in the
			// list decides, not the order of the select.
			if g.unpark(w) {
				return
			}
			f = <-w.tasks // it was just given one
		}
	}
}

// park ends a task. It returns false if the goroutine is not to wait for another.
func (g *Group) park(w *worker) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	// In one hold of the lock with the parking: Stop either sees the worker parked, and ends
	// it, or the worker sees stopped.
	g.endTaskLocked()
	if g.stopped || len(g.parked) >= maxParked {
		return false
	}
	g.parked = append(g.parked, w)
	return true
}

// endTask ends the task of a goroutine that ends with it.
func (g *Group) endTask() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endTaskLocked()
}

func (g *Group) endTaskLocked() {
	g.running--
	if g.running == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// unpark returns false if the worker was given a task meanwhile, or stopped.
func (g *Group) unpark(w *worker) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.parked, w)
	if i < 0 {
		return false
	}
	g.parked = slices.Delete(g.parked, i, i+1)
	return true
}

// Stop lets no further task begin and waits for the running ones, for at most
// limit. It reports whether all of them have ended.
func (g *Group) Stop(limit time.Duration) bool {
	idle := g.stopSpawning()
	if idle == nil {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

// stopSpawning returns a channel that is closed when the last task ends, nil if
// none runs.
func (g *Group) stopSpawning() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	for _, w := range g.parked {
		close(w.tasks)
	}
	g.parked = nil
	if g.running == 0 {
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	return g.idle
}
