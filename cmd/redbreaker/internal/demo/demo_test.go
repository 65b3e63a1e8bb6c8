package demo

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

// short is a demo of a second and a half.
func short(out *bytes.Buffer) Config {
	return Config{
		Replicas: 3, Rate: 8, // miniredis parses the script for each call
		Healthy: 200 * time.Millisecond, Failing: 700 * time.Millisecond, Recovered: 600 * time.Millisecond,
		Policy: redbreaker.Policy{
			ConsecutiveFailures: 3,
			OpenFor:             100 * time.Millisecond,
			Backoff:             redbreaker.Backoff{Multiplier: 1, Max: time.Second},
			HalfOpen:            redbreaker.HalfOpen{Probes: 3, Successes: 2},
		},
		Name: "dependency", Namespace: "demo", Out: out,
	}
}

// playToEnd plays a demo to its end and leaves its parts for the test.
func playToEnd(t *testing.T, c Config) (*demo, *evidence, *verdict) {
	t.Helper()
	d := &demo{Config: c}
	t.Cleanup(d.closeParts)
	if err := d.startParts(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.playStages(context.Background())
	e := d.gatherEvidence()
	v := judgeEvidence(e)
	t.Cleanup(func() {
		if t.Failed() {
			writeSummary(c.Out, &c, e, v, nil)
			t.Log(c.Out)
		}
	})
	for _, fault := range v.faults {
		t.Error(fault)
	}
	return d, e, v
}

// The phases are lengthened until this machine, however busy it is, opens and
// closes the circuit within them.
func TestDemo(t *testing.T) {
	for scale := time.Duration(1); scale <= 32 && !t.Failed(); scale *= 2 {
		var out bytes.Buffer
		c := short(&out)
		c.Healthy, c.Failing, c.Recovered = scale*c.Healthy, scale*c.Failing, scale*c.Recovered
		d, e, v := playToEnd(t, c)
		checkNumbers(t, d, e, v)
		if v.recovery > 0 {
			checkCircuit(t, e, v)
			return
		}
	}
	t.Error("the circuit did not open and close")
}

// checkNumbers checks that the summary's numbers are those of the dependency.
func checkNumbers(t *testing.T, d *demo, e *evidence, v *verdict) {
	t.Helper()
	byStage := [stages]int64{}
	byReplica := map[int]int64{}
	all := int64(0)
	for visit, n := range d.dep.visits {
		byStage[visit.stage] += int64(n)
		byReplica[visit.replica] += int64(n)
		all += int64(n)
	}
	if all == 0 || v.total.callsReached() != all {
		t.Errorf("the summary has %d calls, the dependency saw %d", v.total.callsReached(), all)
	}
	for p, n := range byStage {
		if v.rows[p].callsReached() != n {
			t.Errorf("%v: the summary has %d calls, the dependency saw %d", stage(p), v.rows[p].callsReached(), n)
		}
	}
	var rejected int64
	for i, r := range e.replicas {
		rejected += r.rejected
		if seen := byReplica[i+1]; seen > r.admitted || r.admitted-seen > r.failed {
			t.Errorf("%s admitted %d calls, of which %d failed; the dependency saw %d", r.name, r.admitted, r.failed, seen)
		}
	}
	if v.total.rejected != rejected {
		t.Errorf("the summary has %d rejections, the replicas counted %d", v.total.rejected, rejected)
	}
}

// checkCircuit checks that the circuit opened, that the record granted every probe, and
// that the hooks and the logs of all replicas have the same transitions.
func checkCircuit(t *testing.T, e *evidence, v *verdict) {
	t.Helper()
	if !v.opened || v.total.rejected == 0 || v.total.open != 0 || v.total.probes == 0 {
		t.Errorf("opened %v, %+v", v.opened, v.total)
	}
	if v.most > 3 {
		t.Errorf("%d probes in one round", v.most)
	}
	if len(e.records) != 3 || len(v.log) == 0 {
		t.Fatalf("%d records, %d transitions", len(e.records), len(v.log))
	}
	var entries []entry
	for _, entry := range e.entries {
		if entry.note == "" {
			entries = append(entries, entry)
		}
	}
	entries = entries[len(entries)-len(v.log):]
	for i, moved := range v.log {
		if got := entries[i]; got.Epoch != moved.Epoch || got.From != moved.From || got.To != moved.To || got.Cause != moved.Cause {
			t.Errorf("the hooks received %v, the record has %v", got.Transition, moved)
		}
	}
}

func TestRun_endsEarly(t *testing.T) {
	var out bytes.Buffer
	c := short(&out)
	c.Healthy = time.Hour
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := Run(ctx, c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"- Half-open: there was no probe.\n", "- Recovery: the circuit never opened.\n", "Verdict: no promise was broken; the circuit never opened.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

// An operator's command is in the journal, and the calls that a mode admits are
// counted by themselves.
func TestDemo_operator(t *testing.T) {
	onServers(t, func(t *testing.T, server target.Target, namespace string) {
		var out bytes.Buffer
		c := short(&out)
		c.Redis, c.Namespace = server, namespace
		d := &demo{Config: c}
		t.Cleanup(d.closeParts)
		if err := d.startParts(context.Background()); err != nil {
			t.Fatal(err)
		}
		_, err := d.replicas[0].store.Control(context.Background(), c.Name, redbreaker.Command{
			Action: redbreaker.ActionForceClosed, Actor: "ann", Reason: "drill"})
		if err != nil {
			t.Fatal(err)
		}
		d.playStages(context.Background())
		e := d.gatherEvidence()
		v := judgeEvidence(e)
		if err := d.removeRecord(); err != nil {
			t.Error(err)
		}
		if len(v.faults) > 0 || v.total.uncounted == 0 {
			t.Errorf("faults %q, %+v", v.faults, v.total)
		}
		want := "closed    > closed/forced_closed  operator      ann         drill"
		if got := describeAll(e.entries); !slices.Contains(got, want) {
			t.Errorf("the journal is %q, without %q", got, want)
		}
	})
}

func describeAll(entries []entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.describe())
	}
	return list
}

// The demo goes on without its Redis, and says what it cannot show.
func TestDemo_redisDies(t *testing.T) {
	m, _ := redistest.Mini(t)
	server, err := target.Parse(m.Addr(), target.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := short(&out)
	c.Redis = server
	d := &demo{Config: c}
	t.Cleanup(d.closeParts)
	if err := d.startParts(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.Close()
	if err := d.playAndJudge(context.Background()); !errors.Is(err, ErrBroken) {
		t.Errorf("it ends with %v, want ErrBroken", err)
	}
	for _, want := range []string{"redis does not answer", "BROKEN: replica-1 could not read the record", `The record "dependency" in namespace "demo" could not be removed`, "BROKEN, see above."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func onServers(t *testing.T, test func(t *testing.T, server target.Target, namespace string)) {
	on := func(t *testing.T, addr, namespace string) {
		server, err := target.Parse(addr, target.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, server, namespace)
	}
	t.Run("miniredis", func(t *testing.T) {
		m, _ := redistest.Mini(t)
		on(t, m.Addr(), "demo")
	})
	t.Run("redis", func(t *testing.T) { on(t, redistest.Addr(t), redistest.Namespace(t)) })
}

// On a terminal Ctrl-C arrives as a key. It ends the demo with its summary, after the
// terminal was restored.
func TestRun_endsByKey(t *testing.T) {
	for _, key := range []byte{keyCtrlC, keyQuit} {
		var out bytes.Buffer
		c := short(&out)
		c.Healthy = time.Hour
		restored := -1
		c.Screen = &Screen{
			Size: func() (int, int) { return 80, 24 },
			Keys: func(pressed func(byte)) func() {
				timer := time.AfterFunc(200*time.Millisecond, func() { pressed('x'); pressed(key); pressed(key) })
				return func() { timer.Stop(); restored = out.Len() }
			},
		}
		if err := Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if restored < 0 || !strings.HasSuffix(text[:restored], leaveScreen) || !strings.Contains(text[restored:], "\nVerdict: ") {
			t.Errorf("key %d: restored after %d bytes of\n%q", key, restored, text)
		}
		if strings.Contains(text[restored:], "\x1b") {
			t.Errorf("key %d: the summary contains escape sequences: %q", key, text[restored:])
		}
	}
}
