package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// textOf returns the samples of a fleet as text, without comments.
func textOf(t *testing.T, f *Fleet) (string, error) {
	t.Helper()
	var samples []Sample
	collected := f.Collect(t.Context(), func(s Sample) { samples = append(samples, s) })
	var out bytes.Buffer
	if err := WriteText(&out, samples); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "#") {
			line = strings.NewReplacer("redbreaker_circuit_breaker_", "", "redbreaker_", "").Replace(line)
			lines.WriteString(line)
		}
	}
	return lines.String(), collected
}

// newRecords returns a memory with an open circuit, a quiet one and a shadowed one.
func newRecords(t *testing.T) (*engine.Memory, *time.Duration) {
	t.Helper()
	now := new(time.Duration)
	memory := engine.NewMemory(engine.WithClock(func() time.Duration { return *now }))
	for _, name := range []string{"a", "b", "c"} {
		b, err := redbreaker.New(name, redbreaker.Policy{
			ConsecutiveFailures: 2, OpenFor: time.Minute,
			Window: redbreaker.Window{Period: time.Hour, FailureRate: 0.25, MinCalls: 20},
		}, redbreaker.WithStorage(memory))
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Do(t.Context(), func(context.Context) error { return errDown })
		switch name {
		case "b":
			_ = b.Do(t.Context(), func(context.Context) error { return errDown })
		case "c":
			if _, err := b.Control(t.Context(), redbreaker.Command{Action: redbreaker.ActionShadow}); err != nil {
				t.Fatal(err)
			}
		}
	}
	*now += 1500 * time.Millisecond
	return memory, now
}

func TestFleet(t *testing.T) {
	memory, _ := newRecords(t)
	f, err := NewFleet(memory, 2)
	if err != nil {
		t.Fatal(err)
	}
	got, err := textOf(t, f)
	if err != nil {
		t.Fatal(err)
	}
	want := `fleet_status{name="",state="closed"} 1
fleet_status{name="",state="open"} 0
fleet_status{name="",state="half_open"} 0
fleet_status{name="b",state="closed"} 0
fleet_status{name="b",state="open"} 1
fleet_status{name="b",state="half_open"} 0
fleet_status{name="c",state="closed"} 1
fleet_status{name="c",state="open"} 0
fleet_status{name="c",state="half_open"} 0
fleet_override{mode="forced_open",name=""} 0
fleet_override{mode="forced_closed",name=""} 0
fleet_override{mode="shadow",name=""} 0
fleet_override{mode="shadow",name="c"} 1
fleet_transitions_total{name="b"} 2
fleet_transitions_total{name="c"} 2
fleet_trips{name="b"} 1
fleet_trips{name="c"} 0
fleet_tally{name="b",tally="streak"} 0
fleet_tally{name="b",tally="calls"} 0
fleet_tally{name="b",tally="failures"} 0
fleet_tally{name="b",tally="slow"} 0
fleet_tally{name="c",tally="streak"} 0
fleet_tally{name="c",tally="calls"} 0
fleet_tally{name="c",tally="failures"} 0
fleet_tally{name="c",tally="slow"} 0
fleet_threshold{name="b",threshold="consecutive_failures"} 2
fleet_threshold{name="b",threshold="failure_rate"} 0.25
fleet_threshold{name="b",threshold="min_calls"} 20
fleet_threshold{name="c",threshold="consecutive_failures"} 2
fleet_threshold{name="c",threshold="failure_rate"} 0.25
fleet_threshold{name="c",threshold="min_calls"} 20
fleet_age_seconds{name="b"} 1.5
fleet_age_seconds{name="c"} 1.5
fleet_retry_after_seconds{name="b"} 58.5
fleet_retry_after_seconds{name="c"} 0
fleet_errors_total 0
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	all, err := NewFleet(memory, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err = textOf(t, all)
	if err != nil || !strings.Contains(got, `fleet_tally{name="a",tally="failures"} 1`) || !strings.Contains(got, `fleet_status{name="",state="closed"} 0`) {
		t.Errorf("a quiet record is missing, %v:\n%s", err, got)
	}
}

// partial is a storage of which a part of the index and some records cannot be read.
type partial struct{ *engine.Memory }

func (p partial) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	return func(yield func(engine.Listed, error) bool) {
		if !yield(engine.Listed{}, errDown) || !yield(engine.Listed{Key: "without a name"}, nil) {
			return
		}
		p.Memory.Names(ctx)(yield)
	}
}

// many reads records at once.
type many struct{ partial }

func (m many) InspectMany(ctx context.Context, names []string) ([]engine.Snapshot, error) {
	var all []engine.Snapshot
	var faults []error
	for _, name := range names {
		s, err := m.Inspect(ctx, name)
		all, faults = append(all, s), append(faults, err)
	}
	return all, errors.Join(append(faults, errDown, errDown)...)
}

func TestFleet_partOfItCannotBeRead(t *testing.T) {
	memory, _ := newRecords(t)
	for source, want := range map[FleetSource]int{partial{memory}: 1, many{partial{memory}}: 3} {
		f, err := NewFleet(source, 0)
		if err != nil {
			t.Fatal(err)
		}
		for round := 1; round <= 2; round++ {
			got, err := textOf(t, f)
			if !errors.Is(err, errDown) || !strings.Contains(got, fmt.Sprintf("fleet_errors_total %d\n", round*want)) ||
				!strings.Contains(got, `fleet_status{name="b",state="open"} 1`) {
				t.Errorf("%T, round %d: %v, want %d errors:\n%s", source, round, err, round*want, got)
			}
		}
	}
}

// away is a storage that lists no names, or names of which it can read no record.
type away struct {
	*engine.Memory
	lists bool
}

func (a away) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	if a.lists {
		return a.Memory.Names(ctx)
	}
	return func(yield func(engine.Listed, error) bool) { yield(engine.Listed{}, errDown) }
}

func (a away) Inspect(_ context.Context, name string) (engine.Snapshot, error) {
	return engine.Snapshot{Name: name}, errDown
}

// A storage that cannot be read must not look like one in which no circuit is open.
func TestFleet_nothingCanBeRead(t *testing.T) {
	memory, _ := newRecords(t)
	for source, want := range map[FleetSource]string{
		away{memory, false}: "fleet_errors_total 1\n",
		away{memory, true}:  "fleet_errors_total 3\n",
	} {
		f, err := NewFleet(source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := textOf(t, f); got != want || !errors.Is(err, errDown) {
			t.Errorf("%+v: %v, want only %s, got:\n%s", source, err, want, got)
		}
	}
}

func TestFleet_noRecords(t *testing.T) {
	f, err := NewFleet(engine.NewMemory(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := textOf(t, f); err != nil || !strings.Contains(got, `fleet_status{name="",state="open"} 0`) {
		t.Errorf("%v:\n%s", err, got)
	}
}

// Names that print alike must not give two samples of one series.
func TestFleet_namesThatPrintAlike(t *testing.T) {
	memory := engine.NewMemory()
	for _, end := range []string{"x", "y"} {
		if _, err := memory.Control(t.Context(), strings.Repeat("n", 70)+end, engine.Command{Action: engine.ActionTrip}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := NewFleet(memory, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := textOf(t, f)
	if err != nil || strings.Count(got, "fleet_trips") != 1 || !strings.Contains(got, `...",state="open"} 2`) {
		t.Errorf("%v:\n%s", err, got)
	}
}

func TestNewFleet_faults(t *testing.T) {
	_, err := NewFleet(nil, -1)
	if !errors.Is(err, redbreaker.ErrInvalid) || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("faults: %v", err)
	}
}

func TestWriteText(t *testing.T) {
	var out bytes.Buffer
	if err := WriteText(&out, []Sample{{WouldReject, []string{"a\"\\\n\xff", ""}, 1e9}}); err != nil {
		t.Fatal(err)
	}
	want := `# HELP redbreaker_circuit_breaker_would_reject_total Calls that were admitted only because the mode is shadow.
# TYPE redbreaker_circuit_breaker_would_reject_total counter
redbreaker_circuit_breaker_would_reject_total{redbreaker_circuit_breaker_name="",redbreaker_group="a\"\\\n` + "\ufffd" + `"} 1e+09
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if err := WriteText(failing{}, []Sample{{FleetErrors, nil, 1}}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the error of the writer", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
