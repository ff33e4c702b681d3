// Keeps a run's page up to date: server-sent events, or polling where they fail.

const run = document.getElementById("run");
const link = document.getElementById("run-link");
const PARTS = ["status", "actions", "side", "failure", "preflight"];
const REFRESHED = { samples: "samples", checkpoints: "checkpoints", events: "events" };
const MAX_ERRORS = 4;
const POLL_MS = 3000;
const drawn = new Map();
let counts = null;
let cursor = run.dataset.cursor;
let isOver = "finished" in run.dataset;
let isBeingRead = false;
for (const sign of ["pointerdown", "keydown", "wheel"]) {
  addEventListener(sign, () => { isBeingRead = true; }, { once: true, passive: true });
}

function address(extra) {
  const url = new URL(run.dataset.stream, location.href);
  url.searchParams.set("tab", run.dataset.tab);
  if (cursor) url.searchParams.set("cursor", cursor);
  for (const [key, value] of Object.entries(extra ?? {})) url.searchParams.set(key, value);
  return url;
}

function swapPart(name, html) {
  // Equal parts stay, so that a focused or hovered button is not torn away.
  if (drawn.get(name) === html) return;
  drawn.set(name, html);
  const part = document.getElementById(`run-${name}`);
  if (!part) return;
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.innerHTML = html;
  htmx.process(part);
  if (focused) document.getElementById(focused)?.focus();
}

function refreshTab() {
  htmx.ajax("GET", location.href, { target: "#tab", swap: "outerHTML" });
}

function showCounts(told) {
  for (const [name, number] of Object.entries(told)) {
    const place = document.querySelector(`[data-count="${name}"]`);
    if (place) place.textContent = number || "";
  }
  const watched = REFRESHED[run.dataset.tab];
  if (counts && watched && counts[watched] !== told[watched]) refreshTab();
  counts = told;
}

function extendLog({ text, is_new }) {
  const log = document.getElementById("run-log");
  if (!log || !("live" in log.dataset)) return;
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (is_new) log.textContent = "";
  log.append(text);
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function take(name, text) {
  if (PARTS.includes(name)) swapPart(name, text);
  else if (name === "counts") showCounts(JSON.parse(text));
  else if (name === "log") extendLog(JSON.parse(text));
  else if (name === "points") run.dispatchEvent(new CustomEvent("run:points"));
  else if (name === "begun") showWhatBegan();
  else if (name === "end" || name === "gone") finish(name);
}

function showWhatBegan() {
  // The check is over: whoever only waits gets the charts; whoever reads it, a link.
  const wasAskedFor = new URL(location.href).searchParams.has("tab");
  if (!wasAskedFor && !isBeingRead) location.reload();
}

function finish(name) {
  isOver = true;
  link.textContent = name === "gone" ? "no longer there" : "";
  run.dispatchEvent(new CustomEvent("run:points"));
  if (name === "end" && (run.dataset.tab in REFRESHED || run.dataset.tab === "lineage")) refreshTab();
}

function listen() {
  let errors = 0;
  const source = new EventSource(address());
  for (const name of [...PARTS, "counts", "log", "points", "begun", "end", "gone"]) {
    source.addEventListener(name, (event) => {
      errors = 0;
      link.textContent = "";
      if (event.lastEventId) cursor = event.lastEventId;
      take(name, event.data);
      if (isOver) source.close();
    });
  }
  source.addEventListener("open", () => { link.textContent = ""; });
  source.addEventListener("error", () => {
    if (isOver) return;
    errors += 1;
    link.textContent = "reconnecting…";
    if (source.readyState === EventSource.CLOSED || errors >= MAX_ERRORS) {
      source.close();
      poll();
    }
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted && !isOver) location.reload(); });
}

async function poll() {
  while (!isOver) {
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
    try {
      const answer = await fetch(address({ once: 1 }), { headers: { Accept: "application/json" } });
      if (answer.status === 404 || answer.redirected) {
        finish("gone");
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      const told = await answer.json();
      cursor = told.cursor;
      link.textContent = "";
      for (const [name, text] of told.events) take(name, text);
    } catch {
      link.textContent = "reconnecting…";
    }
  }
}

const log = document.getElementById("run-log");
if (log) log.scrollTop = log.scrollHeight;
if (!isOver) {
  if ("EventSource" in window) listen();
  else poll();
}
