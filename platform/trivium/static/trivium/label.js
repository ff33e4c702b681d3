// One comparison after the other. The next one is in the page already, so a vote shows
// it at once; what was chosen is kept in this browser until the server has it, so neither
// a lost connection nor a lost session loses a vote.

import { markDifferences } from "./differences.js";

const page = document.querySelector("[data-tasks]");
const banner = document.querySelector("[data-banner]");
const toast = document.querySelector("[data-toast]");
const isQuick = page.dataset.quick === "yes";
const kept = `trivium-votes-${page.dataset.campaign}`;
const keysDialog = document.getElementById("dialog-keys");
const IDLE_MS = 30_000;
const TOAST_MS = 10_000;
const STAY_MS = 60_000;
const DRAFT_MS = 700;

const tasks = () => [...page.querySelectorAll("[data-task]")];
const current = () => tasks().find((task) => !task.hidden) ?? null;
const ballot = (task) => task?.querySelector("[data-ballot]");

// Time: only while the page is seen and somebody is there -----------------------------

let active = 0;
let lastSeen = performance.now();
let lastTick = performance.now();

function tick() {
  const now = performance.now();
  if (!document.hidden && now - lastSeen < IDLE_MS) active += now - lastTick;
  lastTick = now;
}
setInterval(tick, 250);
for (const kind of ["keydown", "pointermove", "pointerdown", "wheel", "touchstart"]) {
  document.addEventListener(kind, () => (lastSeen = performance.now()), { passive: true });
}

// Votes on their way -------------------------------------------------------------------

function readKept() {
  try {
    return JSON.parse(localStorage.getItem(kept) ?? "[]");
  } catch {
    return [];
  }
}

function writeKept(votes) {
  try {
    if (votes.length) localStorage.setItem(kept, JSON.stringify(votes));
    else localStorage.removeItem(kept);
  } catch {
    // A browser that keeps nothing sends them all the same.
  }
}

let waiting = readKept();
let isSending = false;
let retryAfter = 1_000;
let wantsUndo = false;

function say(text) {
  banner.textContent = text;
  banner.hidden = !text;
}

function post(url, body) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
  return fetch(url, {
    method: "POST",
    body,
    headers: { "X-Label": "script", "X-CSRFToken": token },
  });
}

function isSignedOut(response) {
  return response.redirected || response.status === 401 || response.status === 403;
}

function signedOut() {
  say("You are signed out. Your votes are kept in this browser: sign in again, come back to this page, and they are sent.");
}

async function send() {
  if (isSending || waiting.length === 0) return;
  isSending = true;
  const [url, fields] = waiting[0];
  let response;
  try {
    response = await post(url, new URLSearchParams(fields));
  } catch {
    response = null;
  }
  isSending = false;
  if (response === null || response.status >= 500) {
    say(`Not sent yet: the server cannot be reached. It is tried again; ${waiting.length} kept here.`);
    setTimeout(send, retryAfter);
    retryAfter = Math.min(30_000, 2 * retryAfter);
    return;
  }
  if (isSignedOut(response)) {
    signedOut();
    return;
  }
  retryAfter = 1_000;
  waiting.shift();
  writeKept(waiting);
  say("");
  take(await response.text());
  if (waiting.length) send();
  else if (wantsUndo) undo();
}

function queue(url, fields) {
  waiting.push([url, [...fields]]);
  writeKept(waiting);
  send();
}

// What the server says -----------------------------------------------------------------

function take(html, isFirst = false) {
  const piece = new DOMParser().parseFromString(html, "text/html");
  const refused = piece.querySelector("[data-refused]");
  if (refused) say(refused.textContent);
  const gone = new Set(waiting.map(([, fields]) => Object.fromEntries(fields).key));
  const nothing = page.querySelector("[data-nothing]");
  const brought = piece.querySelector("[data-nothing]");
  if (nothing && brought) nothing.innerHTML = brought.innerHTML;
  const fresh = [];
  for (const task of piece.querySelectorAll("[data-task]")) {
    const key = task.dataset.task;
    if (gone.has(key) || page.querySelector(`[data-task="${CSS.escape(key)}"]`)) continue;
    task.hidden = true;
    fresh.push(document.importNode(task, true));
  }
  if (isFirst) page.prepend(...fresh);
  else for (const task of fresh) page.insertBefore(task, nothing);
  if (isFirst || current() === null) show(tasks()[0] ?? null);
}

function show(task) {
  for (const one of tasks()) one.hidden = one !== task;
  // While votes are on their way the next tasks are too: that is not yet the end.
  page.querySelector("[data-nothing]").hidden = task !== null || waiting.length > 0;
  active = 0;
  lastTick = performance.now();
  for (const input of document.querySelectorAll("dialog [name=key]")) {
    input.value = task?.dataset.task ?? "";
  }
  if (task) {
    restoreDraft(task);
    compare(task);
    const button = task.querySelector("[data-send]");
    if (button) button.hidden = false;
    scrollTo({ top: 0 });
    task.querySelector(".ballot__choice")?.blur();
  }
}

function leave(task, text) {
  const next = tasks().find((one) => one !== task) ?? null;
  forgetDraft(task);
  task.remove();
  show(next);
  if (text) {
    count(1);
    announce(text);
  }
  document.querySelector("[data-undo] button").disabled = false;
}

// Votes of others show when the page is loaded; one's own are counted here.
function count(by) {
  for (const shown of document.querySelectorAll("[data-mine], [data-given]")) {
    const number = Number(shown.textContent.replace(/\D/g, ""));
    shown.textContent = Math.max(0, number + by).toLocaleString();
  }
  const progress = document.querySelector("[data-progress]");
  progress.value = Math.max(0, progress.value + by);
}

let toastTimer = 0;
function announce(text) {
  toast.querySelector("[data-toast-text]").textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (toast.hidden = true), TOAST_MS);
}

// Choosing -----------------------------------------------------------------------------

const WORDS = { left: "Left is better", right: "Right is better", tie: "Equally good", both_bad: "Both are bad" };

function chosen(task) {
  return task.querySelector('.ballot__choice[aria-pressed="true"]')?.value ?? "";
}

function press(task, value) {
  for (const button of task.querySelectorAll(".ballot__choice")) {
    if (button.value === value) button.setAttribute("aria-pressed", "true");
    else button.removeAttribute("aria-pressed");
  }
}

function lacks(task, value) {
  const hasWinner = value === "left" || value === "right";
  return [...task.querySelectorAll("[data-ask]")].filter((ask) => {
    if (ask.querySelector(".field__unit")) return false;
    if (ask.dataset.ask === "strength" && !hasWinner) return false;
    const text = ask.querySelector("textarea");
    return text ? !text.value.trim() : !ask.querySelector(":checked");
  });
}

function complain(task, missing) {
  for (const ask of task.querySelectorAll("[data-ask]")) ask.classList.toggle("ask--missing", missing.includes(ask));
  const place = task.querySelector("[data-ballot-error]");
  const names = missing.map((ask) => `“${ask.querySelector(".ask__title").firstChild.textContent.trim()}”`);
  place.textContent = missing.length ? `Still to answer: ${names.join(", ")}.` : "";
  place.hidden = missing.length === 0;
}

function choose(task, value) {
  press(task, value);
  if (isQuick) vote(task);
  else {
    complain(task, []);
    keepDraft(task);
  }
}

function vote(task) {
  const value = chosen(task);
  if (!value) {
    task.querySelector("[data-ballot-error]").textContent = "Choose left, right, equally good or both bad.";
    task.querySelector("[data-ballot-error]").hidden = false;
    return;
  }
  const missing = lacks(task, value);
  complain(task, missing);
  if (missing.length) {
    missing[0].querySelector("input, textarea")?.focus();
    return;
  }
  tick();
  const form = ballot(task);
  form.elements.ms_active.value = String(Math.round(active));
  const fields = new URLSearchParams(new FormData(form));
  fields.delete("csrfmiddlewaretoken");
  fields.set("choice", value);
  const url = form.action;
  queue(url, fields);
  leave(task, WORDS[value]);
}

// Drafts -------------------------------------------------------------------------------

const draftOf = (task) => `trivium-draft-${task.dataset.task}`;
let draftTimer = 0;

function fieldsOf(task) {
  const fields = new URLSearchParams(new FormData(ballot(task)));
  fields.delete("csrfmiddlewaretoken");
  fields.set("choice", chosen(task));
  return fields;
}

function keepDraft(task) {
  const fields = fieldsOf(task);
  try {
    localStorage.setItem(draftOf(task), fields.toString());
  } catch {
    // The server keeps it too.
  }
  clearTimeout(draftTimer);
  draftTimer = setTimeout(() => post(page.dataset.draft, fields).catch(() => null), DRAFT_MS);
}

function forgetDraft(task) {
  clearTimeout(draftTimer);
  try {
    localStorage.removeItem(draftOf(task));
  } catch {
    // Nothing was kept then.
  }
}

function restoreDraft(task) {
  let text = null;
  try {
    text = localStorage.getItem(draftOf(task));
  } catch {
    return;
  }
  if (!text) return;
  const fields = new URLSearchParams(text);
  for (const input of task.querySelectorAll("[data-ask] input")) {
    input.checked = fields.getAll(input.name).includes(input.value);
  }
  const note = task.querySelector("textarea");
  if (note) note.value = fields.get("note") ?? "";
  press(task, fields.get("choice"));
}

// Differences --------------------------------------------------------------------------

const differences = document.querySelector("[data-differences]");

function compare(task) {
  const isOn = differences.getAttribute("aria-pressed") === "true";
  markDifferences(...task.querySelectorAll(".option__text"), isOn);
}

differences.addEventListener("click", () => {
  const isOn = differences.getAttribute("aria-pressed") !== "true";
  differences.setAttribute("aria-pressed", String(isOn));
  if (current()) compare(current());
});

// Undo, skip, flag ---------------------------------------------------------------------

const undoForm = document.querySelector("[data-undo]");

async function undo() {
  // A vote on its way is counted first, and taken back then.
  wantsUndo = waiting.length > 0;
  if (wantsUndo) return;
  const response = await post(undoForm.action, new URLSearchParams()).catch(() => null);
  if (response === null) return say("The server cannot be reached; nothing was undone.");
  if (isSignedOut(response)) return signedOut();
  toast.hidden = true;
  say("");
  take(await response.text(), response.ok);
  if (response.ok) count(-1);
}

undoForm.addEventListener("submit", (event) => {
  event.preventDefault();
  undo();
});
document.querySelector("[data-toast-undo]").addEventListener("click", undo);

for (const form of document.querySelectorAll("[data-act]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const task = current();
    const fields = new URLSearchParams({ key: form.elements.key.value, reason: event.submitter?.value ?? "" });
    form.closest("dialog").close();
    if (!task) return;
    queue(form.action, fields);
    if (form.dataset.act === "skip") {
      leave(task, "");
      announce("Skipped");
    } else {
      announce("Flagged. Somebody will look at it.");
    }
  });
}

function openDialog(name) {
  if (current()) document.getElementById(`dialog-${name}`).showModal();
}
for (const button of document.querySelectorAll("[data-dialog]")) {
  button.addEventListener("click", () => openDialog(button.dataset.dialog));
}
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

const guidelines = document.getElementById("guidelines");
const guidelinesKept = `trivium-guidelines-${page.dataset.campaign}`;

function showGuidelines(isShown) {
  guidelines.hidden = !isShown;
  document.querySelector("[data-guidelines-open]").setAttribute("aria-expanded", String(isShown));
}

function toggleGuidelines() {
  if (!guidelines) return;
  showGuidelines(guidelines.hidden);
  try {
    localStorage.setItem(guidelinesKept, guidelines.hidden ? "hidden" : "shown");
  } catch {
    // They are shown again on the next page.
  }
}

if (guidelines) {
  try {
    const before = localStorage.getItem(guidelinesKept);
    showGuidelines(before ? before === "shown" : innerWidth >= 1000);
  } catch {
    showGuidelines(true);
  }
}
document.querySelector("[data-guidelines-open]")?.addEventListener("click", toggleGuidelines);

// Keys ---------------------------------------------------------------------------------

function nextOption(ask) {
  const text = ask.querySelector("textarea");
  const inputs = [...ask.querySelectorAll("input")];
  if (text) return text.focus();
  if (inputs[0].type === "checkbox") return inputs[0].focus();
  const at = inputs.findIndex((input) => input.checked);
  if (at === inputs.length - 1) inputs[at].checked = false;
  else inputs[at + 1].checked = true;
  ask.dispatchEvent(new Event("input", { bubbles: true }));
}

const CHOICES = { 1: "left", ArrowLeft: "left", 2: "right", ArrowRight: "right", t: "tie", b: "both_bad" };

function act(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const open = document.querySelector("dialog[open]");
  if (open) {
    open.querySelector(`[data-number="${CSS.escape(key)}"]`)?.click();
    return /^\d$/.test(key);
  }
  if (key === "?") {
    keysDialog.showModal();
    return true;
  }
  const task = current();
  if (key === "u") {
    undo();
    return true;
  }
  if (!task) return false;
  if (key in CHOICES && !(key.startsWith("Arrow") && event.target.matches("input"))) {
    choose(task, CHOICES[key]);
    return true;
  }
  const ask = task.querySelector(`[data-ask-key="${CSS.escape(key)}"]`);
  if (ask) {
    nextOption(ask);
    return true;
  }
  switch (key) {
    case "Enter":
      if (event.target.matches("button, a, summary")) return false;
      vote(task);
      return true;
    case "k":
    case "f":
      openDialog(key === "k" ? "skip" : "flag");
      return true;
    case "d":
      differences.click();
      return true;
    case "l":
      toggleGuidelines();
      return true;
    case "v": {
      const veil = task.querySelector("[data-veil]");
      if (veil) veil.open = !veil.open;
      return veil !== null;
    }
  }
  return false;
}

// Before the shell's own keys, which would open its list for “?”.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches("textarea, input[type=text], select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (act(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  },
  true,
);

page.addEventListener("submit", (event) => {
  event.preventDefault();
  const task = event.target.closest("[data-task]");
  if (event.submitter?.value) choose(task, event.submitter.value);
  else vote(task);
});
page.addEventListener("click", (event) => {
  if (event.target.closest("[data-send]")) vote(event.target.closest("[data-task]"));
});
page.addEventListener("input", (event) => {
  const task = event.target.closest("[data-task]");
  if (task) {
    complain(task, []);
    keepDraft(task);
  }
});

// Staying ------------------------------------------------------------------------------

setInterval(() => {
  if (document.hidden || performance.now() - lastSeen > STAY_MS) return;
  post(page.dataset.stay, new URLSearchParams()).then(
    (response) => isSignedOut(response) && signedOut(),
    () => null,
  );
}, STAY_MS);

// Votes that an earlier page could not send come first; their tasks are not shown again.
for (const [, fields] of waiting) {
  const { key } = Object.fromEntries(fields);
  page.querySelector(`[data-task="${CSS.escape(key ?? "")}"]`)?.remove();
}
show(tasks()[0] ?? null);
send();
