package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
)

// The summary explains each call that reached the failing dependency, and ends with
// the verdict.
func TestWriteSummary(t *testing.T) {
	var out bytes.Buffer
	c := longDemo(&out, 0, 0)
	e := sound()
	writeSummary(&out, c, e, judgeEvidence(e), nil)
	want := `
How the dependency was spared

calls                          healthy   failing recovered       all
wanted by the replicas               4        45         9        58
rejected by the breaker              0        40         5        45
reached the dependency               4         5         4        13
  admitted while closed              4         3         2         9
  admitted as probes                 0         2         1         3
  admitted while open                0         0         0         0
  admitted uncounted                 0         0         1         1

- While it failed, 5 of 45 calls reached the dependency (11.1 %).
- Of these, 2 opened the circuit, 1 were in flight by then, and 2 were probes.
- Open: no call was admitted, by any of 2 replicas.
- Half-open: only probes, 3 in 2 rounds, at most 2 a round (2 allowed).
- Recovery: the circuit closed 1.5s after the dependency recovered.
- One log: all 2 replicas, each through its own client, read these transitions:

     4.00s  closed    > half_open  elapsed
     4.50s  closed    > closed     recovered                 succeeded=1
            (the record keeps 2, there were 4 more before)

Verdict: all promises kept; 88.9 % of calls did not reach the failing dependency.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteSummary_verdicts(t *testing.T) {
	for want, change := range map[string]func(*evidence){
		"Verdict: 1 promise was BROKEN, see above.": func(e *evidence) {
			e.visits[visit{failing, 1, redbreaker.Ticket{Epoch: 2}}] = 2
		},
		"Verdict: 2 promises were BROKEN, see above.": func(e *evidence) {
			e.visits[visit{failing, 1, redbreaker.Ticket{Epoch: 2}}] = 2
			e.replicas[0].admitted = 1
		},
		"Verdict: no promise was broken; the circuit never opened.": func(e *evidence) {
			e.entries, e.visits, e.recoveredAt = nil, nil, time.Time{}
		},
	} {
		var out bytes.Buffer
		e := sound()
		change(e)
		writeSummary(&out, longDemo(&out, 0, 0), e, judgeEvidence(e), nil)
		if !strings.HasSuffix(out.String(), want+"\n") {
			t.Errorf("it does not end with %q:\n%s", want, out.String())
		}
	}
}
