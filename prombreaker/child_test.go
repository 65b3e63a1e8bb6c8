package prombreaker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/prombreaker"
	"github.com/redbreaker/redbreaker/storage"
)

// envChild makes a child of this test binary; it holds a childConfig as JSON.
const envChild = "REDBREAKER_PROMBREAKER_TEST_CHILD"

type childConfig struct{ Addr, Namespace, Reporter string }

// sharedName is the breaker that the children share.
const sharedName = "shared"

// sharedPolicy opens the circuit for a short time, so that a test sees many periods.
var sharedPolicy = redbreaker.Policy{
	ConsecutiveFailures: 2, OpenFor: 50 * time.Millisecond, Window: redbreaker.Window{Calls: 100, FailureRate: 0.99, MinCalls: 100},
}

// child is a process with a breaker of the fleet and its metrics.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	addr string // of its metrics
}

func startChild(t *testing.T, c childConfig) *child {
	t.Helper()
	text, err := json.Marshal(c)
	must(t, err)
	p := &child{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), envChild+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.in, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewScanner(out)
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.in.Close() // the child ends with its input
		_ = p.cmd.Wait()
	})
	p.addr = p.readLine()
	return p
}

func (p *child) readLine() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("a child ended without an answer: %v", p.out.Err())
	}
	return p.out.Text()
}

// call makes the child call its dependency, which works or not. It returns admitted or
// rejected.
func (p *child) call(works bool) string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, works); err != nil {
		p.t.Fatal(err)
	}
	return p.readLine()
}

// beChild serves metrics, and calls its dependency for each line of its input.
func beChild(config string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	collector, err := prombreaker.New(prombreaker.WithNames(sharedName), prombreaker.WithDuration())
	if err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: c.Addr, DialTimeout: patience, ReadTimeout: patience})
	defer rdb.Close()
	store, err := storage.NewRedis(rdb, storage.WithNamespace(c.Namespace), storage.WithReporter(c.Reporter),
		storage.WithTimeout(patience), storage.WithStepObserver(collector.ObserveStep))
	if err != nil {
		return err
	}
	defer store.Close()
	b, err := redbreaker.New(sharedName, sharedPolicy, redbreaker.WithStorage(store), redbreaker.WithHooks(collector.Hooks()))
	if err != nil {
		return err
	}
	defer b.Stop()
	collector.ObserveBreakers(b)
	addr, err := serveMetrics(collector)
	if err != nil {
		return err
	}
	fmt.Println(addr)
	return callForEachLine(b)
}

func callForEachLine(b *redbreaker.Breaker) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		call := fail
		if lines.Text() == "true" {
			call = succeed
		}
		answer := "admitted"
		if err := b.Do(context.Background(), call); errors.Is(err, redbreaker.ErrRejected) {
			answer = "rejected"
		}
		fmt.Println(answer)
	}
	return lines.Err()
}

// serveMetrics serves collectors until the process ends, and returns the address.
func serveMetrics(all ...prometheus.Collector) (string, error) {
	r := prometheus.NewRegistry()
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return "", err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return l.Addr().String(), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newMetricsServer serves a collector until the test ends, and returns the address.
func newMetricsServer(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	r := prometheus.NewRegistry()
	must(t, r.Register(c))
	s := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
