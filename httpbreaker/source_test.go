package httpbreaker_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

func TestByHost(t *testing.T) {
	for raw, want := range map[string]string{
		"http://api.example":           "api.example:80",
		"https://api.example/charges":  "api.example:443",
		"https://API.Example:443/":     "api.example:443",
		"https://api.example:8443/":    "api.example:8443",
		"wss://api.example/":           "api.example:443",
		"ws://api.example/":            "api.example:80",
		"http://api.example:/":         "api.example:80",
		"http://[::1]/":                "[::1]:80",
		"http://[::1]:8080/":           "[::1]:8080",
		"https://user:secret@api.test": "api.test:443",
		"/only/a/path":                 "",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := httpbreaker.ByHost(&http.Request{URL: u}); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestByHost_noURL(t *testing.T) {
	if got := httpbreaker.ByHost(&http.Request{}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestKeyed(t *testing.T) {
	registry, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	source := httpbreaker.Keyed(registry, func(r *http.Request) string { return r.Header.Get("Tenant") })
	b, err := source(&http.Request{Header: http.Header{"Tenant": {"a"}}})
	if err != nil || b.Name() != "a" {
		t.Errorf("got %v, %v", b, err)
	}
	registry.Stop()
	if _, err := source(&http.Request{Header: http.Header{"Tenant": {"a"}}}); err != redbreaker.ErrStopped {
		t.Errorf("after Stop: %v", err)
	}
}
