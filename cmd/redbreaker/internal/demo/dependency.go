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

// ticketHeader carries the replica's number and the ticket of its call, so that the
// dependency itself knows what admitted a call.
const ticketHeader = "Redbreaker-Demo-Ticket"

// visit is a call that reached the dependency.
type visit struct {
	stage   stage
	replica int
	ticket  redbreaker.Ticket
}

// dependency is an HTTP service on loopback that works or fails by its stage.
type dependency struct {
	url    string
	server *http.Server

	mu          sync.Mutex
	stage       stage
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

// ServeHTTP counts the call and answers after a delay. A request that no replica made
// is answered with 404.
func (d *dependency) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var v visit
	_, err := fmt.Sscanf(r.Header.Get(ticketHeader), "%d %d %d", &v.replica, &v.ticket.Epoch, &v.ticket.Lease)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if d.countVisit(v) == failing {
		pauseFor(r.Context(), failureTime)
		http.Error(w, "the dependency fails", http.StatusServiceUnavailable)
		return
	}
	pauseFor(r.Context(), answerTime)
}

// countVisit counts a call and returns the current stage.
func (d *dependency) countVisit(v visit) stage {
	d.mu.Lock()
	defer d.mu.Unlock()
	v.stage = d.stage
	d.visits[v]++
	return d.stage
}

// enterStage begins a stage.
func (d *dependency) enterStage(s stage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stage == s {
		return
	}
	d.stage = s
	if s == recovered {
		d.recoveredAt = time.Now()
	}
}

func (d *dependency) currentStage() stage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stage
}

// countedVisits returns the calls that have arrived, and the time of the recovery.
func (d *dependency) countedVisits() (visits map[visit]int, recoveredAt time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.visits), d.recoveredAt
}

func (d *dependency) stopServing() { _ = d.server.Close() }

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
