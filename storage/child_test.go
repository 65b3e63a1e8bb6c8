package storage_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage"
)

// envRole makes a child of this test binary: it holds a role as JSON.
const envRole = "REDBREAKER_STORAGE_TEST_ROLE"

// role configures a child process.
type role struct {
	Addr, Namespace, Reporter string
	Policy                    engine.Policy
	Watches                   bool

	// Staleness above 0 makes a child that decides by a view, on so many processors.
	Staleness  time.Duration
	Processors int
}

// child is a process of its own with a breaker of the fleet, which does what it
// is asked to, a line each.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	ends sync.Once
}

// startChildren returns n processes that share a breaker.
func startChildren(t *testing.T, n int, addr, namespace string, p engine.Policy) []*child {
	t.Helper()
	children := make([]*child, n)
	for i := range children {
		children[i] = startChild(t, role{Addr: addr, Namespace: namespace, Reporter: fmt.Sprintf("web-%d", i), Policy: p})
	}
	return children
}

// startWatchingChild returns a process that watches the breaker.
func startWatchingChild(t *testing.T, addr, namespace string, p engine.Policy) *child {
	t.Helper()
	return startChild(t, role{Addr: addr, Namespace: namespace, Reporter: "watcher", Policy: p, Watches: true})
}

func startChild(t *testing.T, r role) *child {
	t.Helper()
	text, err := json.Marshal(r)
	must(t, err)
	c := &child{t: t, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), envRole+"="+string(text))
	c.cmd.Stderr = os.Stderr
	c.in, err = c.cmd.StdinPipe()
	must(t, err)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	c.out = bufio.NewScanner(out)
	must(t, c.cmd.Start())
	t.Cleanup(c.kill)
	return c
}

// signal sends STOP or CONT to the child.
func (c *child) signal(name string) {
	c.t.Helper()
	if out, err := exec.Command("kill", "-s", name, strconv.Itoa(c.cmd.Process.Pid)).CombinedOutput(); err != nil {
		c.t.Fatalf("kill -s %s: %v: %s", name, err, out)
	}
}

// tell asks the child for something; answer returns what came of it.
func (c *child) tell(what string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, what+"\n", args...); err != nil {
		c.t.Fatalf("send %q to a child: %v", what, err)
	}
}

func (c *child) answer() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("a child ended without an answer: %v", c.out.Err())
	}
	return c.out.Text()
}

func (c *child) ask(what string, args ...any) string {
	c.t.Helper()
	c.tell(what, args...)
	return c.answer()
}

// kill ends the child as a crash would: nothing of it gets to say goodbye.
func (c *child) kill() {
	c.ends.Do(func() {
		_ = c.cmd.Process.Kill()
		_ = c.in.Close()
		_ = c.cmd.Wait() // says only that a signal ended it
	})
}

// ---- the child's side ----

// beChild is the child's main function.
func beChild(text string) int {
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

func serve(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	const ample = time.Minute // a busy machine fails no test
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr, PoolTimeout: ample, ReadTimeout: ample})
	defer rdb.Close()
	opts := []storage.Option{storage.WithNamespace(r.Namespace), storage.WithReporter(r.Reporter), storage.WithTimeout(ample)}
	if r.Watches {
		opts = append(opts, storage.WithWatch())
	}
	s, err := storage.NewRedis(rdb, opts...)
	if err != nil {
		return err
	}
	defer s.Close()
	if r.Staleness > 0 {
		return serveView(s, r)
	}
	var c caller
	if c.h, err = s.Bind(name, r.Policy, c.events.add); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		fmt.Println(c.do(verb, arg))
	}
	return nil
}

// caller is a process that makes calls, one of which it may hold on to.
type caller struct {
	h      engine.Handle
	held   engine.Ticket
	events events
}

func (c *caller) do(verb, arg string) string {
	switch verb {
	case "call": // and leave the outcome open
		var err error
		c.held, err = c.h.Acquire(ctx)
		return admission(err)
	case "fail", "succeed": // the call that is held
		o := engine.Success
		if verb == "fail" {
			o = engine.Failure
		}
		stale, err := c.h.Report(ctx, c.held, o, 0, nil)
		return fmt.Sprintf("stale %v, %v", stale, err)
	case "patient": // waits out the open period
		return admission(c.patient())
	case "herd": // many of these at once
		return c.herd(arg)
	case "witness": // what it knows of the breaker
		return c.witness()
	case "fails": // so many goroutines, so many calls each
		return c.fails(arg)
	}
	return "unknown verb " + verb
}

// admission describes the result of an admission in a word or two.
func admission(err error) string {
	var rejected *engine.RejectedError
	if errors.As(err, &rejected) {
		return "rejected: " + string(rejected.Reason)
	}
	if err != nil {
		return err.Error()
	}
	return "admitted"
}

// patient calls again when an open period is said to be over.
func (c *caller) patient() error {
	var err error
	for range maxRejections {
		_, err = c.h.Acquire(ctx)
		var rejected *engine.RejectedError
		if !errors.As(err, &rejected) || rejected.Reason != engine.ReasonOpen {
			return err
		}
		time.Sleep(rejected.RetryAfter())
	}
	return err
}

// witness describes what the process knows of the breaker.
func (c *caller) witness() string {
	list := c.events.transitions()
	w := witness{Delivered: int64(len(list)), State: "unknown", Goroutines: runtime.NumGoroutine()}
	w.Missed, w.Unknown = c.events.missed()
	w.Unordered = !slices.IsSortedFunc(list, func(a, b engine.Transition) int { return cmp.Compare(a.Epoch, b.Epoch) })
	if s := c.h.Status(); s.Age >= 0 {
		w.State = s.State.String()
	}
	text, err := json.Marshal(w)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// herd counts what came of n patient callers.
func (c *caller) herd(n string) string {
	var count int
	if _, err := fmt.Sscan(n, &count); err != nil {
		return err.Error()
	}
	results := make(chan string, count)
	for range count {
		go func() { results <- admission(c.patient()) }()
	}
	tally := map[string]int{}
	for range count {
		tally[<-results]++
	}
	text, err := json.Marshal(tally)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// fails makes calls that fail, and returns how many failures were counted.
func (c *caller) fails(arg string) string {
	var goroutines, each int
	if _, err := fmt.Sscan(arg, &goroutines, &each); err != nil {
		return err.Error()
	}
	var counted atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for range each {
				ticket, err := c.h.Acquire(ctx)
				if err != nil {
					continue
				}
				if stale, err := c.h.Report(ctx, ticket, engine.Failure, 0, nil); !stale && err == nil {
					counted.Add(1)
				}
			}
		}()
	}
	all.Wait()
	return fmt.Sprint(counted.Load())
}
