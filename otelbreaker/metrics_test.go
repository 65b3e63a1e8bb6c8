package otelbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
	"github.com/redbreaker/redbreaker/otelbreaker"
)

// Each instrument of the list arrives with its name, unit, kind and no other
// attributes than the list has.
func TestMetrics_instruments(t *testing.T) {
	e := newExported(t, otelbreaker.WithNames("payments"), otelbreaker.WithDuration())
	b := e.newBreaker(t, "payments", opensAtOnce)
	e.ObserveBreakers(b)
	_ = b.Do(context.Background(), succeed)
	control(t, b, redbreaker.ActionForceOpen)
	e.ObserveStep(engine.StepReport{Kind: "redis", Operations: 3, Elapsed: time.Millisecond})
	all := e.collect(t)
	for _, i := range metrics.Instruments() {
		got, ok := all[i.Name]
		if !ok || got.Unit != i.Unit || got.Description != i.Description {
			t.Errorf("%s arrives as %+v", i.Name, got)
			continue
		}
		checkKind(t, i, got)
		delete(all, i.Name)
	}
	for name := range all {
		t.Errorf("%s is on no list", name)
	}
}

func checkKind(t *testing.T, i *metrics.Instrument, m metricdata.Metrics) {
	t.Helper()
	known := map[string]bool{}
	for _, a := range i.Attributes {
		known[a] = true
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		if data.IsMonotonic != (i.Kind == metrics.Counter) || i.Kind == metrics.Histogram {
			t.Errorf("%s is no %v", i.Name, i.Kind)
		}
		if len(data.DataPoints) == 0 {
			t.Errorf("%s has no point", i.Name)
		}
		for _, p := range data.DataPoints {
			for _, a := range p.Attributes.ToSlice() {
				if !known[string(a.Key)] {
					t.Errorf("%s has the attribute %s", i.Name, a.Key)
				}
			}
		}
	case metricdata.Histogram[float64]:
		if diff := cmp.Diff(i.Boundaries, data.DataPoints[0].Bounds); diff != "" || i.Kind != metrics.Histogram {
			t.Errorf("%s is no %v, or has other bounds: %s", i.Name, i.Kind, diff)
		}
	default:
		t.Errorf("%s is a %T", i.Name, m.Data)
	}
}

func TestMetrics_calls(t *testing.T) {
	e := newExported(t)
	memory, now := newMemory()
	b := e.newBreaker(t, "dep", redbreaker.Policy{
		ConsecutiveFailures: 3, OpenFor: time.Second,
		Window: redbreaker.Window{Period: time.Hour, SlowCallRate: 1, SlowCallDuration: time.Minute, MinCalls: 1000},
	}, redbreaker.WithStorage(memory), redbreaker.WithClassifier(redbreaker.Ignore(io.EOF)))
	ctx := context.Background()
	takesAMinute := func(err error) func(context.Context) error {
		return func(context.Context) error { *now += time.Minute; return err }
	}
	_ = b.Do(ctx, takesAMinute(nil))
	_ = b.Do(ctx, succeed)
	_ = b.Do(ctx, succeed)
	_ = b.Do(ctx, func(context.Context) error { return io.EOF })
	_ = b.Do(ctx, takesAMinute(fmt.Errorf("charge: %w", io.ErrUnexpectedEOF)))
	_ = b.Do(ctx, fail)
	_ = b.Do(ctx, func(context.Context) error { return redbreaker.TripError(context.DeadlineExceeded, 0) })
	_ = b.Do(ctx, succeed) // rejected
	*now += time.Second
	probe, err := b.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Do(ctx, succeed) // rejected beside the probe
	control(t, b, redbreaker.ActionReset)
	probe.Success() // too late
	want := `outcome=failure type=*errors.errorString: 1
outcome=failure type=context.deadlineExceededError: 1
outcome=ignored: 1
outcome=rejected reason=open: 1
outcome=rejected reason=probing: 1
outcome=slow_failure type=*errors.errorString: 1
outcome=slow_success: 1
outcome=success: 3
`
	if diff := cmp.Diff(want, sortWords(nonZero(e.read(t, metrics.Calls)))); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if got := nonZero(e.read(t, metrics.StaleResults)); got != ": 1\n" {
		t.Errorf("stale results %q", got)
	}
	shutDown(t, b)
	want = `from=closed to=closed cause=created: 1
from=closed to=open cause=demanded: 1
from=half_open to=closed cause=operator: 1
from=open to=half_open cause=elapsed: 1
`
	if diff := cmp.Diff(want, sortWords(nonZero(e.read(t, metrics.Transitions)))); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
}

// sortWords puts the words of each line into the order of the instrument's list, in
// which people read them.
func sortWords(lines string) string {
	order := []string{"name=", "outcome=", "state=", "mode=", "from=", "to=", "reason=", "type=", "cause="}
	var out []string
	for line := range strings.Lines(lines) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		var words []string
		for _, prefix := range order {
			for _, w := range strings.Fields(key) {
				if strings.HasPrefix(w, prefix) {
					words = append(words, w)
				}
			}
		}
		out = append(out, strings.Join(words, " ")+": "+value+"\n")
	}
	return sortLines(out)
}

// All series exist at 0 before the first call: otherwise an increase would not see it.
func TestMetrics_existAtZero(t *testing.T) {
	e := newExported(t, otelbreaker.WithNames("payments"))
	for i, want := range map[*metrics.Instrument]int{
		metrics.Calls: 10, metrics.Transitions: 27, metrics.WouldReject: 1, metrics.Anomalies: 8,
		metrics.StaleResults: 1, metrics.DroppedEvents: 1, metrics.Status: 3,
	} {
		values := e.read(t, i)
		if len(values) != 2*want || nonZero(values) != "" {
			t.Errorf("%s has %d series, want %d at 0:\n%v", i.Name, len(values), 2*want, values)
		}
	}
	for _, o := range []string{"success", "failure", "slow_success", "slow_failure", "ignored"} {
		if _, ok := e.read(t, metrics.Calls)["name=payments outcome="+o]; !ok {
			t.Errorf("no series of %s", o)
		}
	}
}

func TestMetrics_names(t *testing.T) {
	e := newExported(t, otelbreaker.WithNames("a"), otelbreaker.WithListed(1))
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		b := e.newBreaker(t, name, opensAtOnce)
		e.ObserveBreakers(b, b) // twice is as good as once
		_ = b.Do(context.Background(), succeed)
		switch name {
		case "b", "d":
			_ = b.Do(context.Background(), fail)
		case "c":
			control(t, b, redbreaker.ActionShadow)
			_ = b.Do(context.Background(), fail)
			_ = b.Do(context.Background(), succeed)
		}
	}
	for i, want := range map[*metrics.Instrument]string{
		// Of the circuits that are not closed and in auto, one is listed. Nothing counts twice.
		metrics.Status:      "name=a state=closed: 1\nname=b state=open: 1\nstate=closed: 1\nstate=open: 2\n",
		metrics.Override:    "mode=shadow: 1\n",
		metrics.WouldReject: ": 1\n",
	} {
		if diff := cmp.Diff(want, sortWords(nonZero(e.read(t, i)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", i.Name, diff)
		}
	}
	calls := e.read(t, metrics.Calls)
	if calls["name=a outcome=success"] != 1 || calls["outcome=success"] != 5 {
		t.Errorf("calls:\n%s", nonZero(calls))
	}
}

// The series of a breaker that the registry evicts or that recovers vanish.
func TestMetrics_evicted(t *testing.T) {
	e := newExported(t)
	r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Max: 1, Policy: opensAtOnce}, redbreaker.WithHooks(e.Hooks()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	e.ObserveRegistry(r)
	open := func(name string) *redbreaker.Breaker {
		b, err := r.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Do(context.Background(), fail)
		return b
	}
	open("first").Stop()
	second := open("second")
	if diff := cmp.Diff("name=second state=open: 1\n", sortWords(nonZero(e.read(t, metrics.Status)))); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	control(t, second, redbreaker.ActionReset)
	status := e.read(t, metrics.Status)
	if len(status) != 3 || status["state=closed"] != 1 {
		t.Errorf("status:\n%v", status)
	}
}

func TestMetrics_anomalies(t *testing.T) {
	e := newExported(t)
	memory, _ := newMemory()
	a := e.newBreaker(t, "dep", redbreaker.Policy{ConsecutiveFailures: 3}, redbreaker.WithStorage(memory))
	b := e.newBreaker(t, "dep", redbreaker.Policy{ConsecutiveFailures: 4}, redbreaker.WithStorage(memory))
	_ = a.Do(context.Background(), succeed)
	_ = b.Do(context.Background(), succeed)
	shutDown(t, a)
	shutDown(t, b)
	if got := nonZero(e.read(t, metrics.Anomalies)); got != "anomaly=skew: 1\n" {
		t.Errorf("anomalies:\n%s", got)
	}
}

// downStorage is a storage that does not answer.
type downStorage struct{ engine.Storage }

func (downStorage) Kind() string { return "redis" }
func (s downStorage) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	h, err := s.Storage.Bind(name, p, sink)
	return downHandle{h}, err
}

type downHandle struct{ engine.Handle }

func (downHandle) Acquire(context.Context) (engine.Ticket, error) {
	return engine.Ticket{}, &engine.StorageError{Class: engine.ClassNotExecuted, Op: "acquire", Err: errDown}
}

func TestMetrics_degraded(t *testing.T) {
	e := newExported(t)
	memory, _ := newMemory()
	b := e.newBreaker(t, "dep", redbreaker.Policy{}, redbreaker.WithStorage(downStorage{memory}),
		redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: func(redbreaker.Event) {}}))
	e.ObserveBreakers(b, e.newBreaker(t, "own", redbreaker.Policy{}))
	_ = b.Do(context.Background(), succeed)
	want := map[string]int64{
		"kind=redis state=degraded": 1, "kind=redis state=ok": 0, "kind=memory state=ok": 1, "kind=memory state=degraded": 0,
	}
	if diff := cmp.Diff(want, e.read(t, metrics.StorageStatus)); diff != "" {
		t.Errorf("storage.status (-want +got):\n%s", diff)
	}
}

func TestMetrics_steps(t *testing.T) {
	e := newExported(t)
	e.ObserveStep(engine.StepReport{Kind: "redis", Operations: 3, Elapsed: time.Millisecond})
	e.ObserveStep(engine.StepReport{Kind: "redis", Operations: 5, Elapsed: 3 * time.Millisecond})
	e.ObserveStep(engine.StepReport{Kind: "redis", Operations: 1, Elapsed: time.Second, Err: &engine.StorageError{Class: engine.ClassUnknown}})
	all := e.collect(t)
	for i, want := range map[*metrics.Instrument]string{
		metrics.StepDuration:   "kind=redis 0.004/2\ntype=unknown kind=redis 1/1\n",
		metrics.StepOperations: "kind=redis 8/2\ntype=unknown kind=redis 1/1\n",
	} {
		var lines []string
		for _, p := range all[i.Name].Data.(metricdata.Histogram[float64]).DataPoints {
			lines = append(lines, fmt.Sprintf("%s %v/%d\n", describeSet(p.Attributes), p.Sum, p.Count))
		}
		if diff := cmp.Diff(want, sortLines(lines)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", i.Name, diff)
		}
	}
}

// A program with errors of many types does not get a series for each.
func TestMetrics_errorTypesAreBounded(t *testing.T) {
	e := newExported(t)
	hooks := e.Hooks()
	for _, err := range manyTypes() {
		hooks.OnCall(context.Background(), redbreaker.CallResult{Outcome: redbreaker.Failure, Err: err})
	}
	calls := e.read(t, metrics.Calls)
	if len(calls) != 10+16+1 || calls["type=_OTHER outcome=failure"] != 4 {
		t.Errorf("%d series:\n%s", len(calls), nonZero(calls))
	}
}

func TestNew_faults(t *testing.T) {
	names := make([]string, 33)
	for i := range names {
		names[i] = fmt.Sprint("n", i)
	}
	_, err := otelbreaker.New(nil, otelbreaker.WithMeterProvider(nil), otelbreaker.WithTracerProvider(nil), otelbreaker.WithNames(names...), otelbreaker.WithNames("", "n1"))
	if !errors.Is(err, redbreaker.ErrInvalid) || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("faults: %v", err)
	}
}

// After Close nothing is collected, and hooks still run.
func TestMetrics_close(t *testing.T) {
	e := newExported(t)
	b := e.newBreaker(t, "dep", redbreaker.Policy{})
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	_ = b.Do(context.Background(), succeed)
	if all := e.collect(t); len(all) != 0 {
		t.Errorf("collected %v", all)
	}
}
