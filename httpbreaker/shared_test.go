package httpbreaker_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// The environment of the second process of TestTransport_shared.
const (
	sharedRedis  = "HTTPBREAKER_TEST_REDIS"
	sharedServer = "HTTPBREAKER_TEST_SERVER"
)

// TestTransport_shared: two processes share a circuit through Redis. A server whose
// streams break after the 200 opens it in both.
func TestTransport_shared(t *testing.T) {
	if addr := os.Getenv(sharedRedis); addr != "" {
		call := joinCircuit(t, addr, os.Getenv(sharedServer))
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(call())
		}
		return
	}
	var served atomic.Int32
	server := newServer(t, false, func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		fmt.Fprint(w, "data: a\n\n")
		flush(w)
		panic(http.ErrAbortHandler)
	})
	mini, _ := redistest.Mini(t)
	here := joinCircuit(t, mini.Addr(), server.URL)
	there := joinFromProcess(t, mini.Addr(), server.URL)
	for i, call := range []func() string{here, there, here, there} {
		if got := call(); got != "200 OK, broken" {
			t.Fatalf("call %d: %s", i+1, got)
		}
	}
	for i, call := range []func() string{here, there} {
		if got := call(); got != "rejected: open" {
			t.Errorf("process %d: %s", i+1, got)
		}
	}
	if served.Load() != 4 {
		t.Errorf("the server got %d requests, want 4", served.Load())
	}
}

// joinCircuit returns a call to the server that the shared circuit protects.
func joinCircuit(t *testing.T, redisAddr, url string) func() string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: redisAddr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { rdb.Close() })
	store, err := storage.NewRedis(rdb, storage.WithTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b, _ := newBreaker(t, redbreaker.Policy{ConsecutiveFailures: 4, OpenFor: time.Minute}, redbreaker.WithStorage(store))
	client := &http.Client{Transport: newTransport(t, httpbreaker.One(b), &http.Transport{}, httpbreaker.TransportConfig{})}
	t.Cleanup(client.CloseIdleConnections)
	return func() string {
		r, err := get(t, t.Context(), client, url)
		var rejected *redbreaker.RejectedError
		if errors.As(err, &rejected) {
			return "rejected: " + string(rejected.Reason)
		}
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		if _, err := io.ReadAll(r.Body); err != nil {
			return r.Status + ", broken"
		}
		return r.Status
	}
}

// joinFromProcess is joinCircuit in a process of its own, which makes a call for
// each line that it reads.
func joinFromProcess(t *testing.T, redisAddr, url string) func() string {
	t.Helper()
	process := exec.Command(os.Args[0], "-test.run=^TestTransport_shared$")
	process.Env = append(os.Environ(), sharedRedis+"="+redisAddr, sharedServer+"="+url)
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // which ends it
		_, _ = io.Copy(io.Discard, out)
		if err := process.Wait(); err != nil {
			t.Errorf("the second process: %v", err)
		}
	})
	lines := bufio.NewReader(out)
	return func() string {
		fmt.Fprintln(in, "call")
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Errorf("the second process: %v", err)
		}
		return strings.TrimSpace(line)
	}
}
