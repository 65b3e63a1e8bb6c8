package taskgroup_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker/storage/internal/taskgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every task that Spawn accepted runs once, however many come at the same time,
// and Stop waits for all of them.
func TestGroup_runsEachTaskOnce(t *testing.T) {
	var g taskgroup.Group
	var ran, accepted atomic.Int64
	var spawners sync.WaitGroup
	for range 8 {
		spawners.Add(1)
		go func() {
			defer spawners.Done()
			for range 500 {
				if g.Spawn(func() { ran.Add(1) }) {
					accepted.Add(1)
				}
			}
		}()
	}
	spawners.Wait()
	if !g.Stop(10 * time.Second) {
		t.Error("tasks still run")
	}
	if ran.Load() != 4_000 || accepted.Load() != 4_000 {
		t.Errorf("%d tasks were accepted and %d ran, want 4000", accepted.Load(), ran.Load())
	}
	if g.Spawn(func() {}) {
		t.Error("a task was accepted after Stop")
	}
}

// Stop waits for a task that Run runs in its caller's goroutine, and refuses others.
func TestGroup_run(t *testing.T) {
	var g taskgroup.Group
	started, end := make(chan struct{}), make(chan struct{})
	ran := make(chan bool)
	go func() { ran <- g.Run(func() { close(started); <-end }) }()
	<-started
	if g.Stop(time.Millisecond) {
		t.Error("Stop did not wait for the task")
	}
	close(end)
	if !<-ran {
		t.Error("the task was refused")
	}
	if !g.Stop(10 * time.Second) {
		t.Error("the task still runs")
	}
	if g.Run(func() {}) {
		t.Error("a task was accepted after Stop")
	}
}

// Stop while tasks are spawned and finish: each accepted task has run when it
// returns.
func TestGroup_stopUnderTraffic(t *testing.T) {
	for range 20 {
		var g taskgroup.Group
		var ran, accepted atomic.Int64
		var spawners sync.WaitGroup
		for range 4 {
			spawners.Add(1)
			go func() {
				defer spawners.Done()
				for g.Spawn(func() { ran.Add(1) }) {
					accepted.Add(1)
				}
			}()
		}
		time.Sleep(100 * time.Microsecond)
		if !g.Stop(10 * time.Second) {
			t.Fatal("tasks still run")
		}
		spawners.Wait()
		if ran.Load() != accepted.Load() {
			t.Fatalf("%d tasks were accepted and %d ran", accepted.Load(), ran.Load())
		}
	}
}

func TestGroup_stopHasALimit(t *testing.T) {
	var g taskgroup.Group
	goOn := make(chan struct{})
	g.Spawn(func() { <-goOn })
	if g.Stop(time.Millisecond) {
		t.Error("Stop reports that the task has ended")
	}
	close(goOn)
	if !g.Stop(10 * time.Second) {
		t.Error("Stop reports that the task runs")
	}
}

// A timer that retires goroutines at the same time as Stop does no harm.
func TestGroup_stopWhileRetiring(t *testing.T) {
	for range 20 {
		var g taskgroup.Group
		for range 8 {
			g.Spawn(func() {})
		}
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		if !g.Stop(10 * time.Second) {
			t.Fatal("tasks still run")
		}
	}
	time.Sleep(150 * time.Millisecond)
}
