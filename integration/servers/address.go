package servers

import (
	"os"
	"testing"
)

// foreign is a server that this package did not start and must not kill.
type foreign struct {
	t    testing.TB
	addr string
}

func atAddress(t testing.TB) machine {
	t.Helper()
	addr := os.Getenv(envAddr)
	if addr == "" {
		t.Fatalf("servers: %s=address needs %s", envSource, envAddr)
	}
	return foreign{t, addr}
}

func (f foreign) Addr() string { return f.addr }
func (f foreign) Kill()        { f.failUnsupported("kill") }
func (f foreign) Stop()        { f.failUnsupported("stop") }
func (f foreign) Restart()     { f.failUnsupported("restart") }
func (f foreign) Pause()       { f.failUnsupported("pause") }
func (f foreign) Resume()      { f.failUnsupported("resume") }

func (f foreign) failUnsupported(verb string) {
	f.t.Helper()
	Skip(f.t, "the server at "+f.addr+" is not ours to "+verb)
}
