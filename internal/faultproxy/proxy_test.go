package faultproxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/internal/faultproxy"
)

func TestPass(t *testing.T) {
	c := dial(t, faultproxy.Start(t, newEcho(t).addr()))
	wantEcho(t, c, "hello")
	wantEcho(t, c, strings.Repeat("long", 100_000))
}

func TestRefuse(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr())
	addr := p.Addr()
	c := dial(t, p)
	wantEcho(t, c, "before")
	p.Set(faultproxy.Refuse())
	p.Set(faultproxy.Refuse())
	wantEnd(t, c)
	if c, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial while refused: %v, %v", c, err)
	}
	p.Set(faultproxy.Pass())
	wantEcho(t, dial(t, p), "after")
	if p.Addr() != addr {
		t.Errorf("the address moved from %s to %s", addr, p.Addr())
	}
}

func TestBlackhole_holdsRequests(t *testing.T) {
	e := newEcho(t)
	p := faultproxy.Start(t, e.addr())
	c := dial(t, p)
	p.Set(faultproxy.Blackhole())
	write(t, c, "hello")
	wantSilence(t, c)
	if n := e.received.Load(); n != 0 {
		t.Errorf("the server received %d bytes", n)
	}
	p.Set(faultproxy.Pass())
	wantRead(t, c, "hello")
}

func TestDropReplies_letsRequestsThrough(t *testing.T) {
	e := newEcho(t)
	p := faultproxy.Start(t, e.addr())
	c := dial(t, p)
	p.Set(faultproxy.DropReplies())
	write(t, c, "hello")
	for deadline := time.Now().Add(30 * time.Second); e.received.Load() < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the request did not reach the server")
		}
	}
	wantSilence(t, c)
	p.Set(faultproxy.Pass())
	wantRead(t, c, "hello")
}

func TestCutReply(t *testing.T) {
	for _, after := range []int{0, 1, 4} {
		p := faultproxy.Start(t, newEcho(t).addr())
		c, other := dial(t, p), dial(t, p)
		wantEcho(t, c, "before")
		p.Set(faultproxy.CutReply(after))
		write(t, c, "hello")
		got, _ := io.ReadAll(c)
		if want := "hello"[:after]; string(got) != want {
			t.Errorf("cut after %d: read %q, want %q", after, got, want)
		}
		wantEcho(t, other, "healed by itself")
	}
}

func TestCutReply_countsOverSeveralPieces(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr())
	c := dial(t, p)
	p.Set(faultproxy.CutReply(7))
	wantEcho(t, c, "hello")
	write(t, c, "world")
	if got, _ := io.ReadAll(c); string(got) != "wo" {
		t.Errorf("read %q, want the first 7 bytes of helloworld, so wo", got)
	}
}

func TestDelay(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr())
	c := dial(t, p)
	p.Set(faultproxy.Delay(10 * time.Millisecond))
	start := time.Now()
	wantEcho(t, c, "hello")
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("there and back took %v, want at least 20ms", took)
	}
}

func TestReset(t *testing.T) {
	p := faultproxy.Start(t, newEcho(t).addr())
	c := dial(t, p)
	wantEcho(t, c, "before")
	p.Reset()
	wantEnd(t, c)
	wantEcho(t, dial(t, p), "a new one")
}

func TestClose_whileHeld(t *testing.T) {
	for name, f := range map[string]faultproxy.Fault{
		"blackhole": faultproxy.Blackhole(), "delay": faultproxy.Delay(time.Hour),
	} {
		p := faultproxy.Start(t, newEcho(t).addr())
		c := dial(t, p)
		p.Set(f)
		write(t, c, name)
		time.Sleep(5 * time.Millisecond)
		p.Close() // goleak finds what does not end
		wantEnd(t, c)
	}
}

func TestServer_gone(t *testing.T) {
	e := newEcho(t)
	p := faultproxy.Start(t, e.addr())
	e.Close()
	wantEnd(t, dial(t, p))
}

func TestDial_withoutSockets(t *testing.T) {
	e := newEcho(t)
	p := faultproxy.New(func(context.Context) (net.Conn, error) { return net.Dial("tcp", e.addr()) })
	t.Cleanup(p.Close)
	ctx := context.Background()
	c, err := p.Dial(ctx, "tcp", "203.0.113.1:6379")
	if err != nil {
		t.Fatal(err)
	}
	wantEcho(t, c, "hello")

	p.Set(faultproxy.Refuse())
	wantEnd(t, c)
	if _, err := p.Dial(ctx, "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial while refused: %v", err)
	}

	p.Set(faultproxy.Blackhole())
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := p.Dial(short, "tcp", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial into a black hole: %v", err)
	}

	go func() {
		time.Sleep(time.Millisecond)
		p.Set(faultproxy.Pass())
	}()
	if c, err = p.Dial(ctx, "tcp", ""); err != nil {
		t.Fatal(err)
	}
	wantEcho(t, c, "hello again")

	p.Set(faultproxy.Blackhole())
	time.AfterFunc(time.Millisecond, p.Close)
	if _, err := p.Dial(ctx, "tcp", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial while the proxy closes: %v", err)
	}
}

// ---- helpers ----

// echo is a server that sends back what it receives.
type echo struct {
	net.Listener
	received atomic.Int64
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	t.Cleanup(func() { e.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, io.TeeReader(c, e))
			}()
		}
	}()
	return e
}

func (e *echo) addr() string { return e.Addr().String() }

// Write counts what the server received.
func (e *echo) Write(b []byte) (int, error) {
	e.received.Add(int64(len(b)))
	return len(b), nil
}

func dial(t *testing.T, p *faultproxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, []byte(want)) {
		t.Errorf("read %.20q, %v; want %.20q", got, err, want)
	}
}

func wantEcho(t *testing.T, c net.Conn, text string) {
	t.Helper()
	go func() { _, _ = c.Write([]byte(text)) }() // a long text fills every buffer in between
	wantRead(t, c, text)
}

// wantSilence waits briefly for data; it cannot prove that none follows.
func wantSilence(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	defer c.SetReadDeadline(time.Time{})
	var timeout net.Error
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read %d bytes, %v; want silence", n, err)
	}
}

func wantEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("read %d bytes, %v; want the connection's end", n, err)
	}
}
