package bench

import (
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// perProcess is the number of goroutines of each process.
const perProcess = 64

// BenchmarkProcesses measures one breaker that a fleet shares, by the number of its
// processes, with 64 goroutines in each; one call in 101 fails. An operation is a
// call of any process. It fails unless the record equals the sum of their counts.
func BenchmarkProcesses(b *testing.B) {
	s := startRedis(b)
	counts := []int{1, 2, 4, 8}
	if testing.Short() {
		counts = []int{1, 8}
	}
	for _, n := range counts {
		b.Run(fmt.Sprintf("processes=%d", n), func(b *testing.B) { s.fleet(b, n) })
	}
}

func (s *site) fleet(b *testing.B, n int) {
	calls := max(b.N, 2*perProcess*n)
	r := role{Addr: redistest.Addr(b), Namespace: redistest.Namespace(b)}
	children := make([]*child, n)
	for i := range children {
		r.Calls = (calls + i) / n
		children[i] = startChild(b, r)
	}
	for _, c := range children {
		c.receive(b, new(struct{ Ready bool }))
	}
	before := s.work(b)
	b.ResetTimer()
	for _, c := range children {
		must(b, c.in.Close()) // starts its calls
	}
	var sum results
	for _, c := range children {
		var d results
		c.receive(b, &d)
		sum = results{sum.Calls + d.Calls, sum.Failed + d.Failed, sum.Decisions + d.Decisions}
	}
	b.StopTimer()
	done := s.work(b).since(before)
	var took []time.Duration
	for _, c := range children {
		var list []time.Duration
		c.receive(b, &list)
		took = append(took, list...)
	}
	s.report(b, calls, sum.Decisions, took, done)
	s.compare(b, r, sum)
}

// compare fails unless the record counted the results that were sent.
func (s *site) compare(b *testing.B, r role, sent results) {
	b.Helper()
	store, err := storage.NewRedis(s.client, storage.WithNamespace(r.Namespace), storage.WithTimeout(ample))
	must(b, err)
	defer store.Close()
	got, err := store.Inspect(ctx, fleetName)
	must(b, err)
	if got.State != redbreaker.StateClosed || got.Calls != sent.Calls || got.Failures != sent.Failed {
		b.Fatalf("%+v, and the record holds %d calls, %d of them failures: %v", sent, got.Calls, got.Failures, got.Log)
	}
}

const fleetName = "payments"

// envRole holds the role of a child process as JSON; set, it makes this test binary
// a child.
const envRole = "REDBREAKER_BENCH_ROLE"

// role configures a child. The child makes its calls when its input ends.
type role struct {
	Addr, Namespace string
	Calls           int
}

// results counts the calls of a child.
type results struct{ Calls, Failed, Decisions int64 }

// child is a process of a fleet.
type child struct {
	in  io.Closer
	out *gob.Decoder
}

func startChild(b *testing.B, r role) *child {
	b.Helper()
	text, err := json.Marshal(r)
	must(b, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill() // usually it has ended
		_ = cmd.Wait()
	})
	return &child{in, gob.NewDecoder(out)}
}

// receive decodes the child's next message into message.
func (c *child) receive(b *testing.B, message any) {
	b.Helper()
	if err := c.out.Decode(message); err != nil {
		b.Fatalf("a process ended without an answer: %v", err)
	}
}

// ---- the child's side ----

func TestMain(m *testing.M) {
	text := os.Getenv(envRole)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := beChild(text); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

func beChild(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	client := connect(r.Addr)
	defer client.Close()
	store, err := storage.NewRedis(client, storage.WithNamespace(r.Namespace), storage.WithTimeout(ample))
	if err != nil {
		return err
	}
	defer store.Close()
	breaker, err := redbreaker.New(fleetName, counted, redbreaker.WithStorage(store), redbreaker.WithFallback(redbreaker.FallbackDeny))
	if err != nil {
		return err
	}
	defer breaker.Stop()
	// This also makes the connections.
	if err := spread(perProcess, func(int) error { return touch(breaker) }); err != nil {
		return err
	}
	call := onceIn(101)
	release := gather(perProcess, r.Calls, 1, func(c *caller, i int) error {
		return c.count(breaker.Do(ctx, call(i+7*c.number)))
	})
	out := gob.NewEncoder(os.Stdout)
	if err := out.Encode(struct{ Ready bool }{true}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return sendResults(out, release())
}

// sendResults sends the counts, and then how long each call took.
func sendResults(out *gob.Encoder, callers []*caller) error {
	var sum tally
	var took []time.Duration
	for _, c := range callers {
		if c.err != nil {
			return c.err
		}
		sum.add(c.tally)
		took = append(took, c.took...)
	}
	if err := out.Encode(results{sum.calls(), sum.failed, sum.decisions}); err != nil {
		return err
	}
	return out.Encode(took)
}
