package faultproxy

import (
	"net"
	"slices"
	"sync"
	"time"
)

// link is one client's connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	done           chan struct{}
}

// piece is data on its way, since at.
type piece struct {
	data []byte
	at   time.Time
}

// inflight is how many pieces may be on their way in one direction.
const inflight = 1024

// relay passes on what comes from one side to the other, until either ends.
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

// read takes in what comes while other pieces are still on their way: a delay
// makes a connection long, not narrow.
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

// deliver passes one piece of data on as the fault has it. It returns false when
// the connection is over.
func (l *link) deliver(to net.Conn, p piece, replies bool) bool {
	data := p.data
	for {
		f, changed := l.proxy.current()
		switch {
		case f.refuse:
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
				if !l.proxy.heal(f) {
					continue
				}
				_, _ = to.Write(data[:f.after])
				return false
			}
			l.proxy.spend(f, len(data))
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

// end closes both sides, the client's as a crash would.
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
