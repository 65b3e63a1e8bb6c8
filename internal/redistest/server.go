package redistest

import (
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Server is a server of one test, which may kill, pause or configure it. Its methods
// fail the test if they cannot do their work; the test's end kills the server.
type Server struct {
	t     testing.TB
	p     *process
	admin func() *redis.Client
}

func newServer(t testing.TB, p *process) *Server {
	s := &Server{t: t, p: p}
	s.admin = sync.OnceValue(s.Client)
	t.Cleanup(s.Kill)
	return s
}

// Start starts a private server in its own process, whatever REDBREAKER_REDIS says.
// args are appended to the command line, as in Start(t, "--cluster-enabled", "yes"),
// and override the defaults: a free loopback port, nothing on disk, no password.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	p, err := startProcess(mustFindProgram(t), t.TempDir(), args...)
	if err != nil {
		t.Fatalf("redistest: start a server: %v", err)
	}
	return newServer(t, p)
}

// Addr returns the server's host and port, which a restart keeps.
func (s *Server) Addr() string { return s.p.addr() }

// Client returns a new client of the server, which is closed at the test's end: that
// of a process of its own.
func (s *Server) Client() *redis.Client { return newClient(s.t, s.Addr()) }

// Admin returns the client with which the test itself asks and configures the server.
// It is the same at each call, because a loop that waits for something asks many times:
// new clients would keep thousands of connections open until the test's end.
func (s *Server) Admin() *redis.Client { return s.admin() }

// Kill ends the server at once, as a crash would. It does nothing if the server does
// not run.
func (s *Server) Kill() {
	s.t.Helper()
	s.mustSucceed("kill", s.p.killProcess())
}

// Stop shuts the server down in order. It does nothing if the server does not run,
// and blocks while it is paused.
func (s *Server) Stop() {
	s.t.Helper()
	s.mustSucceed("stop", s.p.stopProcess())
}

// Restart stops the server if it runs, and starts it on the same port with the data
// that it kept on disk, by default none.
func (s *Server) Restart() {
	s.t.Helper()
	s.mustSucceed("stop", s.p.stopProcess())
	s.mustSucceed("restart", s.p.restartOnPort())
}

// Pause suspends the server: it keeps its connections, accepts new ones, and answers
// nothing until Resume.
func (s *Server) Pause() {
	s.t.Helper()
	s.mustSucceed("pause", s.p.sendSignal("STOP"))
}

// Resume ends a pause; the server then answers what it was sent.
func (s *Server) Resume() {
	s.t.Helper()
	s.mustSucceed("resume", s.p.sendSignal("CONT"))
}

func (s *Server) mustSucceed(verb string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("redistest: %s the server at %s: %v", verb, s.Addr(), err)
	}
}
