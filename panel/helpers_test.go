package panel_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testbed is a panel over an engine in memory, on a clock that the test moves.
type testbed struct {
	t     testing.TB
	store *engine.Memory
	panel *panel.Panel
	now   atomic.Int64
}

func newTestbed(t testing.TB, o panel.Options) *testbed {
	t.Helper()
	b := &testbed{t: t}
	b.now.Store(int64(time.Hour))
	b.store = engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(b.now.Load()) }))
	b.panel = newPanel(t, b.store, o)
	return b
}

func newPanel(t testing.TB, s engine.Storage, o panel.Options) *panel.Panel {
	t.Helper()
	p, err := panel.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// count makes calls that fail or succeed.
func (b *testbed) count(name string, p engine.Policy, outcomes ...engine.Outcome) {
	b.t.Helper()
	ctx := context.Background()
	h, err := b.store.Bind(name, p, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = h.Close() }) // the record lives as long as its handle
	for _, o := range outcomes {
		ticket, err := h.Acquire(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := h.Report(ctx, ticket, o, 0, &engine.Detail{Text: "connection refused"}); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *testbed) control(name string, c engine.Command) engine.Snapshot {
	b.t.Helper()
	s, err := b.store.Control(context.Background(), name, c)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *testbed) inspect(name string) engine.Snapshot {
	b.t.Helper()
	s, err := b.store.Inspect(context.Background(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
}

// send sends a request to the panel. Each header is Name: value.
func (b *testbed) send(method, path, body string, headers ...string) answer {
	b.t.Helper()
	return send(b.t, b.panel, method, path, body, headers...)
}

func send(t testing.TB, h http.Handler, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "panel.example"
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	response := w.Result()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(data)}
}

const formType = "Content-Type: application/x-www-form-urlencoded"

// decode reads a body of the API.
func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if kind := a.Header.Get("Content-Type"); kind != "application/json" {
		t.Fatalf("status %d, type %s: %s", a.StatusCode, kind, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// listed is a list of the API, as a client reads it.
type listed struct {
	Breakers []struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Key   string `json:"key"`
		State string `json:"state"`
	} `json:"breakers"`
	Page     int      `json:"page"`
	Pages    int      `json:"pages"`
	Matched  int      `json:"matched"`
	Total    int      `json:"total"`
	Problems []string `json:"problems"`
	Counts   struct {
		Open       int `json:"open"`
		HalfOpen   int `json:"half_open"`
		Closed     int `json:"closed"`
		Overridden int `json:"overridden"`
		Unnamed    int `json:"unnamed"`
	} `json:"counts"`
}

func (l *listed) names() string {
	var all []string
	for _, b := range l.Breakers {
		all = append(all, b.Name)
	}
	return strings.Join(all, " ")
}

// fill makes a breaker in each state.
func (b *testbed) fill() {
	b.t.Helper()
	streak := engine.Policy{ConsecutiveFailures: 3, OpenFor: time.Minute}
	b.count("calm", streak, engine.Success)
	b.count("near", streak, engine.Failure, engine.Failure)
	b.count("old", streak, engine.Failure, engine.Failure, engine.Failure)
	b.now.Add(int64(time.Second))
	b.count("open", streak, engine.Failure, engine.Failure, engine.Failure)
	b.count("probing", streak, engine.Success)
	b.control("probing", engine.Command{Action: engine.ActionHalfOpen})
	b.count("held", streak, engine.Success)
	b.control("held", engine.Command{Action: engine.ActionForceOpen, Reason: "maintenance", Actor: "ann", For: time.Hour})
	b.count("trial", streak, engine.Success)
	b.control("trial", engine.Command{Action: engine.ActionShadow})
}
