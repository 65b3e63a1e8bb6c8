package demo

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker"
)

// How long the dependency takes to answer.
const (
	answerTime  = 8 * time.Millisecond
	failureTime = 25 * time.Millisecond
)

// ticketHeader carries the replica's number and the ticket of its call, so that
// the dependency itself can tell by what right a call came.
const ticketHeader = "Redbreaker-Demo-Ticket"

// visit is a call that reached the dependency.
type visit struct {
	phase   phase
	replica int
	ticket  redbreaker.Ticket
}

// dependency is an HTTP service on loopback that answers as its phase says.
type dependency struct {
	url    string
	server *http.Server

	mu          sync.Mutex
	phase       phase
	recoveredAt time.Time // zero: not yet
	visits      map[visit]int
}

func startDependency() (*dependency, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the dependency: %w", err)
	}
	d := &dependency{url: "http://" + l.Addr().String(), visits: map[visit]int{}}
	d.server = &http.Server{
		Handler:           d,
		ReadHeaderTimeout: callTimeout,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go func() { _ = d.server.Serve(l) }()
	return d, nil
}

// ServeHTTP counts the call, takes its time and answers. What does not come
// from a replica is not found.
func (d *dependency) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var v visit
	_, err := fmt.Sscanf(r.Header.Get(ticketHeader), "%d %d %d", &v.replica, &v.ticket.Epoch, &v.ticket.Lease)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if d.count(v) == failing {
		pause(r.Context(), failureTime)
		http.Error(w, "the dependency fails", http.StatusServiceUnavailable)
		return
	}
	pause(r.Context(), answerTime)
}

func (d *dependency) count(v visit) phase {
	d.mu.Lock()
	defer d.mu.Unlock()
	v.phase = d.phase
	d.visits[v]++
	return d.phase
}

// enter begins a phase.
func (d *dependency) enter(p phase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase == p {
		return
	}
	d.phase = p
	if p == recovered {
		d.recoveredAt = time.Now()
	}
}

func (d *dependency) now() phase {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.phase
}

// seen is what has reached it so far, and when it recovered.
func (d *dependency) seen() (visits map[visit]int, recoveredAt time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.visits), d.recoveredAt
}

func (d *dependency) close() { _ = d.server.Close() }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
