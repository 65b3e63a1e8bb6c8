package panel_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// blind is a storage that cannot list its breakers.
type blind struct{ engine.Storage }

func (blind) Kind() string { return "blind" }

func TestNew_namesEveryFault(t *testing.T) {
	_, err := panel.New(nil, panel.Options{Prefix: "panel/", Title: "a\x1bb" + strings.Repeat("x", 90)})
	if !errors.Is(err, engine.ErrInvalid) {
		t.Fatalf("the error is %v, want ErrInvalid", err)
	}
	for _, want := range []string{"storage is nil", `"panel/"`, "93 bytes", "printable"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := panel.New(blind{}, panel.Options{}); err == nil || !strings.Contains(err.Error(), "blind cannot list") {
		t.Errorf("a storage that cannot list: %v", err)
	}
	for prefix, isValid := range map[string]bool{
		"": true, "/a": true, "/a/b-c.d": true, "/": false, "a": false, "/a/": false, "/a//b": false,
		"/a/../b": false, "/./a": false, "/{a}": false, "/a b": false, "/%41": false, "/é": false,
	} {
		if _, err := panel.New(engine.NewMemory(), panel.Options{Prefix: prefix}); (err == nil) != isValid {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

// Every link and every asset of a page has the prefix, and leads somewhere.
func TestPanel_prefix(t *testing.T) {
	b := newTestbed(t, panel.Options{Prefix: "/ops/breakers"})
	b.fill()
	seen := map[string]bool{}
	queue := []string{"/ops/breakers/"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		a := b.send("GET", path, "")
		if a.StatusCode != 200 {
			t.Errorf("%s: status %d", path, a.StatusCode)
		}
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, link := range linksOf(t, a.body) {
			if !strings.HasPrefix(link, "/ops/breakers/") && !strings.HasPrefix(link, "#") {
				t.Errorf("%s links to %s, outside of the prefix", path, link)
			} else if link[0] == '/' {
				queue = append(queue, link)
			}
		}
	}
	if len(seen) < 7*6 {
		t.Errorf("only %d pages were found: %v", len(seen), seen)
	}
	if a := b.send("GET", "/elsewhere", ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("outside of the prefix: status %d", a.StatusCode)
	}
	if a := b.send("GET", "/ops/breakers/nothing", ""); a.StatusCode != 404 || !strings.Contains(a.body, "Not found") {
		t.Errorf("a page that does not exist: status %d", a.StatusCode)
	}
}

func TestPanel_headers(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	for _, path := range []string{"/", "/breakers/open", "/breakers/open/trip", "/nothing", "/api/breakers", "/api/breakers/none", "/assets/x/y"} {
		a := b.send("GET", path, "")
		policy := a.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if strings.Contains(a.body, "<style") || strings.Contains(a.body, " style=") || strings.Contains(a.body, " onclick") || strings.Count(a.body, "<script") > 1 {
			t.Errorf("%s has scripts or styles within the page", path)
		}
	}
	asset := b.send("GET", linksOf(t, b.send("GET", "/", "").body)[1], "")
	if asset.StatusCode != 200 || !strings.Contains(asset.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("an asset: status %d, %v", asset.StatusCode, asset.Header)
	}
}

func TestPanel_methods(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	for _, c := range []struct{ method, path string }{
		{"POST", "/api/breakers"}, {"DELETE", "/api/breakers/open"}, {"GET", "/api/breakers/open/reset"}, {"PUT", "/api/breakers/open/reset"}, {"GET", "/api/alertmanager"},
	} {
		before := b.inspect("open").Epoch
		if a := b.send(c.method, c.path, ""); a.StatusCode != 405 && a.StatusCode != 404 {
			t.Errorf("%s %s: status %d", c.method, c.path, a.StatusCode)
		}
		if b.inspect("open").Epoch != before {
			t.Errorf("%s %s changed the breaker", c.method, c.path)
		}
	}
	if a := b.send("HEAD", "/api/events", ""); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD of the events: status %d, %v", a.StatusCode, a.Header)
	}
}
