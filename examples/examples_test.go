// Package examples builds and runs the programs beside it.
package examples

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// programs are the examples, and what they print.
var programs = map[string]string{
	"quickstart": `
charged: <nil>`,
	"inprocess": `
call 1: gateway timeout
call 2: gateway timeout
call 3: gateway timeout
call 4: not made, the circuit is open
call 5: not made, the circuit is open
call 6: <nil>, the circuit is closed`,
	"redis": `
replica one saw 5 calls fail
replica two does not even try: the circuit is open
why: closed > open (consecutive)`,
	"httpclient": `
call 1: 503 Service Unavailable
call 2: 503 Service Unavailable
call 3: not sent, retry after 30s`,
	"keyed": `
call 1 to the host that is well: 200
call 1 to the host that is sick: 500
call 2 to the host that is well: 200
call 2 to the host that is sick: 500
call 3 to the host that is well: 200
call 3 to the host that is sick: not sent
1 circuit is open`,
	"fallback": `
Redis is up: <nil>
Redis is down: <nil>
hook: Redis does not answer
3 calls failed since, the next is rejected: true
hook: Redis is back
the circuit is closed`,
	"connectrpc": `
three answers: not_found and the circuit is closed
two failures: unavailable and the circuit is open
the next call: unavailable rejected is true`,
	"llm": `
prompt 1: small answers with 2 events
prompt 2: small answers with 2 events
prompt 3: small answers with 2 events
the limited model was asked 1 time`,
	"queue": `
a delivered
b failed
b failed
b delivered
c delivered
messages taken from the queue: 5, put back: 2`,
	"retry": `
hedged: found <nil>
outcomes of the two calls: success ignored
retried: true after 3 attempts of 10`,
	"database": `
two violated constraints: true and the circuit is closed
two failures: rejected is true and the circuit is open`,
	"redishook": `
three misses: true and the circuit is closed
two failures, then rejected: true without a dial: true`,
	"stream": `
before the stream: half_open
got first
while it runs: closed
got last
a stream that broke off: true failures in a row: 1`,
	"sqlite": `
one: 3 calls failed, the circuit is open
two: rejected, the circuit is open
two: the probe succeeded, the circuit is closed`,
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "./...").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	mains, err := filepath.Glob("*/main.go")
	if err != nil || len(mains) != len(programs) {
		t.Fatalf("%d programs in %q, %v; want %d", len(mains), mains, err, len(programs))
	}
	for name, want := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(dir, name))
			cmd.Env = append(cmd.Environ(), "REDIS_URL=")
			var complaints strings.Builder
			cmd.Stderr = &complaints
			out, err := cmd.Output()
			if diff := cmp.Diff(lines(want), lines(string(out))); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s%s", err, diff, &complaints)
			}
		})
	}
}

// lines puts what hooks print, in their own time, after the rest, without the
// numbers that differ from run to run.
func lines(text string) []string {
	var program, hooks []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), ";")
		if strings.HasPrefix(line, "hook: ") {
			hooks = append(hooks, line)
		} else {
			program = append(program, line)
		}
	}
	return append(program, hooks...)
}
