package panel_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// webhook is a body as an Alertmanager sends it.
func webhook(t testing.TB, status string, labels, annotations map[string]string) string {
	t.Helper()
	one := map[string]any{
		"status": status, "labels": labels, "annotations": annotations, "fingerprint": "c3e7a1",
		"startsAt": "2026-01-02T03:04:05Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://127.0.0.1:1/never-fetched",
	}
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "status": status, "receiver": "redbreaker", "groupLabels": map[string]string{}, "commonLabels": labels,
		"commonAnnotations": annotations, "externalURL": "http://127.0.0.1:1/never-fetched", "truncatedAlerts": 0, "alerts": []any{one},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

type labels = map[string]string

func (b *testbed) alert(status string, l labels) answer {
	b.t.Helper()
	return b.send("POST", "/api/alertmanager", webhook(b.t, status, l, labels{"summary": "the budget burns"}), "Content-Type: application/json")
}

func TestAlertmanager_trip(t *testing.T) {
	b := newTestbed(t, panel.Options{Actor: func(*http.Request) string { return "not this one" }})
	b.fill()
	burn := labels{"alertname": "BudgetBurn", "breaker": "calm", "breaker_for": "20m"}
	if a := b.alert("firing", burn); a.StatusCode != 200 || !strings.Contains(a.body, `"did":"trip"`) {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	s := b.inspect("calm")
	if last := s.Log[len(s.Log)-1]; s.State != engine.StateOpen || s.OpenFor != 20*time.Minute || last.By != "alertmanager" || last.Text != "BudgetBurn: the budget burns" {
		t.Errorf("%v for %v, by %+v", s.State, s.OpenFor, last)
	}
	// While it lasts, repeated calls write nothing until half of the time is over.
	b.now.Add(int64(9 * time.Minute))
	if a := b.alert("firing", burn); !strings.Contains(a.body, "skipped") || b.inspect("calm").Epoch != s.Epoch {
		t.Errorf("repeated early: %s", a.body)
	}
	b.now.Add(int64(2 * time.Minute))
	if b.alert("firing", burn); b.inspect("calm").RetryAfter != 20*time.Minute {
		t.Errorf("repeated late: probes in %v", b.inspect("calm").RetryAfter)
	}
	// Another alert does not end it.
	if a := b.alert("resolved", labels{"alertname": "Budget", "breaker": "calm"}); !strings.Contains(a.body, "skipped") || b.inspect("calm").State != engine.StateOpen {
		t.Errorf("another alert: %s", a.body)
	}
	if a := b.alert("resolved", burn); !strings.Contains(a.body, `"did":"half-open"`) || b.inspect("calm").State != engine.StateHalfOpen {
		t.Errorf("the end: %v, %s", b.inspect("calm").State, a.body)
	}
	if a := b.alert("resolved", burn); !strings.Contains(a.body, "skipped") {
		t.Errorf("the end again: %s", a.body)
	}
}

func TestAlertmanager_forceOpen(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	burn := labels{"alertname": "BudgetBurn", "breaker": "calm", "breaker_action": "force-open"}
	b.alert("firing", burn)
	if s := b.inspect("calm"); s.Mode != engine.ModeForcedOpen || s.ModeFor != time.Hour || s.ModeBy != "alertmanager" {
		t.Errorf("%v for %v by %s", s.Mode, s.ModeFor, s.ModeBy)
	}
	b.now.Add(int64(40 * time.Minute))
	if b.alert("firing", burn); b.inspect("calm").ModeFor != time.Hour {
		t.Errorf("repeated: %v", b.inspect("calm").ModeFor)
	}
	if b.alert("resolved", burn); b.inspect("calm").Mode != engine.ModeAuto {
		t.Errorf("the end: %v", b.inspect("calm").Mode)
	}
}

// An operator decides, whatever an alert asks for.
func TestAlertmanager_respectsOperators(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	for _, name := range []string{"held", "trial"} {
		for _, action := range []string{"trip", "force-open"} {
			if name == "trial" && action == "trip" {
				continue // a trip has no effect in shadow, and leaves the mode
			}
			// More than twice as long as the mode, so that its end is no reason to skip.
			l := labels{"alertname": "A", "breaker": name, "breaker_action": action, "breaker_for": "10h"}
			before := b.inspect(name).Epoch
			for _, status := range []string{"firing", "resolved"} {
				if a := b.alert(status, l); a.StatusCode != 200 || !strings.Contains(a.body, "skipped") || strings.Contains(a.body, "another alert") || b.inspect(name).Epoch != before {
					t.Errorf("%s %s %s: %s", name, action, status, a.body)
				}
			}
		}
	}
	// It opened by itself: the end of an alert does not end that.
	if a := b.alert("resolved", labels{"alertname": "A", "breaker": "open"}); !strings.Contains(a.body, "skipped") || b.inspect("open").State != engine.StateOpen {
		t.Errorf("a circuit that opened by itself: %s", a.body)
	}
}

func TestAlertmanager_faults(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{webhook(t, "firing", labels{"alertname": "A"}, nil), 400, "no label breaker"},
		{webhook(t, "firing", labels{"breaker": "none"}, nil), 404, "there is no breaker none"},
		{webhook(t, "firing", labels{"breaker": "calm", "breaker_action": "reset", "breaker_for": "x"}, nil), 400, "use trip or force-open"},
		{webhook(t, "firing", labels{"breaker": "calm", "breaker_for": "0s"}, nil), 400, "breaker_for"},
		{webhook(t, "ringing", labels{"breaker": "calm"}, nil), 400, "ringing"},
		{`{"version":"3","alerts":[]}`, 400, "version 4"},
		{`x`, 400, "webhook"},
		{`{"version":"4","alerts":[]}`, 200, `{"alerts":[]}`},
		{webhook(t, "firing", labels{"breaker": "calm"}, labels{"summary": strings.Repeat("x", 1<<20)}), 413, "too large"},
	} {
		before := b.inspect("calm").Epoch
		a := b.send("POST", "/api/alertmanager", c.body, "Content-Type: application/json")
		if a.StatusCode != c.status || !strings.Contains(a.body, c.says) || b.inspect("calm").Epoch != before {
			t.Errorf("%.80s: status %d, want %d with %q: %s", c.body, a.StatusCode, c.status, c.says, a.body)
		}
	}
}

// One call may have many alerts: each is handled, and one that fires wins over one of
// the same breaker that has ended.
func TestAlertmanager_manyAlerts(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	body := `{"version":"4","alerts":[
		{"status":"firing","labels":{"alertname":"A","breaker":"calm","breaker_action":"force-open"}},
		{"status":"firing","labels":{"alertname":"A","breaker":"none"}},
		{"status":"firing","labels":{"alertname":"A"},"annotations":{"breaker":"near"}},
		{"status":"resolved","labels":{"alertname":"A","breaker":"calm","breaker_action":"force-open"}}]}`
	a := b.send("POST", "/api/alertmanager", body)
	if a.StatusCode != 404 || b.inspect("calm").Mode != engine.ModeForcedOpen || b.inspect("near").State != engine.StateOpen {
		t.Errorf("status %d, %v, %v: %s", a.StatusCode, b.inspect("calm").Mode, b.inspect("near").State, a.body)
	}
}
