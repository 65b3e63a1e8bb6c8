package servers

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// busProxy is a proxy of the cluster bus of one node, and drops the data of some
// of the others: a node sends its pings and publishes on a connection that it opened
// itself, and names itself in each message.
type busProxy struct {
	t        testing.TB
	listener net.Listener
	upstream string

	mu      sync.Mutex
	dropped map[string]bool       // by the id of the sender
	links   map[net.Conn]net.Conn // open connections: from the sender, to the node
	torn    map[net.Conn]bool     // those that lost data
	closed  bool
	running sync.WaitGroup
}

// Where a message of the bus has the id of its sender, and how long that is.
const (
	busSenderAt     = 40
	busSenderLength = 40
)

// newBusProxy starts a proxy of the bus of a node; the test's end stops it.
func newBusProxy(t testing.TB, n *Node) *busProxy {
	t.Helper()
	_, port, _ := net.SplitHostPort(n.Direct())
	own, _ := strconv.Atoi(port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	mustSucceed(t, "listen for the bus of a cluster", err)
	p := &busProxy{
		t: t, listener: listener, upstream: net.JoinHostPort("127.0.0.1", strconv.Itoa(own+10000)),
		dropped: map[string]bool{}, links: map[net.Conn]net.Conn{}, torn: map[net.Conn]bool{},
	}
	p.running.Add(1)
	go p.accept()
	t.Cleanup(p.stop)
	return p
}

func (p *busProxy) port() string {
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return port
}

func (p *busProxy) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for from, to := range p.links {
		_, _ = from.Close(), to.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *busProxy) accept() {
	defer p.running.Done()
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.upstream)
		if err != nil { // the node is down
			_ = from.Close()
			continue
		}
		p.mu.Lock()
		if p.closed {
			_, _ = from.Close(), to.Close()
		}
		p.links[from] = to
		p.running.Add(1)
		p.mu.Unlock()
		go p.relay(from, to)
	}
}

// relay passes on what the sender sends and what the node answers, until either ends.
func (p *busProxy) relay(from, to net.Conn) {
	defer p.running.Done()
	defer p.end(from, to)
	head := make([]byte, busSenderAt+busSenderLength)
	if _, err := io.ReadFull(from, head); err != nil {
		return
	}
	sender := string(head[busSenderAt:])
	if p.drops(sender, from) {
		head = nil
	}
	if _, err := to.Write(head); err != nil {
		return
	}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		defer p.end(from, to)
		p.copyUnlessDropped(sender, from, from, to)
	}()
	p.copyUnlessDropped(sender, from, to, from)
	p.end(from, to)
	<-answers
}

// copyUnlessDropped copies the data of a link in one direction.
func (p *busProxy) copyUnlessDropped(sender string, link, to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.drops(sender, link) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drops reports whether the data of a sender is lost now. Then the rest of the
// connection makes no sense any more.
func (p *busProxy) drops(sender string, link net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped[sender] {
		p.torn[link] = true
	}
	return p.torn[link]
}

func (p *busProxy) end(from, to net.Conn) {
	_, _ = from.Close(), to.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, from)
	delete(p.torn, from)
}

// setDropped makes the data of a sender be lost, or ends that: connections that lost
// data are closed.
func (p *busProxy) setDropped(sender string, dropped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped[sender] = dropped
	if dropped {
		return
	}
	for link := range p.torn {
		_ = link.Close()
	}
}

// BusProxied puts a proxy in front of the bus of each node of a cluster, which CutBus
// needs.
func BusProxied() Option { return func(o *options) { o.busProxied = true } }

// announceBus makes the other nodes reach the bus of this one through its proxy.
func (n *Node) announceBus() {
	n.t.Helper()
	n.bus = newBusProxy(n.t, n)
	n.Do("config", "set", "cluster-announce-bus-port", n.bus.port())
}

// CutBus makes two nodes of a cluster lose what they send each other; all other nodes
// still reach both.
func (c *ClusterOf) CutBus(a, b *Node) { c.setBus(a, b, true) }

// HealBus ends a cut.
func (c *ClusterOf) HealBus(a, b *Node) { c.setBus(a, b, false) }

func (c *ClusterOf) setBus(a, b *Node, cut bool) {
	c.t.Helper()
	if a.bus == nil || b.bus == nil {
		c.t.Fatal("servers: CutBus needs a cluster started BusProxied")
	}
	for id, n := range c.ids {
		switch n {
		case a:
			b.bus.setDropped(id, cut)
		case b:
			a.bus.setDropped(id, cut)
		}
	}
}
