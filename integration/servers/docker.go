package servers

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	tcredis "github.com/testcontainers/testcontainers-go/modules/redis"
	"github.com/testcontainers/testcontainers-go/wait"
)

// The step log of testcontainers adds nothing to the error of a failure.
func init() { tclog.SetDefault(silent{}) }

type silent struct{}

func (silent) Printf(string, ...any) {}

// boxed is a server in a container. It uses the host's network, so that servers and
// clients reach it at one address, which a restart keeps.
type boxed struct {
	t         testing.TB
	container testcontainers.Container
	engine    *testcontainers.DockerClient
	addr      string
}

// startContainer starts a server in a container with the defaults of redistest.Start,
// followed by args.
func startContainer(t testing.TB, image string, args []string, more ...testcontainers.ContainerCustomizer) machine {
	t.Helper()
	port := freePort(t)
	cmd := append([]string{
		serverProgram(image), "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no",
	}, args...)
	return runContainer(t, image, port, cmd, "Ready to accept connections", more...)
}

// copyFiles copies the files of a directory into the container.
func copyFiles(from, to string, names ...string) []testcontainers.ContainerCustomizer {
	var files []testcontainers.ContainerFile
	for _, name := range names {
		files = append(files, testcontainers.ContainerFile{HostFilePath: filepath.Join(from, name), ContainerFilePath: to + "/" + name, FileMode: 0o644})
	}
	return []testcontainers.ContainerCustomizer{testcontainers.WithFiles(files...)}
}

func startSentinelContainer(t testing.TB, image, config string) machine {
	t.Helper()
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	mustSucceed(t, "write the sentinel's configuration", os.WriteFile(file, []byte(config), 0o644))
	cmd := []string{serverProgram(image), "/sentinel.conf", "--sentinel", "--bind", "127.0.0.1", "--port", strconv.Itoa(port)}
	return runContainer(t, image, port, cmd, "Sentinel ID is", testcontainers.WithFiles(testcontainers.ContainerFile{
		HostFilePath: file, ContainerFilePath: "/sentinel.conf", FileMode: 0o666,
	}))
}

func runContainer(t testing.TB, image string, port int, cmd []string, ready string, more ...testcontainers.ContainerCustomizer) machine {
	t.Helper()
	ctx := context.Background()
	options := append([]testcontainers.ContainerCustomizer{
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.NetworkMode = "host" }),
		testcontainers.WithCmd(cmd...),
		testcontainers.WithWaitStrategy(wait.ForLog(ready).WithStartupTimeout(time.Minute)),
		testcontainers.CustomizeRequestOption(func(r *testcontainers.GenericContainerRequest) error {
			r.ExposedPorts = nil // the host's network has no ports to map
			return nil
		}),
	}, more...)
	c, err := tcredis.Run(ctx, image, options...)
	if c != nil && c.Container != nil {
		t.Cleanup(func() { _ = testcontainers.TerminateContainer(c.Container, testcontainers.StopTimeout(0)) })
	}
	if err != nil {
		t.Fatalf("servers: run %s: %v\n%s", image, err, containerLogs(c))
	}
	engine, err := testcontainers.NewDockerClientWithOpts(ctx)
	mustSucceed(t, "reach the Docker engine", err)
	t.Cleanup(func() { _ = engine.Close() })
	return &boxed{t: t, container: c.Container, engine: engine, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
}

// containerLogs returns the output of a container that failed.
func containerLogs(c *tcredis.RedisContainer) string {
	if c == nil || c.Container == nil {
		return ""
	}
	r, err := c.Logs(context.Background())
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	text, _ := io.ReadAll(io.LimitReader(r, 4096))
	return string(text)
}

func (b *boxed) Addr() string { return b.addr }

func (b *boxed) Kill() {
	b.t.Helper()
	_, err := b.engine.ContainerKill(context.Background(), b.container.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"})
	mustSucceed(b.t, "kill a container", err)
}

func (b *boxed) Stop() {
	b.t.Helper()
	grace := 10 * time.Second
	mustSucceed(b.t, "stop a container", b.container.Stop(context.Background(), &grace))
}

func (b *boxed) Restart() {
	b.t.Helper()
	if b.container.IsRunning() {
		b.Stop()
	}
	mustSucceed(b.t, "restart a container", b.container.Start(context.Background()))
	waitUntil(b.t, "the server answers again", time.Minute, func() bool { return doesAnswer(b.addr) })
}

func (b *boxed) Pause() {
	b.t.Helper()
	_, err := b.engine.ContainerPause(context.Background(), b.container.GetContainerID(), client.ContainerPauseOptions{})
	mustSucceed(b.t, "pause a container", err)
}

func (b *boxed) Resume() {
	b.t.Helper()
	_, err := b.engine.ContainerUnpause(context.Background(), b.container.GetContainerID(), client.ContainerUnpauseOptions{})
	mustSucceed(b.t, "resume a container", err)
}

// freePort returns a port on which nothing listens at the moment, nor 10000 above it,
// where a cluster node has its bus.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		mustSucceed(t, "find a free port", err)
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if port+10000 >= 1<<16 {
			continue
		}
		bus, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10000)))
		if err != nil {
			continue
		}
		_ = bus.Close()
		return port
	}
}

func mustSucceed(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("servers: %s: %v", what, err)
	}
}
