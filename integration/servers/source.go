package servers

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// The environment variables that the package reads.
const (
	envSource  = "REDBREAKER_SERVERS"
	envAddr    = "REDBREAKER_REDIS"
	envImage   = "REDBREAKER_REDIS_IMAGE"
	envRequire = "REDBREAKER_REQUIRE_REDIS"

	defaultImage = "redis:8"
)

// The values of REDBREAKER_SERVERS.
const (
	fromAddress = "address"
	fromDocker  = "docker"
	fromProcess = "process"
)

// machine is one server, in whatever way it runs. Its methods fail the test if they
// cannot do their work.
type machine interface {
	Addr() string
	Kill()    // at once, as a crash would
	Stop()    // in order
	Restart() // on the same address
	Pause()   // keeps its connections, answers nothing
	Resume()
}

// serverSource returns the source of the test's servers, or skips the test.
func serverSource(t testing.TB) string {
	t.Helper()
	switch s := os.Getenv(envSource); s {
	case fromAddress, fromDocker, fromProcess:
		return s
	case "":
	default:
		t.Fatalf("servers: %s=%q, use address, docker or process", envSource, s)
	}
	if os.Getenv(envAddr) != "" {
		return fromAddress
	}
	if availableImage() == "" {
		return fromProcess // skips the test without a program
	}
	return fromDocker
}

// UsesDocker reports whether the servers run in Docker.
func UsesDocker(t testing.TB) bool {
	t.Helper()
	return serverSource(t) == fromDocker
}

// availableImage returns the image to run, or "" if it is neither present nor can be pulled.
func availableImage() string {
	name := os.Getenv(envImage)
	if name == "" {
		name = defaultImage
	}
	if hasImage(name) || pullImage(name) {
		return name
	}
	return ""
}

// hasImage reports whether the Docker engine has the image. It uses the docker command,
// which a machine with an engine has.
func hasImage(name string) bool {
	return runDocker("image", "inspect", name) == nil
}

// pulled caches the result of each pull, since a pull that fails takes long.
var (
	pulledMu sync.Mutex
	pulled   = map[string]bool{}
)

func pullImage(name string) bool {
	pulledMu.Lock()
	defer pulledMu.Unlock()
	if _, tried := pulled[name]; !tried {
		pulled[name] = runDocker("info") == nil && runDocker("pull", "-q", name) == nil
	}
	return pulled[name]
}

func runDocker(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return exec.CommandContext(ctx, "docker", args...).Run()
}

// Skip skips the test for the reason, or fails it if servers are required.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(envRequire) == "1" {
		t.Fatalf("servers: %s is set: %s", envRequire, reason)
	}
	t.Skip("servers: skipped: " + reason)
}

// serverProgram returns the server's command in an image.
func serverProgram(image string) string {
	if strings.Contains(image, "valkey") {
		return "valkey-server"
	}
	return "redis-server"
}
