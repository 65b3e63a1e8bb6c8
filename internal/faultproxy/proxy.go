package faultproxy

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
)

// Proxy forwards connections to a server, subject to the current fault. All of its
// methods may be called concurrently.
type Proxy struct {
	upstream func(context.Context) (net.Conn, error)
	addr     string // empty for a proxy made by New

	mu       sync.Mutex
	fault    Fault
	changed  chan struct{} // closed when fault changes
	listener net.Listener  // nil while connections are refused
	links    map[*link]bool
	closed   bool
	done     chan struct{} // closed with the proxy
	running  sync.WaitGroup
}

// New returns a proxy to the server that dial connects to. It does not listen:
// clients connect through Dial. The caller closes it.
func New(dial func(context.Context) (net.Conn, error)) *Proxy {
	return &Proxy{upstream: dial, changed: make(chan struct{}), done: make(chan struct{}), links: map[*link]bool{}}
}

// Start returns a proxy to the server at addr that listens on a free loopback
// port, until the test's end.
func Start(t testing.TB, addr string) *Proxy {
	t.Helper()
	p := New(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	})
	if err := p.listen("127.0.0.1:0"); err != nil {
		t.Fatalf("faultproxy: listen: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// Addr returns the address on which the proxy listens. It stays the same while
// connections are refused and afterwards.
func (p *Proxy) Addr() string { return p.addr }

// Set changes the fault, for open connections too. It panics if another process
// took the port while connections were refused.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	p.setFaultLocked(f)
	listener := p.listener
	if f.refuse {
		p.listener = nil
	}
	p.mu.Unlock()
	switch {
	case f.refuse:
		if listener != nil {
			listener.Close()
		}
		p.Reset()
	case p.addr != "" && listener == nil:
		if err := p.listen(p.addr); err != nil {
			panic(err)
		}
	}
}

// setFaultLocked changes the fault. The caller holds mu.
func (p *Proxy) setFaultLocked(f Fault) {
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
}

// Reset ends all open connections.
func (p *Proxy) Reset() {
	p.mu.Lock()
	links := p.links
	p.links = map[*link]bool{}
	p.mu.Unlock()
	for l := range links {
		l.end()
	}
}

// Forget makes each open connection be reset when its client sends something, as a
// balancer does that has forgotten an idle connection. Until then it looks alive.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.forgotten.Store(true)
	}
}

// Close ends the proxy and its connections, and waits for its goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.done)
	}
	listener := p.listener
	p.mu.Unlock()
	if listener != nil {
		listener.Close()
	}
	p.Reset()
	p.running.Wait()
}

// Dial connects to the server through the proxy and ignores the address. It has
// the type of a Redis client's Dialer.
func (p *Proxy) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	for {
		f, changed := p.currentFault()
		switch {
		case f.refuse:
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		case f.holdRequests:
			select {
			case <-changed:
				continue
			case <-p.done:
				return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
			case <-ctx.Done():
				return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
			}
		}
		client, inner := net.Pipe()
		p.connect(ctx, inner)
		return client, nil
	}
}

func (p *Proxy) listen(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener, p.addr = listener, listener.Addr().String()
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.connect(context.Background(), client)
		}
	}()
	return nil
}

// currentFault returns the fault and a channel that is closed when it changes.
func (p *Proxy) currentFault() (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

// connect dials the server and links the client's connection to it.
func (p *Proxy) connect(ctx context.Context, client net.Conn) {
	server, err := p.upstream(ctx)
	if err != nil {
		client.Close()
		return
	}
	l := &link{proxy: p, client: client, server: server, done: make(chan struct{})}
	p.mu.Lock()
	refused := p.closed || p.fault.refuse
	if !refused {
		p.links[l] = true
		p.running.Add(4) // two that read and two that deliver
	}
	p.mu.Unlock()
	if refused {
		l.end()
		return
	}
	go l.relay(client, server, false)
	go l.relay(server, client, true)
}

// healFault ends the fault if it is still f, and reports whether it was.
func (p *Proxy) healFault(f Fault) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != f {
		return false
	}
	p.setFaultLocked(Pass())
	return true
}

// countReplyBytes counts n bytes of replies that passed before the cut.
func (p *Proxy) countReplyBytes(f Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == f {
		p.fault.after -= n
	}
}
