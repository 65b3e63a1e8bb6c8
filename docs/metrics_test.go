package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/metrics"
)

// generated is a part of metrics.md that is made from the list of instruments.
var generated = regexp.MustCompile(`(?s)<!-- generated: (\w+) -->\n.*?<!-- end -->\n`)

// TestMetrics_tables compares the tables of metrics.md with the instruments.
func TestMetrics_tables(t *testing.T) {
	const page = "metrics.md"
	tables := map[string]string{
		"process":    tableOfInstruments(metrics.Instruments()),
		"fleet":      tableOfInstruments(metrics.FleetInstruments()),
		"attributes": tableOfAttributes(),
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := generated.ReplaceAllStringFunc(string(text), func(part string) string {
		name := generated.FindStringSubmatch(part)[1]
		table := tables[name]
		delete(tables, name)
		return "<!-- generated: " + name + " -->\n" + table + "<!-- end -->\n"
	})
	for name := range tables {
		t.Errorf("the page has no place for the table %s", name)
	}
	if *rewrite {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("run go test ./docs -rewrite (-list +page):\n%s", diff)
	}
}

func tableOfInstruments(all []*metrics.Instrument) string {
	var table strings.Builder
	table.WriteString("| instrument, and its name in Prometheus | kind, unit | attributes | |\n|---|---|---|---|\n")
	for _, i := range all {
		kind := i.Kind.String() + " `" + i.Unit + "`"
		if i.OptIn {
			kind += ", opt-in"
		}
		var attributes []string
		for _, a := range i.Attributes {
			attributes = append(attributes, "`"+shortName(a)+"`")
		}
		table.WriteString("| `" + i.Name + "` `" + i.PrometheusName() + "` | " + kind + " | " + strings.Join(attributes, " ") + " | " + i.Description + " |\n")
	}
	return table.String()
}

func tableOfAttributes() string {
	var table strings.Builder
	table.WriteString("| short | attribute, and its label in Prometheus | values |\n|---|---|---|\n")
	for _, a := range metrics.Attributes() {
		table.WriteString("| `" + shortName(a.Name) + "` | `" + a.Name + "` `" + metrics.PrometheusLabel(a.Name) + "` | " + a.Values + " |\n")
	}
	return table.String()
}

// shortName returns the name of an attribute without the namespace of breakers.
func shortName(attribute string) string {
	return strings.TrimPrefix(attribute, "redbreaker.circuit_breaker.")
}
