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
// which then sends it one task, or Stop and retireWorkers, which close its channel. So a
// worker that leaves the list gets one task or the close, not both, and the send never
// blocks.
//
// One timer retires the workers of all. A timer of each worker would be set for each
// task, which costs more than to hand the task over.
type Group struct {
	mu      sync.Mutex
	stopped bool
	running int           // tasks
	idle    chan struct{} // closed when running falls to 0; nil unless Stop waits
	parked  []*worker     // that wait for a task; the last one waits the shortest
	unused  int           // how many of parked, the first ones, had no task since the timer ran last
	retirer *time.Timer
	// retiring: the timer is set.
	retiring bool
}

const (
	// maxParked is enough for a lone call: the driver of a group and the client.
	maxParked = 4
	// parkTime is how long a goroutine waits for a task, at least; it waits at most twice
	// as long. A storage that is idle for longer owns no goroutine.
	parkTime = 50 * time.Millisecond
)

// worker is a goroutine between two tasks.
type worker struct {
	tasks chan func() // closed to end it
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
		g.unused = min(g.unused, n-1)
	}
	g.mu.Unlock()
	if w != nil {
		w.tasks <- f // has room
	} else {
		go g.work(f)
	}
	return true
}

// Run runs f in the caller's goroutine. After Stop it does nothing and returns false.
func (g *Group) Run(f func()) bool {
	g.mu.Lock()
	if g.stopped {
		g.mu.Unlock()
		return false
	}
	g.running++
	g.mu.Unlock()
	defer g.endTask() // even if f calls runtime.Goexit
	f()
	return true
}

// work runs tasks until none comes.
func (g *Group) work(f func()) {
	w := &worker{tasks: make(chan func(), 1)}
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
		f = <-w.tasks // nil if it is closed
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
	if len(g.parked) == 0 {
		g.startRetirerLocked()
	}
	g.parked = append(g.parked, w)
	return true
}

// startRetirerLocked sets the timer. It runs already if the list was empty for a moment.
func (g *Group) startRetirerLocked() {
	switch {
	case g.retirer == nil:
		g.retirer = time.AfterFunc(parkTime, g.retireWorkers)
	case !g.retiring:
		g.retirer.Reset(parkTime)
	}
	g.retiring = true
}

// retireWorkers ends the goroutines that had no task for parkTime.
func (g *Group) retireWorkers() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closeWorkersLocked(g.unused)
	g.unused = len(g.parked)
	g.retiring = len(g.parked) > 0
	if g.retiring {
		g.retirer.Reset(parkTime)
	}
}

// closeWorkersLocked ends the first n goroutines that wait.
func (g *Group) closeWorkersLocked(n int) {
	for _, w := range g.parked[:n] {
		close(w.tasks)
	}
	g.parked = slices.Delete(g.parked, 0, n)
	g.unused = max(0, g.unused-n)
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
	g.closeWorkersLocked(len(g.parked))
	if g.retirer != nil {
		g.retirer.Stop()
	}
	if g.running == 0 {
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	return g.idle
}
