package integration_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/integration/servers"
)

// The demo runs on a cluster, and its breaker survives the death of its master.
func TestDemo_cluster(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	program := filepath.Join(t.TempDir(), "redbreaker")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./cmd/redbreaker")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addrs := c.Addrs()
	url := "redis://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr=")
	demo := exec.Command(program, "demo", "--redis", url, "--rate", "20", "--healthy", "3s", "--failing", "10s", "--recovered", "8s")
	var out bytes.Buffer
	demo.Stdout, demo.Stderr = &out, &out
	master := c.MasterOf(cluster.Slot("redbreaker-demo:{dependency}"))
	check(t, demo.Start())
	time.Sleep(5 * time.Second)
	master.Kill()
	err := demo.Wait()
	t.Logf("the demo ended with %v\n%s", err, &out)
	for _, want := range []string{"redis answers again", "> closed     recovered", "How the dependency was spared"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in what the demo printed", want)
		}
	}
}
