//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/internal/redistest"
)

// watchProcess is redbreaker watch as a process of its own.
type watchProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *os.File // the test's end of its pipe
	out    lockedBuffer
	errors lockedBuffer
	ended  chan error
}

// startWatch starts redbreaker watch on a server, and returns when it is ready. The test reads
// its output to the end, or only the first line.
func startWatch(t *testing.T, s server, readsAll bool) *watchProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &watchProcess{t: t, ended: make(chan error, 1)}
	p.cmd = exec.Command(self, "watch", "--redis", s.addr, "-n", s.namespace)
	p.cmd.Env = append(os.Environ(), envMain+"=1")
	p.cmd.Stderr = &p.errors
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, p.cmd.Stdout = read, write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		_ = read.Close()
	})
	if readsAll {
		go func() { _, _ = io.Copy(&p.out, read) }()
		awaitOutput(t, &p.out, "ready\n")
		return p
	}
	line := make([]byte, 100)
	n, err := read.Read(line)
	if err != nil || !strings.HasSuffix(string(line[:n]), "ready\n") {
		t.Fatalf("it begins with %q, %v", line[:n], err)
	}
	return p
}

// wait waits for the end of the process, and returns its error.
func (p *watchProcess) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(20 * time.Second):
		p.t.Fatal("it does not end within 20 s")
		return nil
	}
}

// An interrupt ends it with exit code 0, even while the server hangs.
func TestWatch_interrupted(t *testing.T) {
	for what, hangs := range map[string]bool{"server works": false, "server hangs": true} {
		t.Run(what, func(t *testing.T) {
			redis := redistest.Start(t)
			p := startWatch(t, server{redis.Addr(), "shop", redis.Client()}, true)
			if hangs {
				redis.Pause()
				defer redis.Resume()
			}
			if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if err := p.wait(); err != nil || p.errors.String() != "" {
				t.Errorf("it ends with %v: %s", err, p.errors.String())
			}
		})
	}
}

// When the reader of its pipe is gone, as in redbreaker watch | head -1, it ends, although
// nothing happens that it could print.
func TestWatch_readerGone(t *testing.T) {
	redis := redistest.Start(t)
	p := startWatch(t, server{redis.Addr(), "shop", redis.Client()}, false)
	_ = p.stdout.Close()
	if err := p.wait(); err != nil || p.errors.String() != "" {
		t.Errorf("it ends with %v: %s", err, p.errors.String())
	}
}

// What happens to the server and to the process while it watches is shown: transitions that
// nothing has any more are counted, the loss of all records is reported, and it connects again.
func TestWatch_troubles(t *testing.T) {
	redis := redistest.Start(t, "--appendonly", "yes")
	s := server{redis.Addr(), "shop", redis.Client()}
	s.must(t, "reset", "payments", "--create")
	p := startWatch(t, s, true)
	s.must(t, "trip", "payments", "--reason", "first")
	awaitOutput(t, &p.out, "payments: closed > open")

	// It is stopped and cut off for 40 transitions, of which the log has 16.
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := s.rdb.Do(ctx, "client", "kill", "type", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		s.must(t, "reset", "payments")
		s.must(t, "trip", "payments")
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, &p.out, "payments: 24 transitions missed, now open, mode auto\n")

	s.must(t, "reset", "payments", "--reason", "before the flush")
	awaitOutput(t, &p.out, "before the flush")
	if err := s.rdb.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	s.must(t, "trip", "payments", "--create", "--reason", "after the flush")
	awaitOutput(t, &p.out, "payments: some transitions missed, now open, mode auto\n")

	redis.Restart()
	for deadline := time.Now().Add(20 * time.Second); s.rdb.PubSubNumSub(ctx, "shop:events").Val()["shop:events"] == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not subscribe again after a restart of the server")
		}
	}
	s.must(t, "reset", "payments", "--reason", "after the restart")
	awaitOutput(t, &p.out, "after the restart")
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err != nil || p.errors.String() != "" {
		t.Errorf("it ends with %v: %s", err, p.errors.String())
	}
}
