package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/metrics"
)

// TestAlerts runs promtool, which is part of Prometheus. Without it, the test is
// skipped, unless REDBREAKER_REQUIRE_PROMETHEUS is set.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("REDBREAKER_REQUIRE_PROMETHEUS") != "" {
			t.Fatalf("install Prometheus, such as Debian's package prometheus: %v", err)
		}
		t.Skipf("the alert rules are not tested: %v", err)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestAlerts_areListed finds each alert in the page and in the tests of the rules.
func TestAlerts_areListed(t *testing.T) {
	page, tests := pages(t)["docs/metrics.md"], readFile(t, "alerts_test.yml")
	alerts := regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, "alerts.yml"), -1)
	for _, a := range alerts {
		if !strings.Contains(page, "\n| "+a[1]+" |") {
			t.Errorf("the page does not list %s", a[1])
		}
		if !strings.Contains(tests, "alertname: "+a[1]+"\n        exp_alerts:\n") {
			t.Errorf("no test expects %s", a[1])
		}
	}
	if len(alerts) != strings.Count(page, "\n| Redbreaker") {
		t.Errorf("%d alerts, and the page lists others", len(alerts))
	}
}

var prometheusName = regexp.MustCompile(`\bredbreaker_\w+|\berror_type\b`)

// TestAlerts_names finds each metric and label of the rules and the dashboard among the
// instruments.
func TestAlerts_names(t *testing.T) {
	known := map[string]bool{}
	for _, i := range append(metrics.Instruments(), metrics.FleetInstruments()...) {
		name := i.PrometheusName()
		known[name] = true
		if i.Kind == metrics.Histogram {
			known[name+"_bucket"], known[name+"_sum"], known[name+"_count"] = true, true, true
		}
	}
	for _, a := range metrics.Attributes() {
		known[metrics.PrometheusLabel(a.Name)] = true
	}
	for _, file := range []string{"alerts.yml", "alerts_test.yml", "grafana/redbreaker.json"} {
		names := prometheusName.FindAllString(readFile(t, file), -1)
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s has the name %s, which no instrument has", file, name)
			}
		}
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
	}
}

// TestDashboard checks what Grafana would complain about: panels without an id or a
// query of their own, and panels that overlap.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "grafana/redbreaker.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, cells, rows := map[int]bool{}, map[[2]int]string{}, 0
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %d %q: its id is not its own, or it has no title or query", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			rows++
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Errorf("%q covers %q or leaves the page", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
	if rows != 5 {
		t.Errorf("%d rows, want the five of metrics.md", rows)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
