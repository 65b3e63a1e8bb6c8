package faultproxy

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// link is one client's connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	done           chan struct{}
	forgotten      atomic.Bool // see Proxy.Forget
}

// piece is data read at a time and not yet delivered.
type piece struct {
	data []byte
	at   time.Time
}

// inflight is the most pieces that may be in flight in one direction.
const inflight = 1024

// relay copies data from one side to the other until either ends.
func (l *link) relay(from, to net.Conn, replies bool) {
	defer l.proxy.running.Done()
	defer l.end()
	pieces := make(chan piece, inflight)
	go l.read(from, pieces)
	for p := range pieces {
		if !l.deliver(to, p, replies) {
			return
		}
	}
}

// read reads while earlier pieces are still in flight, so that a delay adds latency
// and does not limit throughput.
func (l *link) read(from net.Conn, pieces chan<- piece) {
	defer l.proxy.running.Done()
	defer close(pieces)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			select {
			case pieces <- piece{slices.Clone(buf[:n]), time.Now()}:
			case <-l.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// deliver writes one piece of data as the current fault allows. It returns false
// when the connection has ended.
func (l *link) deliver(to net.Conn, p piece, replies bool) bool {
	data := p.data
	for {
		f, changed := l.proxy.currentFault()
		switch {
		case f.refuse, !replies && l.forgotten.Load():
			return false
		case replies && f.holdReplies, !replies && f.holdRequests:
			select {
			case <-changed:
				continue
			case <-l.done:
				return false
			}
		case replies && f.cut:
			if len(data) > f.after {
				if !l.proxy.healFault(f) {
					continue
				}
				_, _ = to.Write(data[:f.after])
				return false
			}
			l.proxy.countReplyBytes(f, len(data))
		case f.delay > 0:
			select {
			case <-time.After(time.Until(p.at.Add(f.delay))):
			case <-l.done:
				return false
			}
		}
		_, err := to.Write(data)
		return err == nil
	}
}

// end closes both sides; the client sees a reset, as after a crash.
func (l *link) end() {
	l.once.Do(func() {
		close(l.done)
		if tcp, ok := l.client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset instead of an orderly end
		}
		l.client.Close()
		l.server.Close()
		l.proxy.mu.Lock()
		delete(l.proxy.links, l)
		l.proxy.mu.Unlock()
	})
}
