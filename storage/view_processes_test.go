package storage_test

import (
	"bufio"
	"context"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// A process decides by a view, while it is stopped or starved and another one trips the
// circuit. Timers are late then, so successes read the clock: only a number of calls
// that does not depend on the length of the stop is admitted by the old view. Times of
// the two processes are compared by the clock of the host.

// lateCalls returns how many calls may pass after the end of a view: those of each
// stripe until one reads the clock, and one of each goroutine.
func lateCalls(processors, callers int) int {
	stripes := min(64, 1<<bits.Len(uint(4*processors-1)))
	return 64*stripes + callers
}

// rarelyOpens lets processes hold many successes, and opens only by a command.
var rarelyOpens = engine.Policy{Window: engine.Window{Period: 10 * time.Second, FailureRate: 0.9}, OpenFor: time.Hour}

// A process that was stopped, and resumes after its view has ended, admits nearly nothing
// by it.
func TestProcesses_resumedWithOldView(t *testing.T) {
	const d, callers, processors = 300 * time.Millisecond, 4, 2
	addr, ns := redistest.Addr(t), redistest.Namespace(t)
	c := startChild(t, role{Addr: addr, Namespace: ns, Reporter: "stopped", Policy: rarelyOpens, Staleness: d, Processors: processors})
	_, other := member(t, ns, rarelyOpens)
	for range 3 { // timers are not always late
		startCallers(t, c, callers)
		c.signal("STOP")
		command(t, other, engine.Command{Action: engine.ActionTrip})
		tripped := time.Now()
		time.Sleep(2 * d) // the view ends meanwhile, in real time, which no bubble has for a process
		c.signal("CONT")
		wantLate(t, c, tripped.Add(d), lateCalls(processors, callers))
		command(t, other, engine.Command{Action: engine.ActionReset})
		eventually(t, "an admission after the reset", func() bool { return c.ask("call 0") == "admitted" })
	}
}

// A process with one processor, on which goroutines compute and make garbage, rejects in
// time.
func TestProcesses_starvedWithView(t *testing.T) {
	const d, callers = 500 * time.Millisecond, 2
	addr, ns := redistest.Addr(t), redistest.Namespace(t)
	c := startChild(t, role{Addr: addr, Namespace: ns, Reporter: "starved", Policy: rarelyOpens, Staleness: d, Processors: 1})
	if got := c.ask("burden 4"); got != "ok" {
		t.Fatal(got)
	}
	startCallers(t, c, callers)
	_, other := member(t, ns, rarelyOpens)
	command(t, other, engine.Command{Action: engine.ActionTrip})
	wantLate(t, c, time.Now().Add(d), lateCalls(1, callers))
}

func startCallers(t *testing.T, c *child, n int) {
	t.Helper()
	if got := c.ask("start %d", n); got != "ok" {
		t.Fatal(got)
	}
}

// wantLate waits until the child rejects all callers, and counts the calls that it
// admitted after the end of its view.
func wantLate(t *testing.T, c *child, end time.Time, most int) {
	t.Helper()
	got := c.ask("late %d", end.UnixNano())
	n, err := strconv.Atoi(got)
	if err != nil {
		t.Fatal(got)
	}
	t.Logf("%d calls were admitted after the end of the view", n)
	if n > most {
		t.Errorf("%d calls were admitted after the end of the view, want at most %d", n, most)
	}
}

// ---- the child's side ----

// serveView serves a child that decides by a view.
func serveView(s *storage.Redis, r role) error {
	runtime.GOMAXPROCS(r.Processors)
	b, err := redbreaker.New(name, r.Policy, redbreaker.WithStorage(s), redbreaker.WithMaxStaleness(r.Staleness))
	if err != nil {
		return err
	}
	defer b.Stop()
	v := viewCaller{b: b}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		fmt.Println(v.do(verb, arg))
	}
	return nil
}

// viewCaller makes calls through a view from several goroutines, each until it is
// rejected.
type viewCaller struct {
	b        *redbreaker.Breaker
	calls    atomic.Int64
	rejected sync.WaitGroup
	callers  []*callTimes
}

// callTimes holds when the last calls of a goroutine came that were admitted.
type callTimes struct {
	n     int
	times [1 << 14]int64
}

func (v *viewCaller) do(verb, arg string) string {
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil {
		return err.Error()
	}
	switch verb {
	case "burden":
		for range n {
			go makeGarbage()
		}
		return "ok"
	case "call":
		return admission(v.b.Do(ctx, func(context.Context) error { return nil }))
	case "start":
		return v.start(int(n))
	case "late":
		return v.countLate(n)
	}
	return "unknown verb " + verb
}

// start starts callers, and returns once they have made many calls, so that the process may
// hold many outcomes.
func (v *viewCaller) start(n int) string {
	v.callers = nil
	v.calls.Store(0)
	for range n {
		times := &callTimes{}
		v.callers = append(v.callers, times)
		v.rejected.Add(1)
		go func() {
			defer v.rejected.Done()
			v.callUntilRejected(times)
		}()
	}
	for deadline := time.Now().Add(30 * time.Second); v.calls.Load() < 5000; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Sprintf("only %d calls in 30 s", v.calls.Load())
		}
	}
	return "ok"
}

func (v *viewCaller) callUntilRejected(times *callTimes) {
	for {
		came := time.Now().UnixNano()
		if err := v.b.Do(ctx, func(context.Context) error { return nil }); err != nil {
			return
		}
		times.times[times.n%len(times.times)] = came
		times.n++
		v.calls.Add(1)
	}
}

// countLate waits until all callers were rejected, and counts the calls that came after a
// time and were admitted.
func (v *viewCaller) countLate(end int64) string {
	done := make(chan struct{})
	go func() {
		v.rejected.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		return "calls are still admitted after 30 s"
	}
	late := 0
	for _, c := range v.callers {
		for _, came := range c.times[:min(c.n, len(c.times))] {
			if came > end {
				late++
			}
		}
	}
	return strconv.Itoa(late)
}

// makeGarbage computes and allocates until the process ends.
func makeGarbage() {
	var kept [64][]byte
	for i := 0; ; i++ {
		kept[i%len(kept)] = make([]byte, 1<<14)
		for j := range kept[i%len(kept)] {
			kept[i%len(kept)][j] = byte(i + j)
		}
	}
}
