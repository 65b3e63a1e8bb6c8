package panel_test

import (
	"encoding/json"
	"html"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// hostileName would run a script, move a terminal's cursor and turn the text around.
const hostileName = "<script>alert(1)</script>\x1b[2J\x00\xff\u202e'\"&/.."

var hostileNames = []string{
	hostileName, ".", "..", "../..", "a/../b", "/", "//", "%2F", "%", "%zz", "~", "~41", "~zz", "~sha256-0", "a b", "a+b", "?", "#", "a?b#c&d=e",
	"\x00", "\xff\xfe", "\u202e", "日本", "a\nb", `"`, "'", "`", "{{.}}", "${x}", "javascript:alert(1)", " ", "-", "x'onmouseover='alert(1)",
	strings.Repeat("é", 400), strings.Repeat("/", 1000), strings.Repeat("x", 1<<20),
}

// Names are listed, shown and controlled, whatever their bytes are.
func TestNames_hostile(t *testing.T) {
	b := newTestbed(t, panel.Options{Prefix: "/p"})
	for _, name := range hostileNames {
		b.count(name, engine.Policy{}, engine.Success)
	}
	l := decode[listed](t, b.send("GET", "/p/api/breakers?per_page=1000", ""))
	if l.Total != len(hostileNames) {
		t.Fatalf("%d are listed, want %d", l.Total, len(hostileNames))
	}
	reset := map[string]bool{}
	for _, one := range l.Breakers {
		if strings.ContainsAny(one.ID, "/%?#&'\"<> .") && !regexp.MustCompile(`^[A-Za-z0-9_.~-]+$`).MatchString(one.ID) || len(one.ID) > 2000 {
			t.Errorf("%q is no part of a path", one.ID)
		}
		page := b.send("GET", "/p/breakers/"+one.ID, "")
		if page.StatusCode != 200 {
			t.Errorf("the page of %.40q: status %d", one.Name, page.StatusCode)
		}
		checkHarmless(t, page.body)
		if a := b.send("POST", "/p/api/breakers/"+one.ID+"/reset", ""); a.StatusCode != 200 {
			t.Errorf("%.40q: status %d: %s", one.Name, a.StatusCode, a.body)
		}
		reset[one.ID] = true
	}
	for _, name := range hostileNames {
		if s := b.inspect(name); len(s.Log) != 2 {
			t.Errorf("%.40q has %d transitions, want the one that its URL caused", name, len(s.Log)-1)
		}
	}
	if len(reset) != len(hostileNames) {
		t.Errorf("%d different ids, want %d", len(reset), len(hostileNames))
	}
	list := b.send("GET", "/p/?per_page=1000", "")
	checkHarmless(t, list.body)
	if len(list.body) > 200_000 {
		t.Errorf("the list has %d bytes", len(list.body))
	}
	if s := b.send("GET", "/p/?q="+strings.Repeat("%22%3E%3Cscript%3E", 9), ""); strings.Contains(s.body, `"><script>`) {
		t.Error("a search is not escaped")
	}
}

// checkHarmless fails the test if a page has characters that do not show, or scripts
// that are not its own.
func checkHarmless(t *testing.T, page string) {
	t.Helper()
	if !utf8.ValidString(page) {
		t.Error("the page is no UTF-8")
	}
	for _, r := range html.UnescapeString(page) {
		if r < ' ' && r != '\n' || r == '\x7f' || r >= '\u202a' && r <= '\u202e' || r == utf8.RuneError {
			t.Errorf("the page has the character %U", r)
			return
		}
	}
	for _, bad := range []string{"<script>", "onmouseover='", `="javascript:`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// What processes report may be hostile too.
func TestNames_hostileTexts(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	text := "<img src=x onerror=alert(1)>\x1b[31m\u202e\xff"
	for _, name := range []string{"open", "calm"} {
		b.control(name, engine.Command{Action: engine.ActionForceOpen, Reason: text, Actor: text})
	}
	b.control("near", engine.Command{Action: engine.ActionTrip, Reason: text, Actor: text})
	for _, path := range []string{"/", "/breakers/open", "/breakers/near", "/breakers/open/release"} {
		page := b.send("GET", path, "").body
		checkHarmless(t, page)
		if strings.Contains(page, "<img") {
			t.Errorf("%s has an element of a reason", path)
		}
	}
}

// Names that people choose stay readable in URLs.
func TestNames_readable(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	for name, want := range map[string]string{
		"payments": "payments", "api.example.com": "api.example.com", "eu-west_1": "eu-west_1",
		"a/b": "a~2Fb", "GET /users": "GET~20~2Fusers", ".hidden": "~2Ehidden", "a~b": "a~7Eb",
	} {
		b.count(name, engine.Policy{}, engine.Success)
		one := decode[struct{ ID, Name string }](t, b.send("GET", "/api/breakers/"+want, ""))
		if one.ID != want || one.Name != name {
			t.Errorf("%q is %q of %q", want, one.ID, one.Name)
		}
		// Percent-encoding, as every client knows it, means the same.
		if one := decode[struct{ ID string }](t, b.send("GET", "/api/breakers/"+url.PathEscape(name), "")); one.ID != want {
			t.Errorf("%q is %q", url.PathEscape(name), one.ID)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, name := range hostileNames[:30] {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" || len(name) > 4000 {
			t.Skip("skipped: no name of a breaker, or one that others test")
		}
		b := newTestbed(t, panel.Options{})
		b.count(name, engine.Policy{}, engine.Success)
		l := decode[listed](t, b.send("GET", "/api/breakers", ""))
		if len(l.Breakers) != 1 {
			t.Fatalf("%q is not listed", name)
		}
		if a := b.send("POST", "/api/breakers/"+l.Breakers[0].ID+"/trip", ""); a.StatusCode != 200 || b.inspect(name).State != engine.StateOpen {
			t.Fatalf("%q as %q: status %d", name, l.Breakers[0].ID, a.StatusCode)
		}
		page := b.send("GET", "/breakers/"+l.Breakers[0].ID, "")
		checkTree(t, name, page.body)
		checkHarmless(t, page.body)
	})
}

// Whatever is sent, the API answers with JSON and never with an error of its own.
func FuzzAPI(f *testing.F) {
	f.Add("POST", "/api/breakers/open/trip", "for=1m", "application/x-www-form-urlencoded", "")
	f.Add("POST", "/api/breakers/open/force-open", `{"for":"1d","reason":"x","if_epoch":-1}`, "application/json", "")
	f.Add("GET", "/api/breakers?state=open&sort=-age&page=2", "", "", "")
	f.Add("POST", "/api/alertmanager", `{"version":"4","alerts":[{"status":"firing","labels":{"breaker":"open","breaker_for":"5h"}}]}`, "application/json", "")
	f.Add("GET", "/api/breakers/~sha256-00", "", "", "1-2-3")
	f.Fuzz(func(t *testing.T, method, target, body, kind, last string) {
		b := newTestbed(t, panel.Options{})
		b.fill()
		r := httptest.NewRequest("GET", "/api/breakers", strings.NewReader(body))
		u, err := r.URL.Parse(target)
		if err != nil || !strings.HasPrefix(u.Path, "/api/breakers") && u.Path != "/api/alertmanager" || !validMethod.MatchString(method) {
			t.Skip("skipped: no request of the API")
		}
		r.Method, r.URL, r.RequestURI = method, u, u.RequestURI()
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Last-Event-ID", last)
		w := httptest.NewRecorder()
		b.panel.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("no JSON: %s", w.Body)
		}
		if w.Code == 200 && method != "HEAD" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("no JSON: %s", w.Body)
		}
	})
}

var validMethod = regexp.MustCompile(`^[A-Z]{1,10}$`)
