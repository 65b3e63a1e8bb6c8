package docs

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
)

var rewrite = flag.Bool("rewrite", false, "write the example records of semantics.md")

// recordBlock is a block of semantics.md that shows a record.
var recordBlock = regexp.MustCompile("(?ms)^```record\n(.*?)^```\n")

// TestSemantics_records compares the records that semantics.md shows with those
// that the machine writes.
func TestSemantics_records(t *testing.T) {
	const page = "semantics.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{closedRecord(t), shadowRecord(t)}
	if *rewrite {
		i := 0
		text = recordBlock.ReplaceAllFunc(text, func([]byte) []byte {
			i++
			return []byte("```record\n" + want[i-1] + "```\n")
		})
		if err := os.WriteFile(page, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, block := range recordBlock.FindAllStringSubmatch(string(text), -1) {
		got = append(got, block[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run go test ./docs -rewrite (-machine +page):\n%s", diff)
	}
}

// recordTime is an instant of a server's clock.
const recordTime = 1_795_502_760_000

func recordRules(t *testing.T) engine.Rules {
	t.Helper()
	rules, err := engine.Policy{
		ConsecutiveFailures: 5,
		Window:              engine.Window{Period: 10 * time.Second, FailureRate: 0.5, MinCalls: 20},
		HalfOpen:            engine.HalfOpen{Probes: 3, Successes: 2, Lease: 30 * time.Second},
		MinReporters:        2,
	}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// report is n equal outcomes of a ticket.
func report(reporter string, of engine.Ticket, o engine.Outcome, n int64) engine.Batch {
	return engine.Batch{
		Reporter: reporter,
		Results:  []engine.Result{{Ticket: of, Runs: []engine.Run{{Outcome: o, N: n}}}},
	}
}

// openRecord is a record that has just opened.
func openRecord(t *testing.T, r *engine.Record, rules *engine.Rules) {
	t.Helper()
	ticket := engine.Ticket{Epoch: r.Step(rules, recordTime, 700, engine.Batch{Admissions: 1}).Epoch}
	r.Step(rules, recordTime+400, 7, report("web-1", ticket, engine.Failure, 3))
	b := report("web-2", ticket, engine.Failure, 2)
	b.Detail.Text = "*net.OpError"
	if got := r.Step(rules, recordTime+500, 7_000, b); got.State != engine.StateOpen {
		t.Fatalf("the record is %v, want open", got.State)
	}
}

// closedRecord has recovered, and counts.
func closedRecord(t *testing.T) string {
	rules := recordRules(t)
	var r engine.Record
	openRecord(t, &r, &rules)
	const end = recordTime + 60_500
	round := r.Step(&rules, end+80, 70_000, engine.Batch{Admissions: 2})
	for lease := round.FirstLease; lease < round.FirstLease+2; lease++ {
		r.Step(&rules, end+90+lease, 700_000, report("web-2", engine.Ticket{Epoch: round.Epoch, Lease: lease}, engine.Success, 1))
	}
	closed := engine.Ticket{Epoch: r.Step(&rules, end+100, 7, engine.Batch{Admissions: 1}).Epoch}
	r.Step(&rules, end+900, 7, report("web-2", closed, engine.Success, 30))
	r.Step(&rules, end+950, 7, report("web-1", closed, engine.Failure, 1))
	r.Step(&rules, end+1900, 7, report("web-1", closed, engine.Success, 30))
	r.Step(&rules, end+1950, 7, report("web-2", closed, engine.Failure, 2))
	return textOf(t, &r, end+1950, engine.StateClosed)
}

// shadowRecord is half-open below an operator's shadow.
func shadowRecord(t *testing.T) string {
	rules := recordRules(t)
	var r engine.Record
	openRecord(t, &r, &rules)
	_, err := r.Control(&rules, recordTime+30_000, 70_000, engine.Command{
		Action: engine.ActionShadow, For: 10 * time.Minute, Reason: "maintenance", Actor: "ops",
	})
	if err != nil {
		t.Fatal(err)
	}
	round := r.Step(&rules, recordTime+60_580, 7, engine.Batch{Admissions: 2})
	r.Step(&rules, recordTime+60_650, 7, report("web-2", engine.Ticket{Epoch: round.Epoch, Lease: round.FirstLease}, engine.Success, 1))
	return textOf(t, &r, recordTime+60_650, engine.StateHalfOpen)
}

// textOf writes the fields of a record one per line, and checks that they read
// back as they are.
func textOf(t *testing.T, r *engine.Record, now int64, want engine.State) string {
	t.Helper()
	back, err := engine.ParseRecord(r.Fields())
	if err != nil {
		t.Fatal(err)
	}
	if s := back.Snapshot("payments", now); s.State != want || len(s.Unreadable) > 0 {
		t.Errorf("the record is %v, and %q cannot be read; want %v", s.State, s.Unreadable, want)
	}
	var text strings.Builder
	for _, f := range r.Fields() {
		fmt.Fprintf(&text, "%-7s %s\n", f.Name, f.Value)
	}
	return text.String()
}
