package prombreaker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
	"github.com/redbreaker/redbreaker/prombreaker"
)

// patience only ends a test that fails.
const patience = 30 * time.Second

var errDown = errors.New("down")

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errDown }

// opensAtOnce opens the circuit for a long time with the first failure.
var opensAtOnce = redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}

func newCollector(t testing.TB, opts ...prombreaker.Option) *prombreaker.Collector {
	t.Helper()
	c, err := prombreaker.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newBreaker(t testing.TB, c *prombreaker.Collector, name string, opts ...redbreaker.Option) *redbreaker.Breaker {
	t.Helper()
	b, err := redbreaker.New(name, opensAtOnce, append(opts, redbreaker.WithHooks(c.Hooks()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	c.ObserveBreakers(b)
	return b
}

// gather registers collectors in a registry that checks them, and returns their
// metrics.
func gather(t testing.TB, all ...prometheus.Collector) map[string]*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	for _, c := range all {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*dto.MetricFamily{}
	for _, f := range families {
		found[f.GetName()] = f
	}
	return found
}

// Each metric of the list arrives with its name, help, type and labels.
func TestCollector_instruments(t *testing.T) {
	c := newCollector(t, prombreaker.WithDuration(), prombreaker.WithNames("payments"))
	_ = newBreaker(t, c, "payments").Do(context.Background(), succeed)
	c.ObserveStep(engine.StepReport{Kind: "redis", Operations: 3, Elapsed: time.Millisecond})
	memory := engine.NewMemory()
	if _, err := memory.Control(context.Background(), "dep", engine.Command{Action: engine.ActionTrip}); err != nil {
		t.Fatal(err)
	}
	fleet, err := prombreaker.NewFleetCollector(memory, prombreaker.FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	found := gather(t, c, fleet)
	for _, i := range append(metrics.Instruments(), metrics.FleetInstruments()...) {
		f := found[i.PrometheusName()]
		delete(found, i.PrometheusName())
		if f == nil || f.GetHelp() != i.Description || f.GetType() != typeOf(i) {
			t.Errorf("%s arrives as %v %q", i.PrometheusName(), f.GetType(), f.GetHelp())
			continue
		}
		var want []string
		for _, a := range i.Attributes {
			want = append(want, metrics.PrometheusLabel(a))
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !strings.Contains(strings.Join(want, " ")+" ", l.GetName()+" ") {
					t.Errorf("%s has the label %s, want some of %v", f.GetName(), l.GetName(), want)
				}
			}
		}
	}
	for name := range found {
		t.Errorf("%s is on no list", name)
	}
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

func typeOf(i *metrics.Instrument) dto.MetricType {
	switch i.Kind {
	case metrics.Counter:
		return dto.MetricType_COUNTER
	case metrics.Histogram:
		return dto.MetricType_HISTOGRAM
	}
	return dto.MetricType_GAUGE
}

func TestCollector_values(t *testing.T) {
	now := time.Duration(0)
	memory := engine.NewMemory(engine.WithClock(func() time.Duration { return now }))
	c := newCollector(t, prombreaker.WithGroup("g"), prombreaker.WithDuration())
	b := newBreaker(t, c, "dep", redbreaker.WithStorage(memory))
	ctx := context.Background()
	_ = b.Do(ctx, func(context.Context) error { now += time.Second; return nil })
	_ = b.Do(ctx, fail)
	_ = b.Do(ctx, succeed)
	ending, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := b.Shutdown(ending); err != nil {
		t.Fatal(err)
	}
	found := gather(t, c, newCollector(t, prombreaker.WithGroup("another")))
	want := map[string]string{
		"redbreaker_circuit_breaker_calls_total": `outcome="rejected",reason="open"} 1
outcome="success"} 1
type="*errors.errorString",outcome="failure"} 1
`,
		"redbreaker_circuit_breaker_status": `name="dep",state="open"} 1
`,
		"redbreaker_circuit_breaker_transitions_total": `cause="consecutive",from="closed",to="open"} 1
cause="created",from="closed",to="closed"} 1
`,
		"redbreaker_circuit_breaker_call_duration_seconds": `outcome="failure"} 0/1
outcome="success"} 1/1
`,
	}
	for name, want := range want {
		if diff := cmp.Diff(want, describeFamily(found[name])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// describeFamily returns the series of group g that are not 0, by the last words of
// their labels.
func describeFamily(f *dto.MetricFamily) string {
	var lines strings.Builder
	for _, m := range f.GetMetric() {
		value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		if value == 0 {
			continue
		}
		text := fmt.Sprint(value)
		if h := m.GetHistogram(); h != nil {
			text = fmt.Sprintf("%v/%v", h.GetSampleSum(), h.GetSampleCount())
		}
		var words []string
		for _, l := range m.GetLabel() {
			if short := l.GetName()[strings.LastIndex(l.GetName(), "_")+1:]; short != "group" && l.GetValue() != "" {
				words = append(words, fmt.Sprintf("%s=%q", short, l.GetValue()))
			}
		}
		lines.WriteString(strings.Join(words, ",") + "} " + text + "\n")
	}
	return sortLines(lines.String())
}

func sortLines(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

// Collectors of one group in one registry would give the same series twice.
func TestCollector_groups(t *testing.T) {
	r := prometheus.NewRegistry()
	if err := errors.Join(r.Register(newCollector(t)), r.Register(newCollector(t, prombreaker.WithGroup("not\xffutf-8")))); err != nil {
		t.Fatal(err)
	}
	if err := r.Register(newCollector(t)); err == nil {
		t.Error("a second collector of the group default was registered")
	}
	if _, err := r.Gather(); err != nil {
		t.Error(err)
	}
}

// WriteText writes the samples of a fleet as the client library does.
func TestFleetCollector_text(t *testing.T) {
	memory := engine.NewMemory(engine.WithClock(func() time.Duration { return time.Hour }))
	for _, name := range []string{"a", "b \"quoted\"\n"} {
		if _, err := memory.Control(context.Background(), name, engine.Command{Action: engine.ActionForceOpen}); err != nil {
			t.Fatal(err)
		}
	}
	fleet, err := metrics.NewFleet(memory, 0)
	if err != nil {
		t.Fatal(err)
	}
	var samples []metrics.Sample
	if err := fleet.Collect(context.Background(), func(s metrics.Sample) { samples = append(samples, s) }); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := metrics.WriteText(&text, samples); err != nil {
		t.Fatal(err)
	}
	collector, err := prombreaker.NewFleetCollector(memory, prombreaker.FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.CollectAndLint(collector); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	if err := testutil.CollectAndCompare(collector, &text); err != nil {
		t.Error(err)
	}
}

// slow is a storage that answers only when its caller gives up.
type slow struct{ *engine.Memory }

func (slow) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	<-ctx.Done()
	return engine.Snapshot{Name: name}, ctx.Err()
}

func TestFleetCollector_timeout(t *testing.T) {
	memory := engine.NewMemory()
	if _, err := memory.Control(context.Background(), "dep", engine.Command{Action: engine.ActionTrip}); err != nil {
		t.Fatal(err)
	}
	collector, err := prombreaker.NewFleetCollector(slow{memory}, prombreaker.FleetConfig{Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	errs := gather(t, collector)["redbreaker_fleet_errors_total"].GetMetric()[0].GetCounter().GetValue()
	if errs == 0 {
		t.Error("no error was counted")
	}
}

func TestNew_faults(t *testing.T) {
	_, err := prombreaker.New(nil, prombreaker.WithNames("a", "a"))
	if !errors.Is(err, redbreaker.ErrInvalid) || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("faults: %v", err)
	}
	_, err = prombreaker.NewFleetCollector(nil, prombreaker.FleetConfig{Listed: -1, Timeout: -1})
	if !errors.Is(err, redbreaker.ErrInvalid) || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("faults: %v", err)
	}
}

// A call with metrics on allocates nothing.
func TestHooks_allocs(t *testing.T) {
	c := newCollector(t)
	b := newBreaker(t, c, "dep")
	if n := testing.AllocsPerRun(200, func() { _ = b.Do(context.Background(), succeed) }); n != 0 {
		t.Errorf("a call allocates %v times", n)
	}
}

// BenchmarkGather measures a scrape; it should take less than 100 ms for 10 000
// breakers.
func BenchmarkGather(b *testing.B) {
	c := newCollector(b)
	r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{Max: 10_000, Policy: opensAtOnce}, redbreaker.WithHooks(c.Hooks()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Stop)
	c.ObserveRegistry(r)
	for i := range 10_000 {
		breaker, err := r.Get(fmt.Sprintf("host-%05d.example.com", i))
		if err != nil {
			b.Fatal(err)
		}
		if i%100 == 0 {
			_ = breaker.Do(context.Background(), fail)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	b.ReportAllocs()
	for b.Loop() {
		families, err := registry.Gather()
		if err != nil {
			b.Fatal(err)
		}
		var out bytes.Buffer
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
				b.Fatal(err)
			}
		}
	}
}
