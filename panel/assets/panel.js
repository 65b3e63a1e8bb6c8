// Makes a page follow the fleet. Without it, the page is complete and has to be loaded
// again. The server draws everything: an event only makes the page fetch itself.
"use strict";

const live = document.getElementById("live");
const announce = document.getElementById("announce");
const isLive = document.querySelector("[data-live]") !== null;
document.documentElement.classList.add("scripted");

// Ages and times left go on between two fetches. They start from the server's clock.
let drawnAt = performance.now();

function formatDuration(ms) {
  const s = Math.floor(ms / 1000);
  const pair = (n, unit, rest, smaller) => n + " " + unit + (rest ? " " + rest + " " + smaller : "");
  if (s < 1) return ms <= 0 ? "0 s" : Math.max(1, Math.floor(ms)) + " ms";
  if (s < 60) return s + " s";
  if (s < 3600) return pair(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86400) return pair(Math.floor(s / 3600), "h", Math.floor(s % 3600 / 60), "min");
  return pair(Math.floor(s / 86400), "d", Math.floor(s % 86400 / 3600), "h");
}

function drawTimes() {
  const passed = performance.now() - drawnAt;
  for (const e of document.querySelectorAll(".tick")) {
    const ms = e.dataset.age !== undefined ? +e.dataset.age + passed : Math.max(0, +e.dataset.left - passed);
    const text = formatDuration(ms < 1000 && e.dataset.age !== undefined ? 1000 * Math.floor(ms / 1000) : ms);
    if (e.textContent !== text) e.textContent = text;
  }
}

// Replaces the parts of the page that change. What has the focus keeps it.
function swap(next) {
  const focused = document.activeElement;
  const key = focused && (focused.id ? "#" + CSS.escape(focused.id) : focused.getAttribute("href") && 'a[href="' + CSS.escape(focused.getAttribute("href")) + '"]');
  const epochs = new Map();
  for (const e of document.querySelectorAll("[data-epoch]")) epochs.set(e.id, e.dataset.epoch);
  for (const fresh of next.querySelectorAll("[data-live]")) {
    const old = document.getElementById(fresh.id);
    if (!old) continue;
    const hadFocus = old.contains(focused);
    old.replaceWith(fresh);
    if (hadFocus && key) fresh.querySelector(key)?.focus({ preventScroll: true });
  }
  for (const e of document.querySelectorAll("[data-epoch]")) {
    if (epochs.has(e.id) && epochs.get(e.id) !== e.dataset.epoch) e.classList.add("changed");
  }
  document.title = next.title;
  drawnAt = performance.now();
}

// One fetch at a time, and at most two a second: a storm of events costs no more.
const minPause = 500;
let fetching = false, wanted = false, fetchedAt = -minPause, timer = 0;

function refresh() {
  wanted = true;
  if (fetching || timer) return;
  timer = setTimeout(fetchPage, Math.max(0, fetchedAt + minPause - performance.now()));
}

async function fetchPage() {
  timer = 0;
  if (!document.getSelection().isCollapsed) { // someone copies a text
    timer = setTimeout(fetchPage, 1000);
    return;
  }
  fetching = true;
  wanted = false;
  fetchedAt = performance.now();
  const url = location.href;
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    const text = await answer.text();
    if (answer.ok && url === location.href) swap(new DOMParser().parseFromString(text, "text/html"));
    isCurrent = answer.ok;
  } catch {
    isCurrent = false; // the stream tries again, and what it receives makes the page fetch
  }
  showLive();
  fetching = false;
  if (wanted) refresh();
}

let source = null;

// A page is live if its stream is open and its last fetch succeeded: the stream stays open
// while the storage does not answer, and the page then shows what was true before.
let isCurrent = true;

function showLive() {
  const isOpen = source?.readyState === EventSource.OPEN;
  live.className = "live " + (isOpen && isCurrent ? "on" : "off");
  live.textContent = !isOpen ? "Reconnecting" : isCurrent ? "Live" : "Not up to date";
}

function follow() {
  if (source) return;
  source = new EventSource(document.body.dataset.events);
  source.addEventListener("open", showLive);
  source.addEventListener("error", showLive);
  source.addEventListener("ready", refresh);
  for (const kind of ["transition", "healed", "missed", "push_lost"]) {
    source.addEventListener(kind, (e) => {
      announce.textContent = JSON.parse(e.data).text;
      refresh();
    });
  }
}

// A browser has few connections to a host, so a page that is not seen leaves its own.
function followIfSeen() {
  if (document.hidden) {
    source?.close();
    source = null;
    return;
  }
  follow();
  refresh();
}

if (isLive) {
  document.addEventListener("visibilitychange", followIfSeen);
  if (!document.hidden) follow();
  setInterval(drawTimes, 1000);
  // Tallies move without an event.
  setInterval(() => document.hidden || refresh(), +document.body.dataset.refresh);
}

// The search applies while one types.
const form = document.querySelector("form.search");
if (form) {
  let typing = 0;
  const apply = () => {
    const query = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...query]) if (!value || name === "sort" && value === "attention") query.delete(name, value);
    history.replaceState(null, "", form.action + (query.size ? "?" + query : ""));
    fetchedAt = -minPause;
    refresh();
  };
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    clearTimeout(typing);
    apply();
    document.activeElement.blur(); // the keys of the list work from here
  });
  form.addEventListener("change", apply);
  form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(apply, 150); });
}

// Typing a duration chooses it.
const other = document.querySelector("input[name=other]");
other?.addEventListener("input", () => { document.querySelector("input[value=other]").checked = true; });

// Keys: / searches, j and k move through the list.
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input, select, textarea")) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  const search = document.getElementById("q");
  if (e.key === "/" && search) {
    e.preventDefault();
    search.focus();
    search.select();
  }
  const step = { j: 1, k: -1 }[e.key];
  if (step) {
    const links = [...document.querySelectorAll(".list a.name")];
    links[Math.min(links.length - 1, Math.max(0, links.indexOf(document.activeElement) + step))]?.focus();
  }
});
