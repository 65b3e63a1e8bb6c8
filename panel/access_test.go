package panel_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// writes are all requests that change a breaker.
var writes = []struct{ path, body, kind string }{
	{"/api/breakers/open/reset", "", ""},
	{"/api/breakers/open/reset", "{}", "Content-Type: application/json"},
	{"/api/breakers/open/reset", "reason=x", formType},
	{"/breakers/open/reset", "reason=x", formType},
	{"/api/alertmanager", `{"version":"4","alerts":[{"status":"firing","labels":{"breaker":"open","breaker_for":"5h"}}]}`, "Content-Type: application/json"},
}

// checkWrites sends all requests that change a breaker, and checks whether they do.
func checkWrites(t *testing.T, o panel.Options, status int, headers ...string) {
	t.Helper()
	for _, w := range writes {
		b := newTestbed(t, o)
		b.fill()
		before := b.inspect("open").Epoch
		all := headers
		if w.kind != "" {
			all = append([]string{w.kind}, headers...)
		}
		a := b.send("POST", w.path, w.body, all...)
		if isDone := b.inspect("open").Epoch != before; isDone != (status == 0) {
			t.Errorf("%s %s with %q: status %d, done %v", w.path, w.kind, headers, a.StatusCode, isDone)
		}
		if status != 0 && a.StatusCode != status {
			t.Errorf("%s %s with %q: status %d, want %d", w.path, w.kind, headers, a.StatusCode, status)
		}
	}
}

func TestAccess_crossSite(t *testing.T) {
	for _, headers := range [][]string{
		{},
		{"Sec-Fetch-Site: same-origin"},
		{"Sec-Fetch-Site: same-origin", "Origin: https://panel.example"},
		{"Sec-Fetch-Site: none"},
		{"Origin: https://panel.example"},
		{"Origin: http://PANEL.example"},
	} {
		checkWrites(t, panel.Options{}, 0, headers...)
	}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: same-site"},
		{"Sec-Fetch-Site: anything"},
		{"Sec-Fetch-Site: cross-site", "Origin: https://panel.example"},
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"},
		{"Origin: https://evil.example"},
		{"Origin: https://panel.example.evil.example"},
		{"Origin: https://panel.example:8443"},
		{"Origin: null"},
		{"Origin: panel.example"},
	} {
		checkWrites(t, panel.Options{}, http.StatusForbidden, headers...)
	}
}

// Another site may link to a page, and may neither read nor frame one.
func TestAccess_crossSiteReads(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	cross := "Sec-Fetch-Site: cross-site"
	for _, c := range []struct {
		path    string
		headers []string
		status  int
	}{
		{"/breakers/open", []string{cross, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200},
		{"/breakers/open", []string{cross, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403},
		{"/breakers/open", []string{cross, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, 403},
		{"/api/breakers", []string{cross, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 403},
		{"/api/breakers", []string{cross, "Sec-Fetch-Mode: cors"}, 403},
		{"/api/events", []string{cross, "Sec-Fetch-Mode: cors"}, 403},
		{"/api/breakers", []string{"Origin: https://evil.example"}, 403},
		{"/api/breakers", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"/api/breakers", nil, 200},
	} {
		method := "GET"
		if c.path == "/api/events" {
			method = "HEAD" // a GET would not end if it was let in
		}
		a := b.send(method, c.path, "", c.headers...)
		if a.StatusCode != c.status {
			t.Errorf("%s with %q: status %d, want %d", c.path, c.headers, a.StatusCode, c.status)
		}
		if a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s lets other sites read", c.path)
		}
	}
}

func TestAccess_readOnly(t *testing.T) {
	o := panel.Options{ReadOnly: true}
	checkWrites(t, o, http.StatusForbidden)
	b := newTestbed(t, o)
	b.fill()
	page := b.send("GET", "/breakers/open", "")
	if page.StatusCode != 200 || strings.Contains(page.body, "/breakers/open/") || !strings.Contains(page.body, "Read-only") {
		t.Errorf("the page of a read-only panel: %s", page.body)
	}
	if a := b.send("GET", "/breakers/open/reset", ""); a.StatusCode != 403 {
		t.Errorf("the form of a read-only panel: status %d", a.StatusCode)
	}
}

func TestAccess_allow(t *testing.T) {
	checkWrites(t, panel.Options{Allow: func(*http.Request, string, engine.Command) error { return nil }}, 0)
	checkWrites(t, panel.Options{Allow: func(*http.Request, string, engine.Command) error { return errors.New("ask the owner") }}, http.StatusForbidden)

	var name string
	var command engine.Command
	b := newTestbed(t, panel.Options{
		Actor: func(r *http.Request) string { return r.Header.Get("X-User") },
		Allow: func(r *http.Request, n string, c engine.Command) error {
			name, command = n, c
			if r.Header.Get("X-User") != "ann" {
				return errors.New("only ann may do this")
			}
			return nil
		},
	})
	b.fill()
	a := b.send("POST", "/api/breakers/open/trip", "for=1m&reason=why", formType, "X-User: ben")
	if a.StatusCode != 403 || !strings.Contains(a.body, "only ann may do this") {
		t.Errorf("ben: status %d: %s", a.StatusCode, a.body)
	}
	if name != "open" || command.Action != engine.ActionTrip || command.Reason != "why" || command.Actor != "ben" {
		t.Errorf("Allow was asked about %q, %+v", name, command)
	}
	if a := b.send("POST", "/api/breakers/open/trip", "for=1m&reason=why", formType, "X-User: ann"); a.StatusCode != 200 {
		t.Errorf("ann: status %d: %s", a.StatusCode, a.body)
	}
	if last := b.inspect("open").Log; last[len(last)-1].By != "ann" || last[len(last)-1].Text != "why" {
		t.Errorf("the log has %+v", last[len(last)-1])
	}
}
