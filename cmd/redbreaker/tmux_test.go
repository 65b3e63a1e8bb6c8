package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

// The environment variables of tests in a terminal.
const (
	envRequireTmux = "REDBREAKER_REQUIRE_TMUX" // 1: fail where a test would be skipped
	envMain        = "REDBREAKER_TEST_MAIN"    // 1: this test binary is the command
)

// pane is a terminal that runs the command.
type pane struct {
	t      *testing.T
	socket string
}

// startPane runs the command in a terminal of 140 by 20 characters.
func startPane(t *testing.T, args ...string) *pane {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv(envRequireTmux) == "1" {
			t.Fatalf("%s is set: no tmux on PATH", envRequireTmux)
		}
		t.Skip("skipped: no tmux on PATH")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tmux-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	p := &pane{t, filepath.Join(dir, "socket")}
	t.Cleanup(func() {
		_ = exec.Command("tmux", "-S", p.socket, "kill-server").Run()
		_ = os.RemoveAll(dir)
	})
	command := fmt.Sprintf("env %s=1 LC_ALL=C.UTF-8 %s %s; echo ended with $?; sleep 1000", envMain, self, strings.Join(args, " "))
	p.tmux("-f", "/dev/null", "new-session", "-d", "-x", "140", "-y", "20", command)
	return p
}

// tmux runs a command of tmux and returns its output.
func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-u", "-S", p.socket}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// await waits until the terminal shows a text.
func (p *pane) await(text string) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		shown := p.tmux("capture-pane", "-p", "-J") // with wrapped lines joined
		if strings.Contains(shown, text) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no %q in 30 s:\n%s", text, shown)
		}
	}
}

// press sends keys by their names in tmux.
func (p *pane) press(keys ...string) {
	p.t.Helper()
	p.tmux(append([]string{"send-keys"}, keys...)...)
}

// tmuxServer is a real server with three breakers.
func tmuxServer(t *testing.T) (server, []string) {
	t.Helper()
	s := server{redistest.Addr(t), redistest.Namespace(t), redistest.Client(t)}
	for _, name := range []string{"orders", "payments", "search"} {
		s.must(t, "reset", name, "--create")
	}
	return s, []string{"--redis", s.addr, "--namespace", s.namespace}
}

// A person finds an open circuit with top, opens it, forces it, and sees it change.
func TestTmux_top(t *testing.T) {
	s, at := tmuxServer(t)
	p := startPane(t, append([]string{"top", "--by", "ann"}, at...)...)
	p.await("3 breakers")
	s.must(t, "trip", "payments", "--for", "1h")
	p.await("payments  open ")
	p.press("/", "p", "a", "y", "Enter")
	p.await("1 breaker ")
	p.press("Enter")
	p.await(`"payments" has been open for `)
	p.await("It opened by a command of ")
	p.press("a")
	p.await("o force-open")
	p.press("o")
	p.await(`force-open "payments" for 10m0s? y: yes`)
	p.press("y")
	p.await("force-open: open > closed/forced_open")
	p.await(`"payments" is forced open by ann`)
	if got := s.inspect(t, "payments"); got.Mode != redbreaker.ModeForcedOpen || got.ModeFor == 0 || got.ModeBy != "ann" {
		t.Errorf("mode %v for %v by %q", got.Mode, got.ModeFor, got.ModeBy)
	}
	p.press("Escape")
	p.await("payments  closed  forced_open")
	p.tmux("resize-window", "-x", "60", "-y", "8")
	p.await("enter: open")
	p.press("q")
	p.await("ended with 0")
}

// A server that fails shows in the table, which continues when it is there again.
func TestTmux_topServerFails(t *testing.T) {
	real := redistest.Start(t)
	s := server{real.Addr(), "shop", real.Client()}
	s.must(t, "trip", "payments", "--create", "--for", "1h")
	p := startPane(t, "top", "--redis", s.addr, "--namespace", "shop", "--interval", "200ms")
	p.await("payments  open ")
	real.Kill()
	p.await("redbreaker: redis at " + s.addr)
	p.await("payments  open ") // the last reading
	real.Restart()
	s.must(t, "trip", "search", "--create", "--for", "1h")
	p.await("search  open ")
	p.press("C-c")
	p.await("ended with 0")
}

func TestTmux_listWatch(t *testing.T) {
	s, at := tmuxServer(t)
	p := startPane(t, append([]string{"ls", "--watch", "--interval", "200ms"}, at...)...)
	p.await("payments  closed")
	s.must(t, "trip", "payments")
	p.await("payments  open ")
	p.press("C-c")
	p.await("ended with 0")
}

// A command on a terminal asks first, and does nothing unless the answer is yes.
func TestTmux_confirmation(t *testing.T) {
	s, at := tmuxServer(t)
	for _, tt := range []struct {
		args, answer, end string
		state             redbreaker.State
	}{
		{"trip payments", "n", "ended with 4", redbreaker.StateClosed},
		{"trip payments", "y", "ended with 0", redbreaker.StateOpen},
		{"reset payments --yes", "", "ended with 0", redbreaker.StateClosed},
	} {
		p := startPane(t, append(strings.Fields(tt.args), at...)...)
		if tt.answer != "" {
			p.await("[y/N]")
			p.await("mode auto)")
			p.press(tt.answer, "Enter")
		}
		p.await(tt.end)
		if got := s.inspect(t, "payments").State; got != tt.state {
			t.Errorf("%s, answer %q: %v, want %v", tt.args, tt.answer, got, tt.state)
		}
	}
}
