// A conversation while it is had: streams, stop, keys. All else the server draws.

const MAX_GAP = 80;
const MEASURE_MS = 400;
let measuring = 0;
const drawer = document.getElementById("drawer");

function composer() { return document.querySelector("[data-composer]"); }

// How the draft lies in the model's window is drawn anew.
function measure() { document.body.dispatchEvent(new Event("measure")); }

// Panels are open where there is room for them.
const wide = matchMedia("(min-width: 1100px)");
function unfold() {
  for (const fold of document.querySelectorAll("[data-wide-open]")) fold.open = wide.matches;
}
wide.addEventListener("change", unfold);
unfold();
document.body.addEventListener("htmx:oobAfterSwap", () => { if (wide.matches) unfold(); });

function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.4)}px`;
}

function isAtEnd() {
  return document.documentElement.scrollHeight - scrollY - innerHeight < MAX_GAP;
}

function toEnd() { scrollTo({ top: document.documentElement.scrollHeight }); }

// Streams ---------------------------------------------------------------------------

const followed = new Map();

// What is no longer on the page is not followed: a browser has few connections.
function forgetGone() {
  for (const [turn, source] of followed) {
    if (turn.isConnected) continue;
    source.close();
    followed.delete(turn);
  }
}

// The server draws what a model writes: what is settled once, the rest anew each time.
function draw(place, told) {
  if (told.is_first) {
    const [settled, tail] = [document.createElement("div"), document.createElement("div")];
    settled.className = "said__settled";
    tail.className = "said__tail";
    place.replaceChildren(settled, tail);
    place.classList.add("prose", "said__text--drawn");
  }
  const [settled, tail] = place.children;
  settled.insertAdjacentHTML("beforeend", told.settled);
  tail.innerHTML = told.tail;
}

function follow(turn) {
  if (turn.dataset.isFollowed) return;
  turn.dataset.isFollowed = "yes";
  const place = turn.querySelector("[data-text]");
  const status = turn.querySelector("[data-status]");
  const source = new EventSource(turn.dataset.stream);
  followed.set(turn, source);
  let began = 0;
  let count = 0;

  function hear(event) {
    turn.dataset.seen = event.lastEventId;
    return JSON.parse(event.data);
  }
  source.addEventListener("start", (event) => {
    hear(event);
    if (status) status.textContent = "Writing…";
  });
  source.addEventListener("tokens", (event) => {
    const told = hear(event);
    const wasAtEnd = isAtEnd();
    if (told.tail === undefined) place.append(told.text);
    else draw(place, told);
    if (began) count += told.num ?? told.tokens.length;
    began ||= performance.now();
    const seconds = (performance.now() - began) / 1000;
    if (status && seconds > 0.5) status.textContent = `${Math.round(count / seconds)} tokens/s`;
    if (wasAtEnd) toEnd();
  });
  for (const last of ["done", "stopped", "failed"]) {
    source.addEventListener(last, (event) => {
      hear(event);
      source.close();
      // Whoever stops it here waits for more: when the slot was free.
      if (!turn.dataset.isStopping) complete(turn);
    });
  }
  source.addEventListener("error", () => {
    if (status) status.textContent = "reconnecting…";
  });
  addEventListener("pagehide", () => source.close());
}

async function complete(turn) {
  followed.get(turn)?.close();
  followed.delete(turn);
  if (!turn.isConnected) return;
  if ("reload" in turn.dataset) {
    location.reload();
    return;
  }
  const hadFocus = turn.contains(document.activeElement) || document.activeElement === document.body;
  const wasAtEnd = isAtEnd();
  await htmx.ajax("GET", turn.dataset.turnUrl, { target: turn, swap: "outerHTML" });
  measure();
  if (wasAtEnd) toEnd();
  if (hadFocus) composer()?.focus({ preventScroll: true });
}

async function stop(turn) {
  const button = turn.querySelector("[data-stop] button");
  if (!button || button.disabled) return;
  button.disabled = true;
  turn.dataset.isStopping = "yes";
  const status = turn.querySelector("[data-status]");
  if (status) status.textContent = "Stopping…";
  const body = new FormData(turn.querySelector("[data-stop]"));
  body.set("seen", turn.dataset.seen ?? "0");
  try {
    await fetch(turn.dataset.stopUrl, { method: "POST", body, headers: { Accept: "application/json" } });
  } finally {
    // Where the line was lost, the turn drawn anew goes on and can be stopped again.
    complete(turn);
  }
}

function followAll() {
  for (const turn of document.querySelectorAll("[data-stream]")) follow(turn);
}

// What the page does ----------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-stop]");
  if (!form) return;
  event.preventDefault();
  stop(form.closest("[data-turn]"));
});

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-composer]")) {
    fitHeight(event.target);
    clearTimeout(measuring);
    measuring = setTimeout(measure, MEASURE_MS);
  }
  const filter = event.target.dataset.filter;
  if (filter) {
    const wanted = event.target.value.trim().toLocaleLowerCase();
    for (const item of document.getElementById(filter).children) {
      item.hidden = !item.textContent.toLocaleLowerCase().includes(wanted);
    }
  }
});

document.addEventListener("change", (event) => {
  if (event.target.name === "choice") {
    const url = new URL(location.href);
    if (!document.querySelector("[data-conversation]")) url.searchParams.set("model", event.target.value);
    if (url.href !== location.href) location.assign(url);
  }
  if (event.target.closest("#settings")) measure();
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("[data-composer]");
  if (isTyping && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (event.target.value.trim()) event.target.form.requestSubmit();
    return;
  }
  const edit = event.target.closest(".edit[open]");
  if (edit && event.key === "Escape") {
    closeEdit(edit);
    return;
  }
  if (event.key === "Escape") {
    const live = document.querySelector("[data-stop-url]");
    if (live) stop(live);
    return;
  }
  const isFree = !event.target.matches("input, textarea, select");
  const side = { ArrowLeft: "previous", ArrowRight: "following" }[event.key];
  if (side && (event.altKey || (isFree && event.target.closest("[data-turn]")))) {
    const turns = [...document.querySelectorAll(`[data-version="${side}"]:not(:disabled)`)];
    const own = event.target.closest("[data-turn]")?.querySelector(`[data-version="${side}"]:not(:disabled)`);
    const button = own ?? turns.at(-1);
    if (button) {
      event.preventDefault();
      button.click();
    }
  }
});

// An editor opens where it can be seen; Escape and its button close it.
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.(".edit") || !event.target.open) return;
  const area = event.target.querySelector("textarea");
  fitHeight(area);
  event.target.scrollIntoView({ block: "nearest" });
  area.focus({ preventScroll: true });
}, true);

function closeEdit(edit) {
  edit.open = false;
  edit.querySelector("summary").focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  if (event.target.matches("[data-close-edit]")) closeEdit(event.target.closest(".edit"));
  if (event.target.closest("[data-close-drawer]")) drawer?.close();
  if (event.target === drawer) drawer.close();
});

document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target === drawer) drawer.showModal();
});

// Code is made to be taken along.
function addCopyButtons() {
  for (const block of document.querySelectorAll(".turns .prose:not([aria-busy]) pre")) {
    if (block.querySelector("button")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy-code";
    button.textContent = "Copy";
    block.append(button);
  }
}

document.addEventListener("click", async (event) => {
  if (!event.target.matches(".copy-code")) return;
  const code = event.target.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    event.target.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    event.target.textContent = "Press Ctrl-C";
  }
});

document.body.addEventListener("htmx:load", () => {
  forgetGone();
  followAll();
  addCopyButtons();
  const area = composer();
  if (area) fitHeight(area);
});

document.body.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "thread") return;
  toEnd();
  composer()?.focus({ preventScroll: true });
});

followAll();
addCopyButtons();
if (document.querySelector("[data-turn]")) toEnd();
const area = composer();
if (area) {
  fitHeight(area);
  if (wide.matches) area.focus({ preventScroll: true });
  measure();
}
