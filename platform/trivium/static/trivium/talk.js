// A conversation while it is had: streams, stop, keys. All else the server draws.

const MAX_GAP = 80;
const drawer = document.getElementById("drawer");

function composer() { return document.querySelector("[data-composer]"); }

// Panels are open where there is room for them.
const wide = matchMedia("(min-width: 1100px)");
function unfold() {
  for (const fold of document.querySelectorAll("[data-wide-open]")) fold.open = wide.matches;
}
wide.addEventListener("change", unfold);
unfold();

function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.4)}px`;
}

function isAtEnd() {
  return document.documentElement.scrollHeight - scrollY - innerHeight < MAX_GAP;
}

function toEnd() { scrollTo({ top: document.documentElement.scrollHeight }); }

// Streams ---------------------------------------------------------------------------

function follow(turn) {
  if (turn.dataset.isFollowed) return;
  turn.dataset.isFollowed = "yes";
  const place = turn.querySelector("[data-text]");
  const status = turn.querySelector("[data-status]");
  const source = new EventSource(turn.dataset.stream);
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
    place.append(told.text);
    began ||= performance.now();
    count += told.tokens.length;
    const seconds = (performance.now() - began) / 1000;
    if (status && seconds > 0.5) status.textContent = `${Math.round(count / seconds)} tokens/s`;
    if (wasAtEnd) toEnd();
  });
  for (const last of ["done", "stopped", "failed"]) {
    source.addEventListener(last, (event) => {
      hear(event);
      source.close();
      complete(turn);
    });
  }
  source.addEventListener("error", () => {
    if (status) status.textContent = "reconnecting…";
  });
  addEventListener("pagehide", () => source.close());
}

async function complete(turn) {
  if ("reload" in turn.dataset) {
    location.reload();
    return;
  }
  const hadFocus = turn.contains(document.activeElement) || document.activeElement === document.body;
  const wasAtEnd = isAtEnd();
  await htmx.ajax("GET", turn.dataset.turnUrl, { target: turn, swap: "outerHTML" });
  document.body.dispatchEvent(new Event("measure"));
  if (wasAtEnd) toEnd();
  if (hadFocus) composer()?.focus({ preventScroll: true });
}

async function stop(turn) {
  const button = turn.querySelector("[data-stop] button");
  if (!button || button.disabled) return;
  button.disabled = true;
  const status = turn.querySelector("[data-status]");
  if (status) status.textContent = "Stopping…";
  const body = new FormData(turn.querySelector("[data-stop]"));
  body.set("seen", turn.dataset.seen ?? "0");
  await fetch(turn.dataset.stopUrl, { method: "POST", body, headers: { Accept: "application/json" } });
  complete(turn);
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
  if (event.target.matches("[data-composer]")) fitHeight(event.target);
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
  if (event.target.closest("#settings")) document.body.dispatchEvent(new Event("measure"));
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("[data-composer]");
  if (isTyping && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (event.target.value.trim()) event.target.form.requestSubmit();
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

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close-drawer]")) drawer?.close();
  if (event.target === drawer) drawer.close();
});

document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target === drawer) drawer.showModal();
});

document.body.addEventListener("htmx:load", () => {
  followAll();
  const area = composer();
  if (area) fitHeight(area);
});

document.body.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "thread") return;
  toEnd();
  composer()?.focus({ preventScroll: true });
});

followAll();
if (document.querySelector("[data-turn]")) toEnd();
const area = composer();
if (area) {
  fitHeight(area);
  if (wide.matches) area.focus({ preventScroll: true });
  document.body.dispatchEvent(new Event("measure"));
}
