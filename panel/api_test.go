package panel_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

func TestList_query(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	for query, want := range map[string]string{
		"":                             "open old held probing trial near calm",
		"?sort=name":                   "calm held near old open probing trial",
		"?sort=-name":                  "trial probing open old near held calm",
		"?sort=failures":               "near calm held old open probing trial",
		"?state=open":                  "open old",
		"?state=open&state=half_open":  "open old probing",
		"?mode=auto&state=closed":      "near calm",
		"?mode=forced_open":            "held",
		"?state=":                      "open old held probing trial near calm",
		"?q=OPE":                       "open",
		"?q=nothing":                   "",
		"?sort=name&per_page=2":        "calm held",
		"?sort=name&per_page=2&page=4": "trial",
		"?sort=name&per_page=2&page=9": "trial",
	} {
		l := decode[listed](t, b.send("GET", "/api/breakers"+query, ""))
		if l.names() != want {
			t.Errorf("%s: %q, want %q", query, l.names(), want)
		}
		if l.Total != 7 || l.Counts.Open != 2 || l.Counts.HalfOpen != 1 || l.Counts.Closed != 2 || l.Counts.Overridden != 2 {
			t.Errorf("%s: total %d, counts %+v", query, l.Total, l.Counts)
		}
	}
	for _, query := range []string{"?state=ajar", "?mode=x", "?sort=x", "?page=0", "?page=x", "?per_page=1001", "?per_page=-1", "?quety=x", "?q=" + strings.Repeat("x", 1001)} {
		if a := b.send("GET", "/api/breakers"+query, ""); a.StatusCode != 400 {
			t.Errorf("%s: status %d", query, a.StatusCode)
		}
	}
}

// A state that the query has many times is one state: a URL has room for 100 000 of them.
func TestList_repeatedStates(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	page := b.send("GET", "/?mode=auto"+strings.Repeat("&state=open", 1000)+strings.Repeat("&mode=auto", 1000), "")
	if n := strings.Count(page.body, `type="hidden"`); page.StatusCode != 200 || n != 2 {
		t.Errorf("status %d, %d hidden fields, want one for the state and one for the mode", page.StatusCode, n)
	}
}

func TestList_pages(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	for i := range 1234 {
		b.count(fmt.Sprintf("b%04d", i), engine.Policy{}, engine.Success)
	}
	seen := map[string]bool{}
	for page := 1; ; page++ {
		l := decode[listed](t, b.send("GET", fmt.Sprintf("/api/breakers?per_page=500&page=%d", page), ""))
		for _, one := range l.Breakers {
			seen[one.Name] = true
		}
		if l.Matched != 1234 || l.Pages != 3 || l.Page != page {
			t.Fatalf("page %d: %+v", page, l)
		}
		if page == l.Pages {
			break
		}
	}
	if len(seen) != 1234 {
		t.Errorf("%d breakers on all pages, want 1234", len(seen))
	}
}

func TestBreaker(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	s := decode[struct {
		ID    string              `json:"id"`
		Name  string              `json:"name"`
		State engine.State        `json:"state"`
		Log   []engine.Transition `json:"log"`
	}](t, b.send("GET", "/api/breakers/open", ""))
	if s.ID != "open" || s.Name != "open" || s.State != engine.StateOpen || len(s.Log) != 2 || s.Log[1].Text != "connection refused" {
		t.Errorf("%+v", s)
	}
	if a := b.send("GET", "/api/breakers/none", ""); a.StatusCode != 404 || !strings.Contains(a.body, "there is no breaker none") {
		t.Errorf("status %d: %s", a.StatusCode, a.body)
	}
	if decode[listed](t, b.send("GET", "/api/breakers", "")).Total != 7 {
		t.Error("to look for a breaker made one")
	}
}

func TestCommand_actions(t *testing.T) {
	for _, c := range []struct {
		action, body string
		state        engine.State
		mode         engine.Mode
	}{
		{"trip", `{"for":"10m","reason":"drill"}`, engine.StateOpen, engine.ModeAuto},
		{"trip", `{}`, engine.StateOpen, engine.ModeAuto},
		{"half-open", ``, engine.StateHalfOpen, engine.ModeAuto},
		{"half_open", ``, engine.StateHalfOpen, engine.ModeAuto},
		{"reset", `{"reason":"drill"}`, engine.StateClosed, engine.ModeAuto},
		{"force-open", `{"for":"1d"}`, engine.StateClosed, engine.ModeForcedOpen},
		{"force-closed", `{"for":"until-released"}`, engine.StateClosed, engine.ModeForcedClosed},
		{"shadow", `{"for":"1d12h"}`, engine.StateOpen, engine.ModeShadow},
		{"release", `{}`, engine.StateOpen, engine.ModeAuto},
	} {
		b := newTestbed(t, panel.Options{})
		b.fill()
		headers := []string{"Content-Type: application/json"}
		if c.body == "" {
			headers = nil
		}
		a := b.send("POST", "/api/breakers/open/"+c.action, c.body, headers...)
		s := b.inspect("open")
		if a.StatusCode != 200 || s.State != c.state || s.Mode != c.mode {
			t.Errorf("%s: status %d, %v in %v: %s", c.action, a.StatusCode, s.State, s.Mode, a.body)
		}
		if last := s.Log[len(s.Log)-1]; c.action != "release" && last.By != "panel" {
			t.Errorf("%s: the actor is %q", c.action, last.By)
		}
		if got := decode[engine.Snapshot](t, a); got.Epoch != s.Epoch {
			t.Errorf("%s: the answer has epoch %d, the record %d", c.action, got.Epoch, s.Epoch)
		}
	}
}

func TestCommand_term(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	b.send("POST", "/api/breakers/calm/force-open", "for=1d12h&reason=a+reason", formType)
	if s := b.inspect("calm"); s.ModeFor != 36*time.Hour || s.ModeReason != "a reason" {
		t.Errorf("the mode lasts %v for %q", s.ModeFor, s.ModeReason)
	}
	b.send("POST", "/api/breakers/near/trip?for=7m", "")
	if s := b.inspect("near"); s.OpenFor != 7*time.Minute {
		t.Errorf("it is open for %v", s.OpenFor)
	}
}

// A command that is refused changes nothing.
func TestCommand_refused(t *testing.T) {
	const json = "Content-Type: application/json"
	for _, c := range []struct {
		path, body, header string
		status             int
		says               string
	}{
		{"open/force-open", `{}`, json, 400, "duration of the mode"},
		{"open/force-open", `{"for":""}`, json, 400, "duration of the mode"},
		{"open/force-open", `{"for":"0s"}`, json, 400, "above 0"},
		{"open/force-open", `{"for":"-1m"}`, json, 400, "above 0"},
		{"open/force-open", `{"for":"367d"}`, json, 400, "at most 366d"},
		{"open/force-open", `{"for":"99999999999999d"}`, json, 400, "at most 366d"},
		{"open/force-open", `{"for":"soon"}`, json, 400, "soon"},
		{"open/trip", `{"for":"until-released"}`, json, 400, "until-released"},
		{"open/reset", `{"for":"1m"}`, json, 400, "no meaning"},
		{"open/reset", `{"if_epoch":-2}`, json, 400, "IfEpoch"},
		{"open/reset", `{"if_epoch":1}`, json, 409, "moved on"},
		{"open/reset", `{"if_epoch":-1}`, json, 409, "moved on"},
		{"open/reset", `{"reson":"x"}`, json, 400, "reson"},
		{"open/reset", `{} {}`, json, 400, "more than one"},
		{"open/reset", `[`, json, 400, "JSON"},
		{"open/reset", `reson=x`, formType, 400, "reson"},
		{"open/reset", `reason=x&reason=y`, formType, 400, "2 times"},
		{"open/reset", `if_epoch=x`, formType, 400, "if_epoch"},
		{"open/reset", `%`, formType, 400, "form"},
		{"open/reset", `x`, "Content-Type: text/plain", 415, "application/json"},
		{"open/reset", `{"reason":"` + strings.Repeat("x", 1<<20) + `"}`, json, 413, "too large"},
		{"open/reset", `reason=` + strings.Repeat("x", 1<<20), formType, 413, "too large"},
		{"open/explode", ``, formType, 404, "half-open"},
		{"held/trip", ``, formType, 409, "release it first"},
		{"none/reset", ``, formType, 404, "there is no breaker none"},
		{"~sha256-" + strings.Repeat("0", 64) + "/reset", ``, formType, 404, "digest"},
	} {
		b := newTestbed(t, panel.Options{})
		b.fill()
		before := b.inspect("open").Epoch
		a := b.send("POST", "/api/breakers/"+c.path, c.body, c.header)
		if a.StatusCode != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %.60s: status %d, want %d with %q: %.200s", c.path, c.body, a.StatusCode, c.status, c.says, a.body)
		}
		if after := b.inspect("open").Epoch; after != before {
			t.Errorf("%s %.60s: the breaker was changed", c.path, c.body)
		}
		if decode[listed](t, b.send("GET", "/api/breakers", "")).Total != 7 {
			t.Errorf("%s %.60s: a breaker was made", c.path, c.body)
		}
	}
}

func TestCommand_ifEpoch(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	seen := b.inspect("open").Epoch
	if a := b.send("POST", "/api/breakers/open/reset", fmt.Sprintf("if_epoch=%d", seen), formType); a.StatusCode != 200 {
		t.Errorf("with its epoch: status %d: %s", a.StatusCode, a.body)
	}
	if a := b.send("POST", "/api/breakers/open/trip", fmt.Sprintf("if_epoch=%d", seen), formType); a.StatusCode != 409 {
		t.Errorf("with an earlier epoch: status %d", a.StatusCode)
	}
	if a := b.send("POST", "/api/breakers/fresh/trip", "if_epoch=-1", formType); a.StatusCode != 200 || !b.inspect("fresh").Exists {
		t.Errorf("-1 makes it: status %d: %s", a.StatusCode, a.body)
	}
}

// restless is a storage whose breaker another process changes before each command, so
// often.
type restless struct {
	*engine.Memory
	changes int
}

func (r *restless) Control(ctx context.Context, name string, c engine.Command) (engine.Snapshot, error) {
	if r.changes > 0 {
		r.changes--
		if _, err := r.Memory.Control(ctx, name, engine.Command{Action: engine.ActionReset}); err != nil {
			return engine.Snapshot{}, err
		}
	}
	return r.Memory.Control(ctx, name, c)
}

func TestCommand_repeatsAfterConflict(t *testing.T) {
	for changes, status := range map[int]int{3: 200, 100: 409} {
		store := &restless{Memory: engine.NewMemory()}
		p := newPanel(t, store, panel.Options{})
		if _, err := store.Control(context.Background(), "a", engine.Command{Action: engine.ActionReset}); err != nil {
			t.Fatal(err)
		}
		store.changes = changes
		if a := send(t, p, "POST", "/api/breakers/a/trip", ""); a.StatusCode != status {
			t.Errorf("%d changes: status %d, want %d: %s", changes, a.StatusCode, status, a.body)
		}
	}
}

// failing is a storage of which a part does not answer.
type failing struct {
	*engine.Memory
	names, inspect, control error
	partial                 bool // Names yields its error after the names
}

func (f *failing) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	return func(yield func(engine.Listed, error) bool) {
		if f.names == nil || f.partial {
			for l := range f.Memory.Names(ctx) {
				if !yield(l, nil) {
					return
				}
			}
			yield(engine.Listed{Key: "shop:{long#0123}"}, nil)
		}
		if f.names != nil {
			yield(engine.Listed{}, f.names)
		}
	}
}

func (f *failing) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	if f.inspect != nil {
		return engine.Snapshot{}, f.inspect
	}
	return f.Memory.Inspect(ctx, name)
}

func (f *failing) Control(ctx context.Context, name string, c engine.Command) (engine.Snapshot, error) {
	if f.control != nil {
		return engine.Snapshot{}, f.control
	}
	return f.Memory.Control(ctx, name, c)
}

func TestFaults_ofTheStorage(t *testing.T) {
	refused := &engine.StorageError{Class: engine.ClassNotExecuted, Op: "inspect", Err: errors.New("connection refused")}
	unknown := &engine.StorageError{Class: engine.ClassUnknown, Op: "control", Err: errors.New("timeout")}
	foreign := &engine.StorageError{Class: engine.ClassForeign, Op: "inspect", Err: engine.ErrForeignKey}
	for _, c := range []struct {
		store        failing
		method, path string
		status       int
		says         string
	}{
		{failing{names: refused}, "GET", "/api/breakers", 503, "connection refused"},
		{failing{names: refused}, "GET", "/", 503, "The storage does not answer"},
		{failing{names: refused, partial: true}, "GET", "/api/breakers", 200, `"problems":["inspect`},
		{failing{names: refused, partial: true}, "GET", "/", 200, "Some breakers could not be read"},
		{failing{}, "GET", "/api/breakers", 200, `{"key":"shop:{long#0123}"}`},
		{failing{}, "GET", "/", 200, "too long to be stored"},
		{failing{inspect: refused}, "GET", "/api/breakers/a", 503, "connection refused"},
		{failing{inspect: foreign}, "GET", "/api/breakers/a", 502, "other data"},
		{failing{inspect: foreign}, "GET", "/breakers/a", 502, "other data"},
		{failing{control: unknown}, "POST", "/api/breakers/a/trip", 503, "may have been carried out"},
		{failing{control: unknown}, "POST", "/breakers/a/trip", 503, "It is unknown whether this was done"},
		{failing{control: engine.ErrStopped}, "POST", "/api/breakers/a/trip", 503, "stopped"},
	} {
		c.store.Memory = engine.NewMemory()
		if _, err := c.store.Memory.Control(context.Background(), "a", engine.Command{Action: engine.ActionReset}); err != nil {
			t.Fatal(err)
		}
		p := newPanel(t, &c.store, panel.Options{})
		if a := send(t, p, c.method, c.path, ""); a.StatusCode != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s: status %d, want %d with %q: %s", c.method, c.path, a.StatusCode, c.status, c.says, a.body)
		}
	}
}
