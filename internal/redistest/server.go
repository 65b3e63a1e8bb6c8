package redistest

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

// Server is a private server: what a test does to it harms no other. Its
// methods fail the test if they cannot do their work; the test's end kills it.
type Server struct {
	t testing.TB
	p *process
}

// Start starts a private server, always a process of its own. args are appended
// to the command line, as in Start(t, "--cluster-enabled", "yes"), and win over
// the defaults: a free loopback port, nothing kept on disk, no password.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	p, err := startProcess(program(t), t.TempDir(), args...)
	if err != nil {
		t.Fatalf("redistest: start a server: %v", err)
	}
	s := &Server{t: t, p: p}
	t.Cleanup(s.Kill)
	return s
}

// Addr returns the server's host and port, which outlast a restart.
func (s *Server) Addr() string { return s.p.addr() }

// Client returns a client of the server that is closed at the test's end.
func (s *Server) Client() *redis.Client { return client(s.t, s.Addr()) }

// Kill ends the server at once, as a crash would. It does nothing to one that
// does not run.
func (s *Server) Kill() {
	s.t.Helper()
	s.check("kill", s.p.kill())
}

// Stop lets the server shut down in order. It does nothing to one that does not
// run, and does not return for one that is paused.
func (s *Server) Stop() {
	s.t.Helper()
	s.check("stop", s.p.stop())
}

// Restart starts the server again, on the same port and with what it kept on
// disk, which by default is nothing. One that still runs is stopped before.
func (s *Server) Restart() {
	s.t.Helper()
	s.check("stop", s.p.stop())
	s.check("restart", s.p.restart())
}

// Pause stops the server in mid-air: it keeps its connections, takes new ones,
// and answers nothing until Resume.
func (s *Server) Pause() {
	s.t.Helper()
	s.check("pause", s.p.signal("STOP"))
}

// Resume lets a paused server go on; it then answers what it was sent.
func (s *Server) Resume() {
	s.t.Helper()
	s.check("resume", s.p.signal("CONT"))
}

func (s *Server) check(verb string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("redistest: %s the server at %s: %v", verb, s.Addr(), err)
	}
}
