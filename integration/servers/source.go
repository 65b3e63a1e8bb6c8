package servers

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The environment that the package obeys.
const (
	envSource  = "REDBREAKER_SERVERS"
	envAddr    = "REDBREAKER_REDIS"
	envImage   = "REDBREAKER_REDIS_IMAGE"
	envRequire = "REDBREAKER_REQUIRE_REDIS"

	defaultImage = "redis:8"
)

// The sources of servers.
const (
	fromAddress = "address"
	fromDocker  = "docker"
	fromProcess = "process"
)

// machine is one server, however it runs. Its methods fail the test if they
// cannot do their work.
type machine interface {
	Addr() string
	Kill()    // at once, as a crash would
	Stop()    // in order
	Restart() // on the same address
	Pause()   // keeps its connections, answers nothing
	Resume()
}

// source returns where this test's servers come from, or skips it.
func source(t testing.TB) string {
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
	if image() == "" {
		return fromProcess // which skips where there is no program
	}
	return fromDocker
}

// UsesDocker tells whether servers come from Docker.
func UsesDocker(t testing.TB) bool {
	t.Helper()
	return source(t) == fromDocker
}

// image returns the image to run, or nothing if it is not at hand and cannot be
// had.
func image() string {
	name := os.Getenv(envImage)
	if name == "" {
		name = defaultImage
	}
	if hasImage(name) || pull(name) {
		return name
	}
	return ""
}

// hasImage asks the engine, by way of its command: without one there are no
// containers either.
func hasImage(name string) bool {
	return docker("image", "inspect", name) == nil
}

// pulled remembers what became of an image, since a pull that fails takes time.
var pulled = map[string]bool{}

func pull(name string) bool {
	if _, tried := pulled[name]; !tried {
		pulled[name] = docker("info") == nil && docker("pull", "-q", name) == nil
	}
	return pulled[name]
}

func docker(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return exec.CommandContext(ctx, "docker", args...).Run()
}

// Skip says what the test cannot do here; where servers are required that is a
// failure.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(envRequire) == "1" {
		t.Fatalf("servers: %s is set: %s", envRequire, reason)
	}
	t.Skip("servers: skipped: " + reason)
}

// program is the server's command in an image.
func program(image string) string {
	if strings.Contains(image, "valkey") {
		return "valkey-server"
	}
	return "redis-server"
}
