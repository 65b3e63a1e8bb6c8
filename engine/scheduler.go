package engine

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"
)

// Schedules is a [Storage] that has a [Scheduler]. Local views, see
// [WithMaxStaleness], need it: over other storages the option has no effect.
//
// [WithMaxStaleness]: https://pkg.go.dev/github.com/redbreaker/redbreaker#WithMaxStaleness
type Schedules interface {
	// Scheduler returns the scheduler of the storage, always the same. The storage's
	// Close closes it before it refuses steps.
	Scheduler() *Scheduler
}

// maxWorkers is how many tasks of a scheduler run at once: enough to share the
// pipelines of a storage, and so few that the breakers of a large registry do not
// start a goroutine each.
const maxWorkers = 32

// Scheduler runs the work that the breakers of one storage have put off, such as
// sending outcomes. It has one timer for all of them. While no task is due it has no
// goroutine, and at most 32 tasks run at once, in the order in which they fell due.
// Make it with [NewScheduler]. All methods are safe for concurrent use.
type Scheduler struct {
	spawn   func(func()) bool
	timeout time.Duration
	start   time.Time
	closing atomic.Bool

	mu      sync.Mutex
	waiting taskHeap
	timer   *time.Timer   // nil until the first task waits
	armedNS int64         // when the timer fires; 0: it is not set
	firing  bool          // fireDue runs, and sets the timer when it ends
	first   *Task         // that wait for a worker, in order
	last    *Task         // the last one of them
	workers int           // that run
	idle    chan struct{} // closed when no worker runs; nil unless Close waits
	closed  bool
}

// NewScheduler returns a scheduler. Tasks run in goroutines that spawn starts; once
// spawn returns false, none runs any more. timeout is the longest that one step of the
// storage takes.
func NewScheduler(spawn func(func()) bool, timeout time.Duration) *Scheduler {
	return &Scheduler{spawn: spawn, timeout: timeout, start: time.Now()}
}

// Timeout returns the longest that one step of the storage takes.
func (s *Scheduler) Timeout() time.Duration { return s.timeout }

// IsClosing reports whether Close was called: owners send what they hold, and begin
// nothing that needs the scheduler later.
func (s *Scheduler) IsClosing() bool { return s.closing.Load() }

// Task is the place of one breaker in a [Scheduler]. It must not be copied.
type Task struct {
	owner Scheduled
	dueNS int64 // when it is due; 0: it does not wait
	index int   // in the heap
	next  *Task // in the queue
	// queued is set from Enqueue until a worker takes the task.
	queued bool
}

// Scheduled is the owner of a [Task].
type Scheduled interface {
	// Due is called when the task is due, and when the scheduler closes. It must be
	// quick: what does I/O belongs into Run, see [Scheduler.Enqueue].
	Due()
	// Run does the work, in a goroutine of its own.
	Run()
	// Drop is called in place of Run if the scheduler was closed before.
	Drop()
}

// Init sets the owner. It must be called once, before anything else.
func (t *Task) Init(owner Scheduled) { t.owner = owner }

// Schedule makes the task due after a time, whatever time it had before. While the
// scheduler closes it is queued at once.
func (s *Scheduler) Schedule(t *Task, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		s.enqueueLocked(t)
		return
	}
	due := max(1, s.nowNS()+int64(after))
	if t.dueNS == 0 {
		t.dueNS = due
		heap.Push(&s.waiting, t)
	} else {
		t.dueNS = due
		heap.Fix(&s.waiting, t.index)
	}
	s.setTimerLocked()
}

// Cancel makes the task not due. It does not take it out of the queue of work.
func (s *Scheduler) Cancel(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.dueNS != 0 {
		heap.Remove(&s.waiting, t.index)
		t.dueNS = 0
		s.setTimerLocked()
	}
}

// Enqueue makes a worker run the task behind those that were queued before it. A task
// that is queued already is not queued again. It returns false if no worker can run it,
// because the scheduler or the storage is closed.
func (s *Scheduler) Enqueue(t *Task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enqueueLocked(t)
}

func (s *Scheduler) enqueueLocked(t *Task) bool {
	if t.queued || s.closed {
		return t.queued
	}
	if s.workers < maxWorkers && s.spawn(s.runQueued) {
		s.workers++ // it waits for the lock
	}
	if s.workers == 0 {
		return false
	}
	t.queued, t.next = true, nil
	if s.last == nil {
		s.first = t
	} else {
		s.last.next = t
	}
	s.last = t
	return true
}

// runQueued is a worker: it runs tasks until none is queued.
func (s *Scheduler) runQueued() {
	for t := s.takeQueued(); t != nil; t = s.takeQueued() {
		t.owner.Run()
	}
}

// takeQueued returns the next task; nil ends the worker.
func (s *Scheduler) takeQueued() *Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.first
	if t == nil {
		s.workers--
		s.wakeCloseLocked()
		return nil
	}
	if s.first = t.next; s.first == nil {
		s.last = nil
	}
	t.queued, t.next = false, nil
	return t
}

// setTimerLocked sets the timer to the earliest task. A timer set to the past would
// fire again and again; so fireDue takes the tasks that are due, however many, and
// sets it when it has finished.
func (s *Scheduler) setTimerLocked() {
	due := int64(0)
	if len(s.waiting) > 0 {
		due = s.waiting[0].dueNS
	}
	if s.firing || due == s.armedNS {
		return
	}
	s.armedNS = due
	switch {
	case due == 0:
		s.timer.Stop()
	case s.timer == nil:
		s.timer = time.AfterFunc(time.Duration(due-s.nowNS()), s.fireDue)
	default:
		s.timer.Reset(time.Duration(due - s.nowNS()))
	}
}

// fireDue calls the owners of the tasks that are due, in their order.
func (s *Scheduler) fireDue() {
	s.mu.Lock()
	if s.firing { // a timer that was reset while it fired
		s.mu.Unlock()
		return
	}
	s.firing, s.armedNS = true, 0
	for t := s.takeDueLocked(); t != nil; t = s.takeDueLocked() {
		s.mu.Unlock()
		t.owner.Due()
		s.mu.Lock()
	}
	s.firing = false
	s.setTimerLocked()
	s.mu.Unlock()
}

func (s *Scheduler) takeDueLocked() *Task {
	if len(s.waiting) == 0 || s.waiting[0].dueNS > s.nowNS() {
		return nil
	}
	t := heap.Pop(&s.waiting).(*Task)
	t.dueNS = 0
	return t
}

// Close calls Due of all tasks that wait and runs what they queue, for at most the
// timeout. Tasks that are still queued then are dropped. Later calls do nothing. It returns
// false if time ran out.
func (s *Scheduler) Close() bool {
	s.closing.Store(true)
	for _, t := range s.takeWaiting() {
		t.owner.Due()
	}
	inTime := s.waitUntilIdle()
	for t := s.takeDropped(); t != nil; {
		next := t.next
		t.owner.Drop()
		t = next
	}
	return inTime
}

// takeWaiting returns the tasks that wait, which then are not due any more.
func (s *Scheduler) takeWaiting() []*Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := s.waiting
	s.waiting = nil
	for _, t := range tasks {
		t.dueNS = 0
	}
	s.setTimerLocked()
	return tasks
}

// takeDropped closes the scheduler and returns the first of the tasks that were queued.
// None of them counts as queued any more, so that Enqueue returns false for them too.
func (s *Scheduler) takeDropped() *Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.first
	s.closed, s.first, s.last = true, nil, nil
	for t := first; t != nil; t = t.next {
		t.queued = false
	}
	return first
}

// waitUntilIdle waits until no worker runs, for at most the timeout.
func (s *Scheduler) waitUntilIdle() bool {
	s.mu.Lock()
	if s.workers == 0 {
		s.mu.Unlock()
		return true
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	limit := time.NewTimer(s.timeout)
	defer limit.Stop()
	select {
	case <-idle:
		return true
	case <-limit.C:
		return false
	}
}

func (s *Scheduler) wakeCloseLocked() {
	if s.workers == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

func (s *Scheduler) nowNS() int64 { return int64(time.Since(s.start)) }

// taskHeap orders tasks by their due times.
type taskHeap []*Task

// Len implements heap.Interface.
func (h taskHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h taskHeap) Less(i, j int) bool { return h[i].dueNS < h[j].dueNS }

// Swap implements heap.Interface.
func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *taskHeap) Push(x any) {
	t := x.(*Task)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *taskHeap) Pop() any {
	old := *h
	n := len(old) - 1
	t := old[n]
	old[n] = nil
	*h = old[:n]
	return t
}
