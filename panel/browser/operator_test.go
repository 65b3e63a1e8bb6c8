package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/panel"
)

// An operator lists, filters, opens a breaker, and forces it open with a reason.
func TestOperator_forcesOpen(t *testing.T) {
	f := newFleet(t)
	f.fillFleet(60)
	b := openPanel(t, f, panel.Options{Prefix: "/ops", Title: "shop", Actor: actorAnn})
	b.open("/")
	if headline := eval[string](b, `document.querySelector("h1").textContent`); headline != "2 circuits are open" {
		t.Errorf("the headline is %q", headline)
	}
	if rows := eval[int](b, `document.querySelectorAll(".list tbody tr").length`); rows != 50 {
		t.Errorf("the first page has %d rows, want 50", rows)
	}
	b.click(`a[rel="next"]`)
	b.run("turn the page", chromedp.WaitReady(`a[rel="prev"]`))
	b.click(`.tabs a.open`)
	b.run("filter", chromedp.WaitReady(`.tabs a.open[aria-current]`))
	if names := eval[string](b, `[...document.querySelectorAll(".list a.name")].map(a => a.textContent).join()`); names != "geocoder,payments/eu" && names != "payments/eu,geocoder" {
		t.Errorf("the open circuits are %s", names)
	}
	// The search applies while one types; / begins it.
	b.press("/")
	b.run("search", chromedp.KeyEvent("PAYM"))
	b.waitFor(`document.querySelectorAll(".list tbody tr").length === 1`)
	if query := eval[string](b, `location.search`); query != "?state=open&mode=auto&q=PAYM" {
		t.Errorf("the address has %s, so it cannot be shared", query)
	}
	// Enter ends the search, j goes to the first breaker, Enter opens it.
	b.run("open the breaker", chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent("j"), chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#timeline"))
	b.click(`//a[text()="Force open"]`)
	b.run("force open", chromedp.WaitReady("form.confirm"))

	// Without a duration, the browser itself asks for one.
	b.run("submit", chromedp.Click(`button[type="submit"]`))
	if !eval[bool](b, `document.querySelector("form.confirm input[name=for]").validity.valueMissing`) {
		t.Error("a mode without a duration could be submitted")
	}
	b.run("fill in", chromedp.SendKeys(`input[name="other"]`, "45m"), chromedp.SendKeys("#reason", "provider maintenance"),
		chromedp.Click(`button[type="submit"]`), chromedp.WaitReady("#now.forced-open"))
	s := f.inspect("payments/eu")
	if s.Mode != engine.ModeForcedOpen || s.ModeReason != "provider maintenance" || s.ModeBy != "ann@ops" || s.ModeFor > 45*time.Minute || s.ModeFor < 40*time.Minute {
		t.Errorf("%v for %v by %q: %q", s.Mode, s.ModeFor, s.ModeBy, s.ModeReason)
	}
	if text := eval[string](b, `document.body.innerText`); !strings.Contains(text, "Force open was carried out.") || !strings.Contains(text, "provider maintenance") {
		t.Errorf("the page says %s", text)
	}
}

// A page follows what others do. The time that it takes is logged; a busy machine may
// need longer than the second that it takes otherwise.
func TestOperator_seesOthersLive(t *testing.T) {
	f := newFleet(t)
	f.count(0, "payments", byStreak, 1, engine.Success, "")
	f.waitListed(1)
	b := openPanel(t, f, panel.Options{})
	b.open("/")
	b.waitFor(`document.getElementById("live").textContent === "Live"`)
	b.waitFor(`performance.getEntriesByType("resource").some(e => e.initiatorType === "fetch")`) // what EventReady causes
	time.Sleep(600 * time.Millisecond)                                                           // the pause between two fetches
	for i, step := range []struct {
		engine.Command
		kind string
	}{
		{engine.Command{Action: engine.ActionTrip, For: time.Hour}, "open"},
		{engine.Command{Action: engine.ActionHalfOpen}, "half"},
		{engine.Command{Action: engine.ActionReset}, "closed"},
		{engine.Command{Action: engine.ActionForceOpen}, "forced-open"},
	} {
		began := time.Now()
		f.command("payments", step.Command)
		b.waitFor(fmt.Sprintf(`document.querySelector("#b-payments .badge.%s") !== null`, step.kind))
		t.Logf("step %d was visible after %v", i, time.Since(began).Round(time.Millisecond))
	}
	if text := eval[string](b, `document.getElementById("announce").textContent`); !strings.Contains(text, "payments: closed to forced open") {
		t.Errorf("a screen reader is given %q", text)
	}
	if title := eval[string](b, `document.title`); !strings.HasPrefix(title, "1 circuit is overruled") {
		t.Errorf("the title is %q", title)
	}
	// The page of the breaker follows too, and keeps the focus.
	b.open("/breakers/payments")
	b.waitFor(`document.getElementById("live").textContent === "Live"`)
	shadow := `//a[text()="Shadow"]`
	b.use(chromedp.Focus(shadow), shadow)
	f.command("payments", engine.Command{Action: engine.ActionRelease})
	b.waitFor(`document.querySelector("#now.closed") !== null`)
	if focused := eval[string](b, `document.activeElement.textContent`); focused != "Shadow" {
		t.Errorf("the focus is on %q", focused)
	}
}

// A stream that breaks is resumed.
func TestOperator_reconnects(t *testing.T) {
	f := newFleet(t)
	f.count(0, "payments", byStreak, 1, engine.Success, "")
	f.waitListed(1)
	b := openPanel(t, f, panel.Options{})
	b.open("/")
	b.waitFor(`document.getElementById("live").textContent === "Live"`)
	b.closeConnections()
	f.command("payments", engine.Command{Action: engine.ActionTrip, For: time.Hour})
	b.waitFor(`document.querySelector("#b-payments .badge.open") !== null`)
	for _, problem := range b.takeProblems() { // the browser logs the cut
		if !strings.Contains(problem, "/api/events") && !strings.Contains(problem, "ERR_") {
			t.Error(problem)
		}
	}
}

// A page that cannot be read any more says so, although its stream is still open.
func TestOperator_storageIsDown(t *testing.T) {
	f := newFleet(t)
	f.count(0, "payments", byStreak, 1, engine.Success, "")
	b := openPanel(t, f, panel.Options{})
	b.open("/breakers/payments")
	b.waitFor(`document.getElementById("live").textContent === "Live"`)
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	b.waitFor(`document.getElementById("live").textContent === "Not up to date"`)
	waitUntil(t, "the response that is an error in the browser's log", func() bool { return len(b.takeProblems()) > 0 })
}

// Names that would be scripts or move the text are shown harmlessly, and work.
func TestOperator_hostileName(t *testing.T) {
	f := newFleet(t)
	f.count(0, hostileName, byStreak, 1, engine.Success, "")
	text := `<img src=x onerror=alert(1)>` + "\x1b[31m\u202e"
	f.command(hostileName, engine.Command{Action: engine.ActionTrip, For: time.Hour, Reason: text, Actor: text})
	f.waitListed(1)
	b := openPanel(t, f, panel.Options{})
	b.open("/")
	b.waitFor(`document.getElementById("live").textContent === "Live"`)
	b.click(".list a.name")
	b.run("open", chromedp.WaitReady("#timeline"))
	f.command(hostileName, engine.Command{Action: engine.ActionReset, Reason: text}) // by events too
	b.waitFor(`document.querySelector("#now.closed") !== null`)
	b.click(`//a[text()="Reset"]`)
	b.run("reset", chromedp.WaitReady("form.confirm"), chromedp.Click(`button[type="submit"]`), chromedp.WaitReady("#timeline"))
	if s := f.inspect(hostileName); s.Log[len(s.Log)-1].By != "panel" {
		t.Errorf("the form reset another breaker: %+v", s.Log)
	}
	if n := eval[int](b, `document.querySelectorAll("img, script:not([src])").length`); n != 0 {
		t.Errorf("the page has %d elements that a name made", n)
	}
	if shown := eval[string](b, `document.querySelector("h1").textContent`); !strings.Contains(shown, `\x1b[2J\x00\xff\u202e`) {
		t.Errorf("the name is shown as %s", shown)
	}
}

// The content security policy stops scripts and requests that a page would get from
// somewhere else, if it ever did.
func TestOperator_policyStopsScripts(t *testing.T) {
	f := newFleet(t)
	f.count(0, "payments", byStreak, 1, engine.Success, "")
	f.waitListed(1)
	b := openPanel(t, f, panel.Options{})
	b.open("/")
	eval[bool](b, `(() => {
		const s = document.createElement("script");
		s.textContent = "window.ran = true";
		document.body.append(s);
		const d = document.createElement("div");
		d.innerHTML = '<p style="color: red" onclick="window.ran = true">x</p>';
		document.body.append(d);
		d.firstChild.click();
		return true;
	})()`)
	if eval[bool](b, `window.ran === true`) {
		t.Error("a script within the page ran")
	}
	if !eval[bool](b, `window.top === window.self`) {
		t.Error("the page is in a frame")
	}
	violations := 0
	for _, problem := range b.takeProblems() {
		if strings.Contains(problem, "Content Security Policy") {
			violations++
		}
	}
	if violations < 2 {
		t.Errorf("the browser reports %d violations, want those of the script and of the handler", violations)
	}
}

// 10 000 breakers are paged.
func TestOperator_manyBreakers(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it makes 10 000 breakers")
	}
	f := newFleet(t)
	f.fillMany(10_000)
	b := openPanel(t, f, panel.Options{})
	b.open("/?per_page=100")
	if text := eval[string](b, `document.querySelector(".pager").textContent`); !strings.Contains(text, "of 10\u202f000") {
		t.Errorf("the pager says %s", text)
	}
	b.press("/")
	b.run("search", chromedp.KeyEvent("b09999"))
	b.waitFor(`document.querySelectorAll(".list tbody tr").length === 1`)
}
