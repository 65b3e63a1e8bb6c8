package browser

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/panel"
)

// checkAccess is a function of the page that returns what a screen reader, a keyboard or
// a person with weak sight would miss, in the manner of axe.
const checkAccess = `(() => {
	const found = [];
	const describe = e => e.outerHTML.slice(0, 120);
	const isShown = e => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !e.closest(".hidden, .skip");
	const nameOf = e => {
		const by = e.getAttribute("aria-labelledby");
		if (by) return by.split(" ").map(id => document.getElementById(id)?.textContent ?? "").join(" ").trim();
		if (e.getAttribute("aria-label")) return e.getAttribute("aria-label").trim();
		if (e.labels?.length) return [...e.labels].map(l => l.textContent).join(" ").trim();
		return e.textContent.trim();
	};
	// Names.
	for (const e of document.querySelectorAll("a, button, input:not([type=hidden]), select, nav, section, table")) {
		const name = e.matches("table") ? e.caption?.textContent.trim() : e.matches("nav, section") ? e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") && nameOf(e) : nameOf(e);
		if (!name) found.push("without a name: " + describe(e));
	}
	for (const e of document.querySelectorAll("svg")) if (e.getAttribute("aria-hidden") !== "true" && !e.getAttribute("aria-label")) found.push("picture without a name: " + describe(e));
	for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
		for (const id of (e.getAttribute("aria-labelledby") ?? e.getAttribute("aria-describedby")).split(" ")) if (!document.getElementById(id)) found.push("refers to nothing: " + describe(e));
	}
	// Structure.
	if (!document.documentElement.lang) found.push("no language");
	if (!document.title) found.push("no title");
	for (const one of ["main", "h1", "header"]) if (document.querySelectorAll(one).length !== 1) found.push("not one " + one);
	let level = 0;
	for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
		if (+h.tagName[1] > level + 1) found.push("skips a level: " + describe(h));
		level = +h.tagName[1];
	}
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push("id twice: " + id);
	for (const th of document.querySelectorAll("th")) if (!th.scope) found.push("header without scope: " + describe(th));
	for (const e of document.querySelectorAll("[tabindex]")) if (+e.getAttribute("tabindex") > 0) found.push("changes the order of tabs: " + describe(e));
	if (/user-scalable=no|maximum-scale/.test(document.querySelector("meta[name=viewport]").content)) found.push("cannot be zoomed");
	// Contrast, by WCAG 2.
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
	const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
	const groundOf = e => {
		const layers = [];
		for (; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
	};
	const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
	let texts = 0;
	for (const e of document.querySelectorAll("body *")) {
		const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
		if (!own && !e.matches("input, svg.icon") || e.matches("noscript, option") || !isShown(e)) continue;
		const style = getComputedStyle(e), ground = groundOf(e), size = parseFloat(style.fontSize);
		const color = over(rgba(e.matches("svg") ? style.stroke : style.color), ground);
		const least = e.matches("svg") || size >= 24 || size >= 18.66 && +style.fontWeight >= 700 ? 3 : 4.5;
		const ratio = contrast(color, ground);
		texts++;
		if (ratio < least) found.push("contrast " + ratio.toFixed(2) + ", want " + least + ": " + describe(e));
		if (e.matches("input")) {
			const hint = contrast(over(rgba(getComputedStyle(e, "::placeholder").color), ground), ground);
			if (e.placeholder && hint < 4.5) found.push("contrast of the placeholder " + hint.toFixed(2) + ": " + describe(e));
		}
	}
	if (texts < 5) found.push("only " + texts + " texts were looked at");
	// What can be pressed is large enough to be hit.
	for (const e of document.querySelectorAll("button, select, .button, .tabs a, input:not([type=radio]):not([type=hidden])")) {
		const box = e.getBoundingClientRect();
		if (isShown(e) && (box.width < 24 || box.height < 24)) found.push("too small to be hit: " + describe(e));
	}
	// Nothing is wider than the screen.
	if (document.documentElement.scrollWidth > document.documentElement.clientWidth) found.push("wider than the screen by " + (document.documentElement.scrollWidth - document.documentElement.clientWidth));
	return JSON.stringify(found);
})()`

// access returns what the present page lacks, after a script has spoiled it.
func (b *tab) access(spoil string) []string {
	b.t.Helper()
	var found []string
	// At once: a page that follows events would repair itself meanwhile.
	if err := json.Unmarshal([]byte(eval[string](b, spoil+";\n"+checkAccess)), &found); err != nil {
		b.t.Fatal(err)
	}
	return found
}

// Every page has names, structure and contrast, in both color schemes, on a wide and a
// narrow screen.
func TestAccess(t *testing.T) {
	f := newFleet(t)
	f.fillFleet(60)
	b := openPanel(t, f, panel.Options{Title: "shop"})
	for _, path := range []string{
		"/", "/?q=nothing", "/?state=open&mode=auto", "/breakers/payments~2Feu", "/breakers/search", "/breakers/mailer", "/breakers/ledger",
		"/breakers/recommendations", "/breakers/inventory", "/breakers/shipping-rates", "/breakers/payments~2Feu/force-open", "/breakers/payments~2Feu/trip",
	} {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 400, 320} {
				b.show(width, 900, scheme)
				b.open(path)
				for _, one := range b.access("") {
					t.Errorf("%s, %s, %d wide: %s", path, scheme, width, one)
				}
			}
		}
	}
}

// The check finds what it is for.
func TestAccess_finds(t *testing.T) {
	f := newFleet(t)
	f.fillFleet(12)
	b := openPanel(t, f, panel.Options{})
	for name, spoil := range map[string]string{
		"without a name":      `document.querySelector("#q").labels[0].remove()`,
		"not one h1":          `document.querySelector("h1").remove()`,
		"contrast":            `document.querySelector(".sub").setAttribute("class", "spoiled"); document.styleSheets[0].insertRule(".spoiled { color: color-mix(in srgb, var(--ink) 45%, var(--paper)) }")`,
		"wider than":          `document.querySelector("h1").textContent = "x".repeat(9000); document.styleSheets[0].insertRule("h1 { white-space: nowrap; overflow-wrap: normal !important }")`,
		"id twice":            `document.querySelector("h1").id = "main"`,
		"header without":      `document.querySelector("th").removeAttribute("scope")`,
		"no language":         `document.documentElement.removeAttribute("lang")`,
		"too small to be hit": `document.styleSheets[0].insertRule("select { min-height: 0 !important; height: 12px; padding: 0 !important }", document.styleSheets[0].cssRules.length)`,
	} {
		b.show(1280, 900, "light")
		b.open("/")
		found := b.access(spoil)
		if !slices.ContainsFunc(found, func(one string) bool { return strings.HasPrefix(one, name) }) {
			t.Errorf("%q is not found: %q", name, found)
		}
	}
}
