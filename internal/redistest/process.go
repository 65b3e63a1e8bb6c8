package redistest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTime bounds the start of a server, which takes some 20 ms.
const startTime = 20 * time.Second

// process is a redis-server that this package started.
type process struct {
	program, dir string
	args         []string
	port         int

	cmd      *exec.Cmd
	lifeline *os.File // when it closes, the script below kills the server
	output   *os.File // reaches its end when the server exits
}

// script executes the server named by its second argument, after it has started a
// watcher that reads standard input. A line there means that the server was stopped
// in order; the end of the input means that the test binary is gone, and the watcher
// kills the server and removes its directory, the first argument.
const script = `
dir=$1
shift
exec 3<&0 </dev/null
(trap '' HUP INT TERM; read -r _ <&3 || { kill -9 $$; rm -rf -- "$dir"; }) >/dev/null 2>&1 &
exec "$@" 3<&-
`

var errPortTaken = errors.New("the port is taken")

// startProcess starts a server on a free loopback port that keeps its files in
// dir and nothing on disk. args, appended to its command line, may change that.
func startProcess(program, dir string, args ...string) (*process, error) {
	p := &process{program: program, dir: dir, args: args}
	return p, whilePortTaken(func() (err error) {
		if p.port, err = freePort(); err != nil {
			return err
		}
		return p.startOnPort()
	})
}

// restartOnPort starts the server again, on the port that it had.
func (p *process) restartOnPort() error { return whilePortTaken(p.startOnPort) }

// whilePortTaken repeats start while it returns errPortTaken: another process may
// take the port between its choice and the server's start, or while a server is down.
func whilePortTaken(start func() error) error {
	for deadline := time.Now().Add(startTime); ; {
		if err := start(); !errors.Is(err, errPortTaken) || time.Now().After(deadline) {
			return err
		}
	}
}

// freePort returns a port on which nothing listens at the moment. A cluster node
// also listens on the port 10000 above, which must be valid too.
func freePort() (int, error) {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, err
		}
		if port+10000 < 1<<16 {
			return port, nil
		}
	}
}

// addr returns the host and port of the server.
func (p *process) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// logFile returns the path of the server's log.
func (p *process) logFile() string { return filepath.Join(p.dir, "redis.log") }

// startOnPort starts the server on its port, and returns when it accepts connections.
func (p *process) startOnPort() error {
	if err := os.Remove(p.logFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	input, lifeline, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	output, theirs, err := os.Pipe()
	if err != nil {
		lifeline.Close()
		return err
	}
	defer theirs.Close()

	p.lifeline, p.output = lifeline, output
	p.cmd = exec.Command("sh", append([]string{
		"-c", script, "sh", p.dir, p.program,
		"--bind", "127.0.0.1", "--port", strconv.Itoa(p.port),
		"--dir", p.dir, "--logfile", p.logFile(),
		"--save", "", "--appendonly", "no",
	}, p.args...)...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = input, theirs, theirs
	if err := p.cmd.Start(); err != nil {
		p.closeFiles()
		return err
	}
	theirs.Close() // or output would never end
	if err := p.awaitReady(); err != nil {
		return errors.Join(err, p.killProcess())
	}
	return nil
}

// awaitReady waits until the server's log says that it accepts connections. A PING
// could be answered by another server on the same port.
func (p *process) awaitReady() error {
	var complaint []byte
	for deadline := time.Now().Add(startTime); ; {
		text, exited := p.pollOutput(5 * time.Millisecond)
		complaint = append(complaint, text...)
		log, err := os.ReadFile(p.logFile())
		switch {
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		case strings.Contains(string(log), "Address already in use"):
			return errPortTaken
		case exited:
			return fmt.Errorf("%s has exited:\n%s%s", p.program, complaint, log)
		case strings.Contains(string(log), "Ready to accept connections"), strings.Contains(string(log), "Sentinel ID is"):
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s is not ready after %v:\n%s%s", p.program, startTime, complaint, log)
		}
	}
}

// pollOutput returns what the server wrote and whether it has exited, after wait at
// the latest. It detects the exit without a goroutine.
func (p *process) pollOutput(wait time.Duration) (text []byte, exited bool) {
	buf := make([]byte, 4096)
	if err := p.output.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return []byte(err.Error()), true
	}
	n, err := p.output.Read(buf)
	return buf[:n], errors.Is(err, io.EOF)
}

// isRunning reports whether the server was started and not yet stopped.
func (p *process) isRunning() bool { return p.lifeline != nil }

// killProcess ends the server at once, as a crash would.
func (p *process) killProcess() error {
	return p.endWith(p.cmd.Process.Kill)
}

// stopProcess shuts the server down in order.
func (p *process) stopProcess() error {
	return p.endWith(func() error { return p.cmd.Process.Signal(syscall.SIGTERM) })
}

// endWith calls signal, which ends the server, and waits for the exit.
func (p *process) endWith(signal func() error) error {
	if !p.isRunning() {
		return nil
	}
	err := signal()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	_ = p.cmd.Wait() // the error says only that a signal ended it
	// After this line the watcher does nothing. Before it, the watcher could kill
	// only our own process, whose number stays reserved until Wait.
	_, _ = p.lifeline.WriteString("done\n")
	p.closeFiles()
	return err
}

// closeFiles closes the files that startOnPort opened.
func (p *process) closeFiles() {
	p.lifeline.Close()
	p.output.Close()
	p.lifeline, p.output = nil, nil
}

// sendSignal sends the named signal to the running server. The shell's kill knows STOP
// and CONT on systems where package syscall does not.
func (p *process) sendSignal(name string) error {
	out, err := exec.Command("sh", "-c", `kill -s "$1" "$2"`, "sh", name, strconv.Itoa(p.cmd.Process.Pid)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("kill -s %s: %w: %s", name, err, out)
	}
	return nil
}
