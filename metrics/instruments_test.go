package metrics

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker"
)

var (
	dotted = regexp.MustCompile(`^redbreaker(\.[a-z]+(_[a-z]+)*)+$`)
	units  = []string{"1", "s", "{call}", "{transition}", "{event}", "{operation}", "{trip}", "{error}"}
)

func allInstruments() []*Instrument { return append(Instruments(), FleetInstruments()...) }

func attributeNames() []string {
	var names []string
	for _, a := range Attributes() {
		names = append(names, a.Name)
	}
	return names
}

// Names follow the conventions of OpenTelemetry: a namespace, lower case, no unit and
// no _total in the name, units in UCUM, and no name that is a namespace of another.
func TestInstruments_conventions(t *testing.T) {
	names := map[string]bool{}
	for _, i := range allInstruments() {
		last := i.Name[strings.LastIndex(i.Name, ".")+1:]
		if !dotted.MatchString(i.Name) || names[i.Name] || last == "total" || strings.HasSuffix(last, "_total") || strings.Contains(last, "second") {
			t.Errorf("%s is no good name", i.Name)
		}
		names[i.Name] = true
		if !slices.Contains(units, i.Unit) {
			t.Errorf("%s has the unit %s", i.Name, i.Unit)
		}
		if !strings.HasSuffix(i.Description, ".") || strings.Contains(i.Description, "|") {
			t.Errorf("%s: %q is no sentence for a table", i.Name, i.Description)
		}
		if (i.Kind == Histogram) != (len(i.Boundaries) > 0) || !slices.IsSorted(i.Boundaries) {
			t.Errorf("%s is a %v with the bounds %v", i.Name, i.Kind, i.Boundaries)
		}
		for _, a := range i.Attributes {
			if !slices.Contains(attributeNames(), a) {
				t.Errorf("%s has the attribute %s, which is on no list", i.Name, a)
			}
		}
	}
	for _, name := range attributeNames() {
		if names[name] || name != "error.type" && !dotted.MatchString(name) {
			t.Errorf("%s is no good name of an attribute", name)
		}
	}
}

func TestInstruments_prometheus(t *testing.T) {
	for i, want := range map[*Instrument]string{
		Calls:          "redbreaker_circuit_breaker_calls_total",
		CallDuration:   "redbreaker_circuit_breaker_call_duration_seconds",
		Status:         "redbreaker_circuit_breaker_status",
		StepOperations: "redbreaker_storage_step_operations",
		FleetAge:       "redbreaker_fleet_age_seconds",
	} {
		if got := i.PrometheusName(); got != want {
			t.Errorf("%s is %s in Prometheus, want %s", i.Name, got, want)
		}
	}
}

// Logs and metrics name the same things alike.
func TestInstruments_logAttributes(t *testing.T) {
	var out bytes.Buffer
	hooks := redbreaker.LogHooks(slog.New(slog.NewTextHandler(&out, nil)))
	hooks.OnTransition(redbreaker.Transition{To: redbreaker.StateOpen, Cause: redbreaker.CauseConsecutive, Own: true})
	hooks.OnAnomaly(redbreaker.Event{Kind: redbreaker.EventSkew})
	hooks.OnDegraded(redbreaker.Event{Err: errors.New("down")})
	found := regexp.MustCompile(`redbreaker\.[\w.]+=`).FindAllString(out.String(), -1)
	for _, a := range found {
		if !slices.Contains(attributeNames(), strings.TrimSuffix(a, "=")) {
			t.Errorf("logs have the attribute %s, which no metric has", a)
		}
	}
	if len(found) != 8 || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("found %d attributes in:\n%s", len(found), out.String())
	}
}
