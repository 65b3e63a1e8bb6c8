package panel_test

import (
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

var linkAttribute = regexp.MustCompile(`(?:href|src)="([^"]*)"`)

// linksOf returns the links and assets of a page, in their order.
func linksOf(t testing.TB, page string) []string {
	t.Helper()
	var all []string
	for _, m := range linkAttribute.FindAllStringSubmatch(page, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	if len(all) == 0 {
		t.Fatal("a page without links:", page)
	}
	return all
}

var formAttribute = regexp.MustCompile(`<(form|input)([^>]*)>`)
var attribute = regexp.MustCompile(`(\w+)="([^"]*)"`)

// submitForm sends the form of a page as a browser without scripts does, with the
// fields that an operator fills in.
func (b *testbed) submitForm(page answer, filled url.Values) answer {
	b.t.Helper()
	fields, action := url.Values{}, ""
	for _, m := range formAttribute.FindAllStringSubmatch(page.body, -1) {
		attributes := map[string]string{}
		for _, a := range attribute.FindAllStringSubmatch(m[2], -1) {
			attributes[a[1]] = html.UnescapeString(a[2])
		}
		switch {
		case m[1] == "form" && attributes["method"] == "post":
			action, fields = attributes["action"], url.Values{}
		case m[1] == "input" && (attributes["type"] != "radio" || strings.Contains(m[2], "checked")):
			fields.Set(attributes["name"], attributes["value"])
		}
	}
	for name, values := range filled {
		fields[name] = values
	}
	return b.send("POST", action, fields.Encode(), formType, "Sec-Fetch-Site: same-origin", "Origin: https://panel.example")
}

// An operator forces a circuit open, by pages alone.
func TestPages_withoutScripts(t *testing.T) {
	b := newTestbed(t, panel.Options{Title: "shop"})
	b.fill()
	list := b.send("GET", "/?state=open&mode=auto", "")
	for _, want := range []string{"2 circuits are open", "shop", "3 failures in a row", "connection refused", `href="/breakers/open"`} {
		if !strings.Contains(list.body, want) {
			t.Errorf("the list lacks %q", want)
		}
	}
	if strings.Contains(list.body, `href="/breakers/calm"`) {
		t.Error("the list of open circuits has a closed one")
	}
	page := b.send("GET", "/breakers/open", "")
	for _, want := range []string{"Calls are rejected.", "Timeline", "Thresholds", "First use", `href="/breakers/open/force-open"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	confirm := b.send("GET", "/breakers/open/force-open", "")
	done := b.submitForm(confirm, url.Values{"for": {"other"}, "other": {"45m"}, "reason": {"provider maintenance"}})
	if done.StatusCode != 303 || done.Header.Get("Location") != "/breakers/open?done=force-open" {
		t.Fatalf("status %d to %s: %s", done.StatusCode, done.Header.Get("Location"), done.body)
	}
	if s := b.inspect("open"); s.Mode != engine.ModeForcedOpen || s.ModeFor != 45*time.Minute || s.ModeReason != "provider maintenance" {
		t.Errorf("%v for %v: %q", s.Mode, s.ModeFor, s.ModeReason)
	}
	if after := b.send("GET", done.Header.Get("Location"), ""); !strings.Contains(after.body, "Force open was carried out.") || !strings.Contains(after.body, "provider maintenance") {
		t.Errorf("the page afterwards: %s", after.body)
	}
}

// A link cannot pretend that a command was carried out.
func TestPages_doneIsTrue(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	const said = "was carried out"
	for path, isSaid := range map[string]bool{
		"/breakers/held?done=force-open": true, "/breakers/held?done=nonsense": false, "/breakers/held": false, "/breakers/open?done=force-open": false,
	} {
		if body := b.send("GET", path, "").body; strings.Contains(body, said) != isSaid {
			t.Errorf("%s: said %v, want %v", path, !isSaid, isSaid)
		}
	}
	b.now.Add(int64(2 * time.Minute))
	if body := b.send("GET", "/breakers/held?done=force-open", "").body; strings.Contains(body, said) {
		t.Error("an old command is confirmed")
	}
}

// An operator who decided about another state is asked again.
func TestPages_conflict(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	confirm := b.send("GET", "/breakers/open/force-open", "")
	b.control("open", engine.Command{Action: engine.ActionReset, Actor: "someone else"})
	again := b.submitForm(confirm, url.Values{"for": {"10m"}, "reason": {"too late"}})
	if again.StatusCode != 409 || b.inspect("open").Mode != engine.ModeAuto {
		t.Fatalf("status %d, mode %v", again.StatusCode, b.inspect("open").Mode)
	}
	for _, want := range []string{"Nothing was done", "has changed since", `value="too late"`, `value="10m" checked`} {
		if !strings.Contains(again.body, want) {
			t.Errorf("the form lacks %q: %s", want, again.body)
		}
	}
	if done := b.submitForm(again, nil); done.StatusCode != 303 || b.inspect("open").Mode != engine.ModeForcedOpen {
		t.Errorf("the second time: status %d: %s", done.StatusCode, done.body)
	}
}

func TestPages_badDuration(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	confirm := b.send("GET", "/breakers/open/force-open", "")
	for term, says := range map[string]string{"soon": "soon", "": "duration of the mode"} {
		again := b.submitForm(confirm, url.Values{"for": {"other"}, "other": {term}})
		if again.StatusCode != 400 || !strings.Contains(again.body, says) {
			t.Errorf("%q: status %d: %s", term, again.StatusCode, again.body)
		}
	}
}

// Each page is one tree of elements, with the landmarks and names that a screen reader
// needs. The browser's tests check the rest.
func TestPages_wellFormed(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	b.count(hostileName, engine.Policy{}, engine.Success)
	paths := []string{"/", "/?q=nothing", "/nothing", "/?sort=x"}
	for _, name := range []string{"calm", "near", "open", "probing", "held", "trial"} {
		paths = append(paths, "/breakers/"+name, "/breakers/"+name+"/trip", "/breakers/"+name+"/shadow")
	}
	for _, path := range paths {
		body := b.send("GET", path, "").body
		checkTree(t, path, body)
		for _, want := range []string{`<html lang="en">`, "<main ", "<title>", "<h1"} {
			if strings.Count(body, want) != 1 {
				t.Errorf("%s has %d of %q", path, strings.Count(body, want), want)
			}
		}
	}
}

var bareAttribute = regexp.MustCompile(` (data-live|defer|checked|selected|required|reversed)([ >])`)

var voidElement = regexp.MustCompile(`<(meta|link|input)\b([^>]*)>`)

// checkTree fails the test if an element is not closed, or an id is used twice.
func checkTree(t *testing.T, path, body string) {
	t.Helper()
	// Attributes without a value are HTML, but not XML.
	body = bareAttribute.ReplaceAllString(body, ` $1=""$2`)
	body = voidElement.ReplaceAllString(body, `<$1$2/>`)
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(body, "<!doctype html>")))
	d.Entity = xml.HTMLEntity
	ids := map[string]bool{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", path, err, body)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if a.Name.Local == "id" && ids[a.Value] {
					t.Errorf("%s has the id %s twice", path, a.Value)
				}
				if a.Name.Local == "id" {
					ids[a.Value] = true
				}
			}
		}
	}
}

func TestPages_headline(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	check := func(want string) {
		t.Helper()
		b.now.Add(int64(time.Second))
		p := newPanel(t, b.store, panel.Options{})
		if body := send(t, p, "GET", "/", "").body; !strings.Contains(body, "<h1>"+want+"</h1>") {
			t.Errorf("no headline %q in %s", want, body)
		}
	}
	check("No circuits yet")
	b.count("a", engine.Policy{}, engine.Success)
	check("The circuit is closed")
	for i := range 1000 {
		b.count(fmt.Sprint("b", i), engine.Policy{}, engine.Success)
	}
	check("All 1\u202f001 circuits are closed")
	b.control("a", engine.Command{Action: engine.ActionForceClosed})
	check("1 circuit is overruled")
	b.control("b1", engine.Command{Action: engine.ActionHalfOpen})
	check("1 circuit is half-open")
	b.control("b2", engine.Command{Action: engine.ActionTrip})
	b.control("b3", engine.Command{Action: engine.ActionTrip})
	check("2 circuits are open")
}

// A mode, a round of probes, a ramp and a damaged record are described.
func TestPages_breaker(t *testing.T) {
	b := newTestbed(t, panel.Options{})
	b.fill()
	rate := engine.Policy{Window: engine.Window{Calls: 20, FailureRate: 0.5, SlowCallRate: 0.25, SlowCallDuration: time.Second}, Ramp: engine.Ramp{Over: time.Minute}, HalfOpen: engine.HalfOpen{Probes: 3, Successes: 1}}
	b.count("rate", rate, engine.Success, engine.Success, engine.SlowFailure)
	b.count("ramp", rate, engine.Success)
	b.control("ramp", engine.Command{Action: engine.ActionHalfOpen})
	b.count("ramp", rate, engine.Success)
	for path, wants := range map[string][]string{
		"/breakers/held":    {"Every call is rejected.", "set by <bdi>ann</bdi>", "maintenance", "ends in", "/held/release"},
		"/breakers/trial":   {"the circuit would be closed", "until released"},
		"/breakers/probing": {"1 of 1 probe must succeed: 0 succeeded, 0 failed, 0 in flight"},
		"/breakers/near":    {"1 more failure now would open the circuit.", "2 of 3"},
		"/breakers/rate":    {"33 %, opens at 50 %", "1 of 3 calls; judged from 10 calls on", "33 %, opens at 25 %"},
		"/breakers/ramp":    {"Recovering", "All are in", "1 min from 10 % on"},
	} {
		body := b.send("GET", path, "").body
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q: %s", path, want, body)
			}
		}
	}
}
