// Keeps a page up to date. Without it the board works by reloading. Nothing that a server or a router said is ever made into markup by
// hand: text goes to textContent, and a part of a page that is fetched anew is taken from a page of our own.
"use strict";

const body = document.body;
const WORDS = { p: "pending", c: "running: connecting", b: "running: backing up", k: "running: checking", x: "running: executing",
  v: "running: verifying", C: "completed", W: "completed with warnings", F: "failed", U: "unknown", S: "skipped", R: "ready" };
const BAR = ["completed", "failed", "unknown", "skipped", "running"];

// -- countdowns, by the server's clock ---------------------------------------------------------------------------------------------------

const skew = body.dataset.now ? Number(body.dataset.now) - Date.now() : 0;

function countdown(until) {
  const left = (until - Date.now() - skew) / 1000;
  const whole = left > 0 ? Math.ceil(left) : Math.floor(-left);
  const days = Math.floor(whole / 86400);
  const two = (n) => String(n).padStart(2, "0");
  return `T${left > 0 ? "-" : "+"}${days ? `${days}d ` : ""}${two(Math.floor((whole % 86400) / 3600))}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
}

function tick() {
  for (const element of document.querySelectorAll("[data-until]")) {
    const until = Number(element.dataset.until);
    element.textContent = countdown(until);
    const left = until - Date.now() - skew;
    element.classList.toggle("soon", left > 0 && left < 300000);
    element.classList.toggle("late", left <= 0);
  }
}
tick();
setInterval(tick, 1000);

// -- what is shown of a launch ------------------------------------------------------------------------------------------------------------

function showCounts(box, counts, ready) {
  const total = Number(box.dataset.sites) || 1;
  for (const element of box.querySelectorAll("[data-count]")) {
    const count = counts[element.dataset.count];
    element.querySelector("b").textContent = count;
    element.hidden = !count;
  }
  for (const element of box.querySelectorAll("[data-number]")) {
    const count = counts[element.dataset.number];
    element.textContent = count;
    element.parentElement.classList.toggle("none", !count);
  }
  for (const element of box.querySelectorAll("[data-ready]")) element.textContent = ready;
  for (const bar of box.querySelectorAll("[data-bar]")) {
    let at = 0;
    bar.replaceChildren(...BAR.filter((name) => counts[name]).map((name) => {
      const part = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const width = (100 * counts[name]) / total;
      part.setAttribute("class", name);
      part.setAttribute("x", at);
      part.setAttribute("y", 0);
      part.setAttribute("width", width);
      part.setAttribute("height", 1);
      at += width;
      return part;
    }));
  }
}

const boxes = (launch) => document.querySelectorAll(`[data-launch="${CSS.escape(launch)}"]`);

const cells = [...document.querySelectorAll(".grid > a")];

function paint(place, letter) {
  const cell = cells[place];
  if (!cell || cell.className === letter || !WORDS[letter]) return;
  cell.title = cell.title.slice(0, cell.title.length - WORDS[cell.className].length) + WORDS[letter];
  cell.className = letter;
}

// -- parts that are fetched anew ----------------------------------------------------------------------------------------------------------

let fetching = false;
let wanted = false;
let timer = 0;

const PAUSE = 5000; // before it is asked again after a refusal or an outage: every page that is open asks

async function refetch(path, ids, every) {
  wanted = true;
  if (fetching || timer) return;
  fetching = true;
  wanted = false;
  let pause = every;
  try {
    const answer = await fetch(path, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) replace(id, fresh);
    if (fresh.body.dataset.mark) body.dataset.mark = fresh.body.dataset.mark;
    tick();
    wanted = wanted || isBehind(); // several who look are given one answer, which may be some seconds old
  } catch {
    wanted = true;
    pause = PAUSE;
  }
  fetching = false;
  timer = setTimeout(() => { timer = 0; if (wanted) refetch(path, ids, every); }, pause);
}

function replace(id, fresh) {
  const here = document.getElementById(id);
  const there = fresh.getElementById(id);
  if (!here || !there) return;
  // Somebody who writes in a form, or opened something, is not disturbed.
  if (here.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) { wanted = true; return; }
  if ([...here.querySelectorAll("textarea")].some((each) => each.value)) { wanted = true; return; }
  const open = [...here.querySelectorAll("details")].map((each) => each.open);
  const focused = here.contains(document.activeElement) ? [...here.querySelectorAll("a, button, summary")].indexOf(document.activeElement) : -1;
  here.replaceWith(document.adoptNode(there));
  const now = [...there.querySelectorAll("details")];
  if (now.length === open.length) now.forEach((each, n) => { each.open = open[n]; });
  if (focused >= 0) there.querySelectorAll("a, button, summary")[focused]?.focus({ preventScroll: true });
}

// -- the stream ---------------------------------------------------------------------------------------------------------------------------

let source = null;
let latest = null; // of a launch, as the stream told

const isBehind = () => latest !== null && document.getElementById("launch-head")?.dataset.seen !== latest;

const lost = document.getElementById("lost");

function take(event) {
  const news = JSON.parse(event.data);
  lost.hidden = true;
  if (news.launches) {
    for (const [launch, each] of Object.entries(news.launches)) for (const box of boxes(launch)) showCounts(box, each.counts, each.ready);
    if (news.mark && news.mark !== body.dataset.mark) refetch("/board/", ["outlook"], 1000);
    return;
  }
  if (news.gone) return;
  if (news.all) for (let place = 0; place < news.all.length; place += 1) paint(place, news.all[place]);
  if (news.set) {
    for (const [letter, steps] of Object.entries(news.set)) {
      let place = 0;
      for (const step of steps) { place += step; paint(place, letter); }
    }
  }
  for (const box of document.querySelectorAll("[data-launch]")) showCounts(box, news.counts, news.ready);
  const ended = news.counts.completed + news.counts.failed + news.counts.unknown + news.counts.skipped;
  latest = JSON.stringify([news.state, news.wave, news.paused, news.waits, news.finished, ended]);
  if (isBehind()) refetch(body.dataset.parts, ["launch-head", "groups"], news.finished ? 500 : 3000);
}

function connect() {
  if (source || !body.dataset.stream || !window.EventSource) return;
  source = new EventSource(body.dataset.stream);
  source.addEventListener("message", take);
  source.addEventListener("lost", (event) => { lost.hidden = !JSON.parse(event.data).lost; });
  source.addEventListener("bye", () => { source.close(); location.reload(); });
  source.addEventListener("error", () => {
    if (source && source.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(connect, 10000);
    }
  });
}

function disconnect() {
  if (source) source.close();
  source = null;
}

// A browser has few connections to one server: pages that nobody sees give theirs back.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", () => { if (!document.hidden) connect(); });
connect();

// -- arrow keys in the grid ---------------------------------------------------------------------------------------------------------------

if (cells.length) {
  cells.forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; });
  const move = (from, to) => {
    if (to < 0 || to >= cells.length) return;
    cells[from].tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
  };
  const row = (from) => {
    const top = cells[from].offsetTop;
    let last = from;
    while (last + 1 < cells.length && cells[last + 1].offsetTop === top) last += 1;
    let first = from;
    while (first > 0 && cells[first - 1].offsetTop === top) first -= 1;
    return last - first + 1;
  };
  for (const grid of document.querySelectorAll(".grid")) {
    grid.addEventListener("keydown", (event) => {
      const from = cells.indexOf(event.target);
      if (from < 0) return;
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row(from), ArrowUp: -row(from), Home: -from, End: cells.length - 1 - from };
      if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      move(from, from + steps[event.key]);
    });
    grid.addEventListener("focusin", (event) => {
      const to = cells.indexOf(event.target);
      if (to < 0) return;
      cells.forEach((cell) => { if (cell.tabIndex === 0 && cell !== event.target) cell.tabIndex = -1; });
      event.target.tabIndex = 0;
    });
  }
}
