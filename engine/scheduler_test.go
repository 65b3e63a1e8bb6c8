package engine_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// job is the owner of a task.
type job struct {
	engine.Task
	due, run func()
	drops    atomic.Int32
}

func newJob(due, run func()) *job {
	j := &job{due: due, run: run}
	j.Init(j)
	return j
}

func (j *job) Due()  { j.due() }
func (j *job) Run()  { j.run() }
func (j *job) Drop() { j.drops.Add(1) }

func spawn(f func()) bool {
	go f()
	return true
}

func nothing() {}

// receive waits for a value. The long timeout only ends a test that fails.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// withinUnit runs schedule with longer and longer units of time until it takes less than
// one of them, so that nothing is due meanwhile, however busy the machine is.
func withinUnit(t *testing.T, schedule func(unit time.Duration)) {
	t.Helper()
	for unit := 20 * time.Millisecond; unit < time.Minute; unit *= 2 {
		start := time.Now()
		if schedule(unit); time.Since(start) < unit {
			return
		}
	}
	t.Fatal("the tasks could not be scheduled within half a minute")
}

func TestScheduler_inOrder(t *testing.T) {
	var order chan int
	withinUnit(t, func(unit time.Duration) {
		s, due := engine.NewScheduler(spawn, time.Second), make(chan int, 3)
		jobs := make([]*job, 3)
		for i := range jobs {
			jobs[i] = newJob(func() { due <- i }, nothing)
		}
		s.Schedule(&jobs[0].Task, 3*unit)
		s.Schedule(&jobs[1].Task, time.Hour)
		s.Schedule(&jobs[2].Task, 2*unit)
		s.Schedule(&jobs[1].Task, unit) // earlier than it was
		order = due
	})
	got := []int{receive(t, order), receive(t, order), receive(t, order)}
	if !slices.Equal(got, []int{1, 2, 0}) {
		t.Errorf("due in the order %v, want 1 2 0", got)
	}
}

func TestScheduler_cancel(t *testing.T) {
	var order chan int
	withinUnit(t, func(unit time.Duration) {
		s, due := engine.NewScheduler(spawn, time.Second), make(chan int, 2)
		first, second := newJob(func() { due <- 1 }, nothing), newJob(func() { due <- 2 }, nothing)
		s.Schedule(&first.Task, unit)
		s.Schedule(&second.Task, 2*unit)
		s.Cancel(&first.Task)
		s.Cancel(&first.Task)
		order = due
	})
	if got := receive(t, order); got != 2 {
		t.Errorf("task %d was due, though it was canceled", got)
	}
}

// At most 32 tasks run at once, in the order in which they were queued.
func TestScheduler_workers(t *testing.T) {
	s := engine.NewScheduler(spawn, time.Minute)
	var running, most, done atomic.Int32
	begun, release := make(chan struct{}, 100), make(chan struct{})
	jobs := make([]*job, 100)
	for i := range jobs {
		jobs[i] = newJob(nothing, func() {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			begun <- struct{}{}
			<-release
			running.Add(-1)
			done.Add(1)
		})
		first, again := s.Enqueue(&jobs[i].Task), s.Enqueue(&jobs[i].Task)
		if !first || !again {
			t.Fatal("the task was refused")
		}
	}
	for range 32 {
		receive(t, begun)
	}
	if most.Load() != 32 {
		t.Errorf("%d tasks at once, want 32", most.Load())
	}
	close(release)
	if !s.Close() {
		t.Error("Close ran out of time")
	}
	if done.Load() != 100 || most.Load() != 32 {
		t.Errorf("%d tasks ran, at most %d at once; want 100, 32", done.Load(), most.Load())
	}
}

// Close makes all tasks due and runs them if they ask for it.
func TestScheduler_close(t *testing.T) {
	s := engine.NewScheduler(spawn, 20*time.Second)
	var runs atomic.Int32
	var waiting *job
	waiting = newJob(func() { s.Enqueue(&waiting.Task) }, func() { runs.Add(1) })
	s.Schedule(&waiting.Task, time.Hour)
	if !s.Close() || runs.Load() != 1 {
		t.Errorf("the task ran %d times, want once", runs.Load())
	}
	if s.Enqueue(&waiting.Task) || !s.IsClosing() {
		t.Error("a closed scheduler accepts a task")
	}
	s.Schedule(&waiting.Task, 0)
	if !s.Close() || runs.Load() != 1 {
		t.Error("a second Close ran the task again")
	}
}

func TestScheduler_closeInTime(t *testing.T) {
	s := engine.NewScheduler(spawn, 10*time.Millisecond)
	begun, release := make(chan struct{}, 40), make(chan struct{})
	jobs := make([]*job, 40)
	var all sync.WaitGroup
	for i := range jobs {
		all.Add(1)
		jobs[i] = newJob(nothing, func() { defer all.Done(); begun <- struct{}{}; <-release })
		s.Enqueue(&jobs[i].Task)
	}
	for range 32 {
		receive(t, begun)
	}
	if s.Close() {
		t.Error("Close reports that all tasks have ended")
	}
	dropped := int32(0)
	for _, j := range jobs {
		if n := j.drops.Load(); n > 0 {
			dropped += n
			all.Done()
		}
	}
	if dropped != 8 {
		t.Errorf("%d tasks were dropped, want the 8 that waited for a worker", dropped)
	}
	close(release)
	all.Wait()
}

func TestScheduler_noGoroutines(t *testing.T) {
	s := engine.NewScheduler(func(func()) bool { return false }, time.Second)
	j := newJob(nothing, nothing)
	if s.Enqueue(&j.Task) {
		t.Error("the task was accepted, though nothing can run it")
	}
	if !s.Close() {
		t.Error("Close waited for a worker that never began")
	}
}

// A task that was dropped is not queued: its owner must not wait for a worker.
func TestScheduler_droppedIsNotQueued(t *testing.T) {
	s, blocked := engine.NewScheduler(spawn, time.Millisecond), make(chan struct{})
	jobs := make([]*job, 40) // some more than there are workers
	for i := range jobs {
		jobs[i] = newJob(nothing, func() { <-blocked })
		s.Enqueue(&jobs[i].Task)
	}
	s.Close()
	close(blocked)
	drops := 0
	for _, j := range jobs {
		drops += int(j.drops.Load())
		if s.Enqueue(&j.Task) {
			t.Error("a task was queued after Close")
		}
	}
	if drops == 0 {
		t.Error("no task was dropped")
	}
}
