package web

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStore(t *testing.T) *engine.Memory {
	t.Helper()
	store := engine.NewMemory()
	for name, action := range map[string]engine.Action{"payments": engine.ActionTrip, "search": engine.ActionReset} {
		if _, err := store.Control(context.Background(), name, engine.Command{Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func newSite(t *testing.T, c Config) *Site {
	t.Helper()
	if c.Store == nil {
		c.Store = newStore(t)
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(s http.Handler, method, path string, change func(*http.Request)) (int, string, http.Header) {
	r := httptest.NewRequest(method, "http://127.0.0.1:8686"+path, http.NoBody)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func TestConfig_namesEveryFault(t *testing.T) {
	c := Config{Store: newStore(t), Listen: "nonsense", User: "a:b", Prefix: "x", Title: "\x1b"}
	_, err := New(c)
	for _, want := range []string{"--listen", "set both or none", "colon", "Prefix", "Title"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// Only with a password, read-only, or on request do other machines reach the panel.
func TestConfig_loopback(t *testing.T) {
	for listen, isSafe := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, ":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "host.example:1": false,
	} {
		for _, c := range []struct {
			Config
			isFine bool
		}{
			{Config{}, isSafe}, {Config{ReadOnly: true}, true}, {Config{Anonymous: true}, true}, {Config{User: "a", Password: "b"}, true},
		} {
			c.Listen = listen
			if err := c.Validate(); (err == nil) != c.isFine {
				t.Errorf("%s, %+v: %v", listen, c.Config, err)
			}
		}
	}
}

func TestConfig_hosts(t *testing.T) {
	for host, isFine := range map[string]bool{"panel.example": true, "::1": true, "panel.example:8686": false, "[::1]:8686": false} {
		c := Config{Listen: "127.0.0.1:8686", Hosts: []string{host}}
		if err := c.Validate(); (err == nil) != isFine {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestSite_password(t *testing.T) {
	store := newStore(t)
	s := newSite(t, Config{Store: store, User: "ann", Password: "secret"})
	for _, path := range []string{"/", "/breakers/payments", "/api/breakers", "/api/events", "/metrics", "/nothing"} {
		for name, change := range map[string]func(*http.Request){
			"none":            nil,
			"wrong password":  func(r *http.Request) { r.SetBasicAuth("ann", "Secret") },
			"wrong user":      func(r *http.Request) { r.SetBasicAuth("ben", "secret") },
			"empty":           func(r *http.Request) { r.SetBasicAuth("", "") },
			"shifted colon":   func(r *http.Request) { r.SetBasicAuth("", "ann:secret") },
			"another scheme":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer secret") },
			"a broken header": func(r *http.Request) { r.Header.Set("Authorization", "Basic %%%") },
		} {
			if code, _, h := ask(s, "HEAD", path, change); code != 401 || h.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %s: status %d", path, name, code)
			}
		}
	}
	if code, _, _ := ask(s, "POST", "/api/breakers/payments/reset", nil); code != 401 {
		t.Errorf("a command without the password: status %d", code)
	}
	ann := func(r *http.Request) { r.SetBasicAuth("ann", "secret") }
	if code, body, _ := ask(s, "GET", "/", ann); code != 200 || !strings.Contains(body, "1 circuit is open") {
		t.Errorf("with the password: status %d", code)
	}
	if code, body, _ := ask(s, "POST", "/api/breakers/payments/reset", ann); code != 200 {
		t.Errorf("a command: status %d: %s", code, body)
	}
	after, err := store.Inspect(context.Background(), "payments")
	if err != nil || after.Log[len(after.Log)-1].By != "ann" {
		t.Errorf("the actor is %q, %v", after.Log[len(after.Log)-1].By, err)
	}
}

// Without a password, a page of another site must not reach the panel under a name that
// it made an alias of this machine.
func TestSite_hostNames(t *testing.T) {
	s := newSite(t, Config{Listen: "box.example:8686", Anonymous: true, Hosts: []string{"panel.example"}})
	for host, want := range map[string]int{
		"127.0.0.1:8686": 200, "127.0.0.1": 200, "[::1]:8686": 200, "[::1]": 200, "10.1.2.3:8686": 200, "localhost:8686": 200, "LOCALHOST": 200,
		"box.example:8686": 200, "panel.example": 200, "Panel.Example:443": 200,
		"evil.example": 421, "evil.example:8686": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		if code, _, _ := ask(s, "GET", "/api/breakers", func(r *http.Request) { r.Host = host }); code != want {
			t.Errorf("%q: status %d, want %d", host, code, want)
		}
	}
	s = newSite(t, Config{User: "ann", Password: "secret"})
	if code, _, _ := ask(s, "GET", "/", func(r *http.Request) { r.Host = "any.example"; r.SetBasicAuth("ann", "secret") }); code != 200 {
		t.Errorf("with a password: status %d", code)
	}
}

func TestSite_readOnlyAndPrefix(t *testing.T) {
	s := newSite(t, Config{ReadOnly: true, Prefix: "/breakers"})
	if code, _, _ := ask(s, "POST", "/breakers/api/breakers/payments/reset", nil); code != 403 {
		t.Errorf("a command: status %d", code)
	}
	if code, _, _ := ask(s, "GET", "/breakers/", nil); code != 200 {
		t.Errorf("the panel: status %d", code)
	}
	if code, _, _ := ask(s, "GET", "/api/breakers", nil); code != 404 {
		t.Errorf("without the prefix: status %d", code)
	}
}

func TestSite_metrics(t *testing.T) {
	s := newSite(t, Config{Prefix: "/breakers"})
	code, body, h := ask(s, "GET", "/metrics", nil)
	if code != 200 || !strings.HasPrefix(h.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("status %d, %v", code, h)
	}
	for _, want := range []string{
		"# TYPE redbreaker_fleet_status gauge\n",
		`redbreaker_fleet_status{redbreaker_circuit_breaker_name="payments",redbreaker_circuit_breaker_state="open"} 1` + "\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in:\n%s", want, body)
		}
	}
}

// down is a storage that does not answer.
type down struct {
	*engine.Memory
	err error
}

func (s down) Names(context.Context) iter.Seq2[engine.Listed, error] {
	return func(yield func(engine.Listed, error) bool) { yield(engine.Listed{}, s.err) }
}

func TestSite_health(t *testing.T) {
	if code, body, _ := ask(newSite(t, Config{User: "a", Password: "b"}), "GET", "/healthz", nil); code != 200 || body != "ok\n" {
		t.Errorf("status %d: %s", code, body)
	}
	if code, body, _ := ask(newSite(t, Config{Store: engine.NewMemory()}), "GET", "/healthz", nil); code != 200 {
		t.Errorf("without breakers: status %d: %s", code, body)
	}
	for _, class := range []engine.Class{engine.ClassRefused, engine.ClassForeign} {
		s := newSite(t, Config{Store: down{engine.NewMemory(), &engine.StorageError{Class: class}}})
		if code, body, _ := ask(s, "GET", "/healthz", nil); code != 200 {
			t.Errorf("%v: status %d: %s", class, code, body)
		}
	}
	s := newSite(t, Config{Store: down{engine.NewMemory(), errors.New("10.0.0.7 refused the connection")}})
	if code, body, _ := ask(s, "GET", "/healthz", nil); code != 503 || strings.Contains(body, "10.0.0.7") {
		t.Errorf("status %d: %s", code, body)
	}
	if code, body, _ := ask(s, "GET", "/metrics", nil); code != 200 || !strings.Contains(body, "redbreaker_fleet_errors") {
		t.Errorf("metrics: status %d: %s", code, body)
	}
}

// A stop does not wait for browsers that follow events.
func TestSite_stops(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s := newSite(t, Config{})
	go func() { ended <- s.Serve(ctx, l) }()
	response, err := http.Get("http://" + l.Addr().String() + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	cancel()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not stop")
	}
	http.DefaultClient.CloseIdleConnections()
}
